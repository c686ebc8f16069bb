import { createServer } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import type { StatusProblem } from '../../src/core/status.ts'
import { formingStatus, node, readyStatus } from '../host/api/fixtures.ts'
import { useLab } from './daemon.ts'
import { documentOf, type Ran, run, Screen } from './run.ts'

const lab = useLab()
const status = (...options: string[]): string[] => ['status', '--socket', lab().socket, ...options]

const until = (claim: () => void): Promise<void> => vi.waitFor(claim, 30_000)

/** Runs the verb until it has asked twice, and lets its time be over then. */
async function waitInVain(options: readonly string[]): Promise<Ran> {
  const over = new AbortController()
  const asked = vi.spyOn(lab().daemon, 'status').mockClear()
  const waiting = run(status(...options), { timeout: over.signal })
  await until(() => expect(asked.mock.calls.length).toBeGreaterThan(1))
  over.abort()
  return waiting
}

describe('muster status', () => {
  it('shows what the daemon says', async () => {
    await lab().start()
    const { code, stdout, stderr } = await run(status())
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^shop-12: formed, 4 of 4 machines, leader rack-2; this machine rack-1 /)
  })

  it('is fine, however the cluster is', async () => {
    await lab().start()
    lab().daemon.current = { ...formingStatus(), self: { ...formingStatus().self, stage: 'blocked' } }
    expect((await run(status())).code).toBe(0)
  })

  it('prints the document as it is with --json', async () => {
    await lab().start()
    const ran = await run(status('--json'))
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(documentOf(ran)).toEqual(readyStatus())
  })

  it('takes the socket from MUSTER_SOCKET where no option names one', async () => {
    await lab().start()
    const ran = await run(['status', '--json'], { env: { MUSTER_SOCKET: lab().socket } })
    expect(documentOf(ran)).toEqual(readyStatus())
    expect((await run(status(), { env: { MUSTER_SOCKET: '/nonexistent' } })).code).toBe(0)
  })

  it('ends with 3 and says what to do where no daemon answers', async () => {
    const { code, stdout, stderr } = await run(status())
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toBe(
      `muster: no daemon answers at ${lab().socket} (ENOENT)\n  hint: start it with \`muster up\`, or name its socket with --socket\n`,
    )
    const ran = await run(status('--json'))
    expect(ran.code).toBe(3)
    expect(documentOf(ran)).toEqual({
      error: {
        code: 'MUSTER_E_NO_DAEMON',
        message: `no daemon answers at ${lab().socket} (ENOENT)`,
        hint: expect.stringContaining('muster up'),
      },
    })
  })

  it('ends with 1 where the daemon fails', async () => {
    await lab().start()
    lab().daemon.status = () => {
      throw new Error('detail')
    }
    const { code, stderr } = await run(status())
    expect(code).toBe(1)
    expect(stderr).toContain('the daemon failed to answer')
  })
})

describe('muster status --wait', () => {
  it('ends at once where the stage is reached, or a later one', async () => {
    await lab().start()
    for (const stage of ['ready', 'meshing', 'discovering']) {
      const ran = await run(status('--wait', stage, '--json'))
      expect(ran).toMatchObject({ code: 0, stderr: '' })
      expect(documentOf(ran)).toEqual(readyStatus())
    }
  })

  it.each([
    ['ready', 'blocked'],
    ['blocked', 'ready'],
    ['blocked', 'leaving'],
  ] as const)('takes a node that is %s for none that is %s', async (stage, wanted) => {
    await lab().start()
    const ready = readyStatus()
    lab().daemon.current = { ...ready, self: { ...ready.self, stage } }
    expect((await waitInVain(['--wait', wanted])).code).toBe(1)
    expect((await run(status('--wait', stage))).code).toBe(0)
  })

  it('waits for a daemon that is not there yet and for a stage that comes later', async () => {
    const waiting = run(status('--wait', 'ready'))
    const asked = vi.spyOn(lab().daemon, 'status')
    lab().daemon.current = formingStatus()
    await lab().start()
    await until(() => expect(asked.mock.calls.length).toBeGreaterThan(1))
    lab().daemon.become(readyStatus())
    const { code, stdout } = await waiting
    expect(code).toBe(0)
    expect(stdout).toContain('is ready')
  })

  it('says what is waited for and what is wrong when the time is over', async () => {
    await lab().start()
    const problem: StatusProblem = {
      code: 'mesh.unreachable',
      severity: 'warning',
      since: '2026-01-02T03:04:00.000Z',
      message: 'no mesh path to rack-2',
      hint: 'check UDP',
    }
    const remark: StatusProblem = { ...problem, severity: 'info', message: 'quiet' }
    const waitingFor = ['1 more machine: 2 of 3 are here (since 2026-01-02T03:04:20.000Z)']
    const forming = { ...formingStatus(), waitingFor, problems: [problem, remark] }
    lab().daemon.current = forming
    const { code, stdout, stderr } = await waitInVain(['--wait', 'ready', '--timeout', '5m'])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(`muster: rack-1 is founding, not ready, after 5 min
  waiting for 1 more machine: 2 of 3 are here, for 40 s
  warning: no mesh path to rack-2 (check UDP)
  hint: see \`muster status\`; give it longer with --timeout
`)
    const ran = await waitInVain(['--wait', 'ready', '--json'])
    expect(ran.code).toBe(1)
    expect(documentOf(ran)).toMatchObject({ error: { code: 'MUSTER_E_NOT_REACHED' }, status: forming })
  })

  it('ends with 3 where no daemon ever answered', async () => {
    const { code, stderr } = await run(status('--wait', 'ready'), { timeout: AbortSignal.timeout(1) })
    expect(code).toBe(3)
    expect(stderr).toContain('no daemon answers')
  })

  it('ends with 1 where a daemon answered and went', async () => {
    lab().daemon.current = formingStatus()
    await lab().start()
    const over = new AbortController()
    const waiting = run(status('--wait', 'ready'), { timeout: over.signal })
    const asked = vi.spyOn(lab().daemon, 'status')
    await until(() => expect(asked.mock.calls.length).toBeGreaterThan(1))
    await lab().stop()
    let knocks = 0
    const deaf = createServer((socket) => {
      knocks += 1
      socket.destroy()
    }).listen(lab().socket)
    await until(() => expect(knocks).toBeGreaterThan(1))
    over.abort()
    const { code, stderr } = await waiting
    deaf.close()
    expect(code).toBe(1)
    expect(stderr).toContain('rack-1 is founding, not ready, after 60 s')
    expect(stderr).toContain('the daemon answers no longer: no daemon answers at')
  })

  it('does not hang on a daemon that accepts and is silent', async () => {
    const over = new AbortController()
    const silent = createServer(() => over.abort()).listen(lab().socket)
    const { code, stderr } = await run(status('--wait', 'ready'), { timeout: over.signal })
    silent.close()
    expect(code).toBe(3)
    expect(stderr).toContain('the daemon did not answer within 60 s')
  })

  it('does not wait where waiting does not help', async () => {
    await lab().start()
    lab().daemon.status = () => {
      throw new Error('detail')
    }
    const { code, stderr } = await run(status('--wait', 'ready'))
    expect(code).toBe(1)
    expect(stderr).toContain('the daemon failed to answer')
  })
})

describe('muster status --watch', () => {
  it('prints on change, and nothing for the mere passing of time, where no person looks', async () => {
    await lab().start()
    lab().daemon.current = formingStatus()
    const stdout = new Screen()
    const end = new AbortController()
    const watching = run(status('--watch'), { stdout, leaving: end.signal })
    await until(() => expect(stdout.text).toContain('shop-12: founding'))
    const asked = vi.spyOn(lab().daemon, 'status')
    const later = formingStatus()
    lab().daemon.become({ ...later, nodes: later.nodes.map((item) => ({ ...item, lastSeenMs: 9_999 })) })
    await until(() => expect(asked.mock.calls.length).toBeGreaterThan(1))
    lab().daemon.become(readyStatus())
    await until(() => expect(stdout.text).toContain('shop-12: formed'))
    await lab().stop()
    await until(() => expect(stdout.text).toContain('no daemon answers'))
    end.abort()
    expect((await watching).code).toBe(0)
    expect(stdout.text.match(/^-- 2026-01-02 03:05:00Z$/gm)).toHaveLength(3)
    expect(stdout.text).not.toContain('\x1b')
  })

  it('draws over itself on a terminal, and never more than fits', async () => {
    await lab().start()
    const ready = readyStatus()
    lab().daemon.current = { ...ready, nodes: Array.from({ length: 50 }, (_, index) => node(index)) }
    const stdout = new Screen(true, 100, 10)
    const end = new AbortController()
    const watching = run(status('--watch'), { stdout, leaving: end.signal })
    const drawings = (): string[] => stdout.text.split('\x1b[H').slice(1)
    await until(() => expect(drawings().length).toBeGreaterThan(1))
    end.abort()
    expect((await watching).code).toBe(0)
    for (const drawing of drawings()) {
      expect(drawing.split('\n')).toHaveLength(10)
      expect(drawing).toContain('… 50 more lines')
    }
    expect(stdout.text.split('\x1b[2J')).toHaveLength(2)
  })

  it('draws all of it on a terminal that does not know its size', async () => {
    await lab().start()
    const stdout = new Screen(true, 0, 0)
    const end = new AbortController()
    const watching = run(status('--watch'), { stdout, leaving: end.signal })
    await until(() => expect(stdout.text).toContain('cluster 4f1d9a0c4f1d'))
    end.abort()
    await watching
    expect(stdout.text).toContain('this machine rack-1 (server, 10.86.0.1)')
  })

  it('ends with 3 where no daemon answered until the user left', async () => {
    const stdout = new Screen()
    const end = new AbortController()
    const watching = run(status('--watch'), { stdout, leaving: end.signal })
    await until(() => expect(stdout.text).toContain('no daemon answers'))
    end.abort()
    expect((await watching).code).toBe(3)
  })

  it('ends with 1 where the daemon refuses', async () => {
    await lab().start()
    lab().daemon.status = () => {
      throw new Error('detail')
    }
    expect((await run(status('--watch'))).code).toBe(1)
  })
})

describe('muster status with wrong options', () => {
  it.each([
    [['--wait', 'redy'], 'did you mean ready?'],
    [['--wait', 'happy'], 'the stages are discovering, founding'],
    [['--wait'], 'argument missing'],
    [['--wait', 'ready', '--timeout', '5'], '"5" is no duration'],
    [['--wait', 'ready', '--timeout', '-5s'], '"-5s" is no duration'],
    [['--wait', 'ready', '--timeout', '0s'], '"0s" is no duration'],
    [['--wait', 'ready', '--timeout', '999h'], '"999h" is no duration'],
    [['--timeout', '5s'], '--wait ready'],
    [['--watch', '--wait', 'ready'], 'exclude each other'],
    [['--watch', '--json'], 'muster status --json'],
    [['--jsno'], 'Did you mean --json?'],
    [['extra'], 'too many arguments'],
  ])('%j ends with 2 and says why', async (options, words) => {
    const { code, stderr } = await run(status(...options))
    expect(code).toBe(2)
    expect(stderr).toContain(words)
  })
})
