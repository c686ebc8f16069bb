import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { takeLock } from '../../src/host/lock.ts'
import { LOCK_FILE } from '../../src/host/store.ts'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()
let state: string

beforeEach(() => {
  state = join(lab().directory, 'state')
  mkdirSync(state)
  writeFileSync(join(state, 'identity'), 'precious')
})

const isUntouched = (): boolean => existsSync(join(state, 'identity'))

describe('muster reset with a daemon', () => {
  it('asks the daemon, and says what it did', async () => {
    await lab().start()
    lab().daemon.answer = { ok: true, message: 'moved to aside-1, nothing was deleted', hint: null }
    const { code, stdout, stderr } = await run(['reset', '--yes', '--socket', lab().socket])
    expect([code, stdout, stderr]).toEqual([0, 'moved to aside-1, nothing was deleted\n', ''])
    expect(lab().daemon.commands).toEqual(['reset'])
  })

  it('asks the person first, who is told which machine it is', async () => {
    await lab().start()
    const argv = ['reset', '--socket', lab().socket]
    const { code, stderr } = await run(argv, { stdin: 'yes\n', isInteractive: true })
    expect(code).toBe(0)
    expect(stderr).toMatch(
      /^rack-1 \(server, 10\.86\.0\.1\) of the network shop-12 .* Nothing is deleted\.\nGo on\? /,
    )
    expect(lab().daemon.commands).toEqual(['reset'])
  })

  it.each(['n\n', '\n', '', 'yesterday\n', 'no\nyes\n'])(
    'does nothing when the answer is %j',
    async (stdin) => {
      await lab().start()
      const { code, stderr } = await run(['reset', '--socket', lab().socket], { stdin, isInteractive: true })
      expect(code).toBe(1)
      expect(stderr).toContain('nothing was changed')
      expect(lab().daemon.commands).toEqual([])
    },
  )

  it('needs --yes where there is nobody to ask', async () => {
    await lab().start()
    const { code, stderr } = await run(['reset', '--socket', lab().socket], { stdin: 'yes\n' })
    expect(code).toBe(2)
    expect(stderr).toContain('add --yes')
    expect(lab().daemon.commands).toEqual([])
  })

  it('ends with 1 and says why where the daemon refuses', async () => {
    await lab().start()
    lab().daemon.answer = { ok: false, message: 'the disk is full', hint: null }
    const ran = await run(['reset', '--yes', '--socket', lab().socket, '--json'])
    expect(ran.code).toBe(1)
    expect(documentOf(ran)).toMatchObject({
      error: { code: 'MUSTER_E_REFUSED', message: 'the disk is full' },
    })
  })

  it('does not fall back to a directory where a daemon was named that does not answer', async () => {
    const env = { MUSTER_STATE: state }
    expect((await run(['reset', '--yes', '--socket', lab().socket], { env })).code).toBe(3)
    expect(isUntouched()).toBe(true)
  })
})

describe('muster reset without a daemon', () => {
  it('moves everything in the directory aside, and says where to', async () => {
    const { code, stdout } = await run(['reset', '--yes', '--state', state])
    expect(code).toBe(0)
    const aside = join(state, 'aside-2026-01-02T03-05-00.000Z')
    expect(stdout).toMatch(new RegExp(`^moved to ${aside}, nothing was deleted: identity; `))
    expect(readFileSync(join(aside, 'identity'), 'utf8')).toBe('precious')
    expect(isUntouched()).toBe(false)
  })

  it('takes the directory of the configuration where none is named', async () => {
    const token = (await run(['token', 'new', '--expect', '3', '--network', 'a'])).stdout.trim()
    const config = join(lab().directory, 'muster.yaml')
    writeFileSync(config, `muster: {token: ${token}, distribution: {kind: none}, state: ${state}}\n`, {
      mode: 0o600,
    })
    const env = { MUSTER_CONFIG: config, MUSTER_SOCKET: lab().socket }
    const ran = await run(['reset', '--yes', '--json'], { env })
    expect(documentOf(ran)).toEqual({
      ok: true,
      message: expect.stringContaining(`moved to ${state}/aside-`),
    })
    expect(isUntouched()).toBe(false)
  })

  it('asks the person first', async () => {
    const argv = ['reset', '--state', state]
    const declined = await run(argv, { stdin: 'n\n', isInteractive: true })
    expect(declined.code).toBe(1)
    expect(declined.stderr).toContain(`everything in ${state} is moved aside`)
    expect(isUntouched()).toBe(true)
    expect((await run(argv, { stdin: 'Y\n', isInteractive: true })).code).toBe(0)
    expect(isUntouched()).toBe(false)
  })

  it('says where there was nothing', async () => {
    const { code, stdout } = await run(['reset', '--yes', '--state', join(lab().directory, 'none')])
    expect([code, stdout]).toEqual([0, expect.stringContaining('this machine is new already')])
  })

  it('leaves a directory alone on which a daemon runs', async () => {
    const lock = await takeLock(join(state, LOCK_FILE))
    const { code, stderr } = await run(['reset', '--yes', '--state', state])
    lock.release()
    expect(code).toBe(1)
    expect(stderr).toContain('in use by another muster')
    expect(stderr).toContain('name its daemon with --socket')
    expect(readdirSync(state).sort()).toEqual(['identity', LOCK_FILE].sort())
  })

  it('ends with 2 where daemon and directory are both named, or no directory can be known', async () => {
    expect((await run(['reset', '--yes', '--state', state, '--socket', lab().socket])).code).toBe(2)
    const env = { MUSTER_CONFIG: '/nonexistent.yaml', MUSTER_SOCKET: lab().socket }
    expect((await run(['reset', '--yes'], { env })).code).toBe(2)
    expect((await run(['reset', '--state', state])).code).toBe(2)
    expect(isUntouched()).toBe(true)
  })
})
