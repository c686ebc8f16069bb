import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseToken } from '../../src/core/token.ts'
import { formingStatus, readyStatus } from '../host/api/fixtures.ts'
import { useLab } from './daemon.ts'
import { documentOf, run, type Surroundings } from './run.ts'

const lab = useLab()
const GENESIS = readyStatus().cluster.id ?? ''
const OTHER = 'ab'.repeat(32)

async function newToken(network = 'shop-12', expectedMachines = '3'): Promise<string> {
  const { stdout } = await run(['token', 'new', '--expect', expectedMachines, '--network', network])
  return stdout.trim()
}

function write(name: string, text: string): string {
  const path = join(lab().directory, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

const configured = (token: string): Surroundings => ({
  env: { MUSTER_CONFIG: write('muster.yaml', `muster: {token: ${token}, distribution: {kind: none}}\n`) },
})

describe('muster token new', () => {
  it('prints one token and nothing else on stdout, reminders on stderr', async () => {
    const { code, stdout, stderr } = await run(['token', 'new', '--expect', '3', '--network', 'shop-12'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^muster1[1-9A-HJ-NP-Za-km-z]+\n$/)
    expect(parseToken(stdout)).toMatchObject({ expect: 3, network: 'shop-12', pin: null })
    expect(stderr).toContain('secret')
    expect(stderr).not.toContain(stdout.trim())
  })

  it('makes a secret of its own each time', async () => {
    const secrets = await Promise.all(Array.from({ length: 20 }, () => newToken()))
    expect(new Set(secrets.map((text) => String(parseToken(text).secret.reveal()))).size).toBe(20)
  })

  it('has a document', async () => {
    const ran = await run(['token', 'new', '--expect', '512', '--network', 'a', '--json'])
    const { token, ...rest } = documentOf(ran) as { token: string }
    expect(rest).toEqual({ expect: 512, network: 'a' })
    expect(parseToken(token)).toMatchObject({ expect: 512, network: 'a' })
  })

  it.each([
    [[], '--expect'],
    [['--expect', '3'], '--network'],
    [['--expect', '0', '--network', 'a'], '1…512'],
    [['--expect', '513', '--network', 'a'], '1…512'],
    [['--expect', '3.5', '--network', 'a'], '"3.5" is no number'],
    [['--expect', '-3', '--network', 'a'], 'no number'],
    [['--expect', 'three', '--network', 'a'], '"three" is no number'],
    [['--expect', '3', '--network', 'Shop 12'], 'is no DNS label'],
    [['--expect', '3', '--network', ''], 'is no DNS label'],
    [['--expect', '3', '--network', 'a', 'b'], 'too many arguments'],
  ])('with %j ends with 2 and prints no token', async (options, words) => {
    const { code, stdout, stderr } = await run(['token', 'new', ...options])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(words)
  })
})

describe('muster token inspect', () => {
  const SHOWN = `network  shop-12
expect   3
pin      none: it may found a cluster, and joins any of its network
version  1
`

  it('shows what the token says, from a file, the standard input, an argument or the configuration', async () => {
    const token = await newToken()
    const file = write('token', `# the shop's\n\n${token}\n`)
    const silent = [
      await run(['token', 'inspect', '--file', file]),
      await run(['token', 'inspect', '--file', '-'], { stdin: `# comment\n\n  ${token}  \nmore` }),
      await run(['token', 'inspect', '-'], { stdin: token }),
      await run(['token', 'inspect'], configured(token)),
      await run([
        'token',
        'inspect',
        '--config',
        write('other.yaml', `muster: {token_file: ${file}, distribution: {kind: none}}`),
      ]),
    ]
    for (const ran of silent) expect(ran).toEqual({ code: 0, stdout: SHOWN, stderr: '' })
    const { stdout, stderr } = await run(['token', 'inspect', token])
    expect(stdout).toBe(SHOWN)
    expect(stderr).toContain('warning: arguments are seen by others')
  })

  it('has a document', async () => {
    const ran = await run(['token', 'inspect', '-', '--json'], { stdin: await newToken() })
    expect(documentOf(ran)).toEqual({ version: 1, expect: 3, network: 'shop-12', pin: null })
  })

  it('never shows the secret, even of a token that is wrong', async () => {
    const token = await newToken()
    const wrong = `${token.slice(0, -3)}111`
    const surroundings = { ...configured(token), stdin: wrong }
    for (const argv of [
      ['token', 'inspect'],
      ['token', 'inspect', '--json'],
      ['token', 'inspect', '-'],
      ['token', 'inspect', token],
      ['token', 'inspect', wrong, '--json'],
      ['token', 'inspect', wrong, token],
      ['token', 'inspect', `--${token}`],
      ['token', token],
      [token],
      ['status', '--wait', token],
      ['token', 'new', '--expect', token, '--network', 'a'],
      ['token', 'new', '--expect', '3', '--network', token],
      ['token', 'inspect', '--file', token],
      ['token', 'pin', '--genesis', token],
      ['config', 'print'],
      ['config', 'check', '--json'],
    ]) {
      const { stdout, stderr } = await run(argv, surroundings)
      const said = stdout + stderr
      expect(said, argv.join(' ')).not.toBe('')
      for (const secret of [token, wrong]) expect(said, argv.join(' ')).not.toContain(secret.slice(7, 40))
    }
  })

  it.each([
    [['-'], 'hello', 'does not begin with muster1'],
    [['-'], '', 'is no network token'],
    [['-'], 'muster1abc', 'checksum'],
    [['-'], 'x'.repeat(70_000), 'longer than'],
    [['hello'], '', 'does not begin with muster1'],
    [['--file', '/nonexistent'], '', 'does not exist'],
    [['--file', '/'], '', '/'],
    [['hello', '--file', '-'], '', 'there are two tokens'],
    [['--config', '/nonexistent.yaml'], '', '/nonexistent.yaml'],
  ])('of %j ends with 2 and says why', async (options, stdin, words) => {
    const { code, stdout, stderr } = await run(['token', 'inspect', ...options], { stdin })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(words)
  })
})

describe('muster token pin', () => {
  it("pins the configured token to the daemon's cluster", async () => {
    await lab().start()
    const token = await newToken()
    const ran = await run(['token', 'pin', '--socket', lab().socket], configured(token))
    expect(ran.code).toBe(0)
    expect(ran.stdout).toMatch(/^muster1\w+\n$/)
    const pinned = parseToken(ran.stdout)
    expect(pinned).toMatchObject({ expect: 3, network: 'shop-12', pin: GENESIS })
    expect(pinned.secret.reveal()).toEqual(parseToken(token).secret.reveal())
    expect(ran.stderr).not.toContain(ran.stdout.trim())
  })

  it('needs no daemon where the cluster is named, and pins what is pinned to it already', async () => {
    const stdin = await newToken()
    const argv = ['token', 'pin', '--token-file', '-', '--genesis', OTHER]
    const { stdout } = await run(argv, { stdin })
    expect(parseToken(stdout).pin).toBe(OTHER)
    expect((await run(argv, { stdin: stdout })).stdout).toBe(stdout)
  })

  it('has a document', async () => {
    const argv = ['token', 'pin', '--token-file', '-', '--genesis', OTHER, '--json']
    const document = documentOf(await run(argv, { stdin: await newToken() }))
    expect(document).toEqual({ token: expect.any(String), expect: 3, network: 'shop-12', pin: OTHER })
  })

  it('refuses a token that is pinned to another cluster', async () => {
    const first = ['token', 'pin', '--token-file', '-', '--genesis', OTHER]
    const { stdout } = await run(first, { stdin: await newToken() })
    const second = ['token', 'pin', '--token-file', '-', '--genesis', GENESIS]
    const ran = await run(second, { stdin: stdout })
    expect([ran.code, ran.stdout]).toEqual([1, ''])
    expect(ran.stderr).toContain('pinned to another cluster')
  })

  it('refuses to mix networks, and a cluster that is not founded', async () => {
    await lab().start()
    const argv = ['token', 'pin', '--token-file', '-', '--socket', lab().socket]
    const other = await run(argv, { stdin: await newToken('another') })
    expect([other.code, other.stdout]).toEqual([1, ''])
    expect(other.stderr).toContain('the daemon is of the network shop-12, the token of another')
    lab().daemon.current = formingStatus()
    const early = await run(argv, { stdin: await newToken() })
    expect([early.code, early.stdout]).toEqual([1, ''])
    expect(early.stderr).toContain('no cluster yet')
  })

  it('ends with 3 without a daemon, with 2 for what is no cluster ID', async () => {
    const stdin = await newToken()
    const argv = ['token', 'pin', '--token-file', '-', '--socket', lab().socket]
    expect((await run(argv, { stdin })).code).toBe(3)
    const ran = await run([...argv, '--genesis', 'abc'], { stdin })
    expect([ran.code, ran.stdout]).toEqual([2, ''])
    expect(ran.stderr).toContain('64 hexadecimal digits')
  })
})
