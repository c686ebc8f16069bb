import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { documentOf, run, Screen, VERSION } from './run.ts'

describe('a verb that does not exist', () => {
  it.each([
    ['statsu', 'did you mean status?'],
    ['Status', 'did you mean status?'],
    ['reste', 'did you mean reset?'],
    [
      'upgrade',
      'the verbs are up, status, token, config, node, act, rollout, operator, kubeconfig, history, adopt, reset, version',
    ],
    ['recover', 'the verbs are'],
    ['doctor', 'the verbs are'],
    ['events', 'the verbs are'],
  ])('%s ends with 2 and names those that do', async (verb, words) => {
    for (const argv of [[verb], [verb, '--image', 'x'], [verb, 'list']]) {
      const { code, stdout, stderr } = await run(argv)
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toContain(`unknown verb ${verb}`)
      expect(stderr).toContain(words)
    }
  })

  it.each([
    [['token', 'rotate'], 'unknown verb token rotate', 'new, inspect, pin'],
    [['token', 'pinn'], 'unknown verb token pinn', 'did you mean pin?'],
    [['config', 'show'], 'unknown verb config show', 'check, print, apply'],
    [['node', 'aprove'], 'unknown verb node aprove', 'did you mean approve?'],
    [['act', 'run'], 'unknown verb act run', 'list, break'],
    [['rollout', 'abort'], 'unknown verb rollout abort', 'status, pause, resume'],
  ])('%j likewise', async (argv, message, hint) => {
    const { code, stderr } = await run(argv)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
    expect(stderr).toContain(hint)
  })

  it('has a document with --json', async () => {
    const ran = await run(['upgrade', '--json'])
    expect(ran.code).toBe(2)
    expect(documentOf(ran)).toEqual({
      error: { code: 'MUSTER_E_USAGE', message: 'unknown verb upgrade', hint: expect.any(String) },
    })
  })
})

describe('help', () => {
  it('is there for every verb, with exit codes, and ends with 0', async () => {
    const verbs = ['up', 'status', 'token new', 'token inspect', 'token pin', 'config check', 'config print']
    for (const verb of [
      ...verbs,
      'operator new',
      'operator public',
      'kubeconfig',
      'history',
      'adopt',
      'reset',
      '',
    ]) {
      const { code, stdout, stderr } = await run([...verb.split(' ').filter((word) => word !== ''), '--help'])
      expect([code, stderr], verb).toEqual([0, ''])
      expect(stdout, verb).toContain(`Usage: muster ${verb}`.trimEnd())
      expect(stdout, verb).toContain('Exit codes: 0')
      expect(stdout, verb).not.toContain('(default: [])')
    }
    expect((await run(['help', 'status'])).stdout).toBe((await run(['status', '--help'])).stdout)
  })

  it('is shown on stderr, with 2, where the verb is missing', async () => {
    for (const argv of [[], ['token'], ['config']]) {
      const { code, stdout, stderr } = await run(argv)
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toContain('Usage: muster')
    }
  })

  it('keeps to the width of the terminal', async () => {
    const stdout = new Screen(true, 80)
    await run(['reset', '--help'], { stdout })
    const options = stdout.text.split('\n').filter((line) => /^ {2}-|^ {10}/.test(line))
    expect(options.length).toBeGreaterThan(5)
    expect(Math.max(...options.map((line) => line.length))).toBeLessThanOrEqual(80)
  })
})

describe('muster version', () => {
  it('says what runs here', async () => {
    const text = `muster ${VERSION} (Node ${process.versions.node})\n`
    expect(await run(['version'])).toEqual({ code: 0, stdout: text, stderr: '' })
    expect(await run(['--version'])).toEqual({ code: 0, stdout: text, stderr: '' })
    const document = { name: 'muster', version: VERSION, node: process.versions.node }
    expect(documentOf(await run(['version', '--json']))).toEqual(document)
  })

  it('ends with 2 for what it does not know', async () => {
    expect((await run(['version', '--jsn'])).code).toBe(2)
    expect((await run(['version', 'all'])).code).toBe(2)
  })
})

it('what nobody foresaw is reported as a fault of muster', async () => {
  const ran = await run(['up'], { runDaemon: () => Promise.reject(new TypeError('x is not a function')) })
  expect(ran.code).toBe(1)
  expect(ran.stderr).toContain('x is not a function')
  expect(ran.stderr).toContain('please report it')
})

it('any words end with an exit code, and in one document where that is asked for', async () => {
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      'status',
      'token',
      'new',
      'config',
      'check',
      '--',
      '-',
      '--wait',
      '--socket',
      '--help',
      '--yes',
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 4 }), async (words) => {
      const env = { MUSTER_SOCKET: '/nonexistent/socket', MUSTER_CONFIG: '/nonexistent.yaml' }
      const runDaemon = (): Promise<number> => Promise.resolve(0)
      const argv = [...words.filter((item) => item !== '--watch'), '--json']
      const ran = await run(argv, {
        env,
        runDaemon,
        timeout: AbortSignal.abort(),
        leaving: AbortSignal.abort(),
      })
      expect([0, 1, 2, 3]).toContain(ran.code)
      if (ran.code !== 0) expect(documentOf(ran)).toMatchObject({ error: { message: expect.any(String) } })
    }),
    { numRuns: 200 },
  )
})

it('a reader that has seen enough is no failure', async () => {
  const script = `
    import { runCommand } from '${join(import.meta.dirname, '../../src/cli/command.ts')}'
    process.stdin.once('data', async () => {
      process.exitCode = await runCommand(['--help'], '1')
      process.stdin.destroy()
    })
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script])
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk)
  })
  child.stdout.destroy()
  child.stdin.write('go')
  const [code] = await once(child, 'close')
  expect([code, stderr]).toEqual([0, ''])
})
