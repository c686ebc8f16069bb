import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeToken, makeToken } from '../../src/core/token.ts'
import { node, readyStatus } from '../host/api/fixtures.ts'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()
const at = (...words: string[]): string[] => [...words, '--socket', lab().socket]

describe('commands about the cluster', () => {
  it.each([
    [['node', 'approve', 'rack-4'], { verb: 'approve', node: 'rack-4', as: 'agent' }],
    [['node', 'approve', 'rack-4', '--server'], { verb: 'approve', node: 'rack-4', as: 'server' }],
    [['node', 'promote', 'rack-4'], { verb: 'promote', node: 'rack-4' }],
    [['node', 'demote', 'rack-1', '--yes'], { verb: 'demote', node: 'rack-1' }],
    [['node', 'remove', 'rack-1', '--yes'], { verb: 'remove', node: 'rack-1' }],
    [['node', 'revoke', 'rack-1', '--yes'], { verb: 'revoke', node: 'rack-1' }],
    [['node', 'replace', 'rack-1', 'rack-4', '--yes'], { verb: 'replace', old: 'rack-1', new: 'rack-4' }],
    [['rollout', 'pause'], { verb: 'rollout', to: 'pause' }],
    [['rollout', 'resume'], { verb: 'rollout', to: 'resume' }],
  ])('%j', async (words, command) => {
    await lab().start()
    const ran = await run(at(...words, '--why', 'a new shop'))
    expect(ran).toEqual({ code: 0, stdout: 'done\n', stderr: '' })
    expect(lab().daemon.orders).toEqual([
      { command, by: { who: expect.stringContaining('@'), why: 'a new shop', operator: null } },
    ])
  })

  it('a refusal ends with 1 and says what to do', async () => {
    await lab().start()
    lab().daemon.answer = { ok: false, message: 'rack-9 is not known', hint: 'see `muster node list`' }
    const { code, stdout, stderr } = await run(at('node', 'promote', 'rack-9'))
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe('muster: rack-9 is not known\n  hint: see `muster node list`\n')
    expect(documentOf(await run(at('node', 'promote', 'rack-9', '--json')))).toMatchObject({
      error: { code: 'MUSTER_E_REFUSED', hint: 'see `muster node list`' },
    })
  })

  it.each([['remove'], ['revoke'], ['demote']])(
    '%s asks, and where nobody can answer wants --yes',
    async (verb) => {
      await lab().start()
      const { code, stderr } = await run(at('node', verb, 'rack-1'))
      expect(code).toBe(2)
      expect(stderr).toContain('add --yes')
      expect(lab().daemon.orders).toEqual([])
    },
  )

  it('wants a reason that the history can keep', async () => {
    await lab().start()
    expect((await run(at('node', 'promote', 'rack-4', '--why', ''))).code).toBe(2)
    expect((await run(at('node', 'promote', 'rack-4', '--why', 'x'.repeat(300)))).code).toBe(2)
  })

  it('ends with 3 without a daemon', async () => {
    expect((await run(at('node', 'promote', 'rack-4'))).code).toBe(3)
    expect((await run(at('node', 'remove', 'rack-4', '--yes'))).code).toBe(3)
  })
})

it('lists the machines, and those that wait', async () => {
  const waiting = node(3, { role: 'pending', address: null, stage: null })
  await lab().start()
  const status = readyStatus()
  lab().daemon.become({ ...status, nodes: [...status.nodes, waiting] })
  const { stdout } = await run(at('node', 'list'))
  expect(stdout).toMatch(/rack-4 +pending +- +- +yes +12D3KooWDelta/)
  expect(documentOf(await run(at('node', 'list', '--json')))).toMatchObject({
    apiVersion: 'muster/v1',
    nodes: expect.arrayContaining([waiting]),
  })
})

describe('acts', () => {
  const act = { kind: 'join', node: 'rack-2', attempt: 5, ageMs: 65_000 }

  it('shows the one under way, and ends it by its number', async () => {
    await lab().start()
    lab().daemon.become({ ...readyStatus(), act })
    expect((await run(at('act', 'list'))).stdout).toMatch(/^5: rack-2 has to join, for /)
    expect((await run(at('act', 'break', '--yes'))).code).toBe(0)
    expect(lab().daemon.orders[0]?.command).toEqual({ verb: 'act-break', attempt: 5 })
    expect((await run(at('act', 'break', 'five', '--yes'))).code).toBe(2)
  })

  it('says that there is none', async () => {
    await lab().start()
    expect((await run(at('act', 'list'))).stdout).toBe('no act is under way\n')
    expect((await run(at('act', 'break', '--yes'))).code).toBe(1)
  })
})

describe('config apply', () => {
  const text = encodeToken(makeToken(new Uint8Array(32).fill(7), 3, 'shop-12', null))
  const file = (more: string): string => {
    const path = join(lab().directory, 'muster.yaml')
    writeFileSync(path, `muster:\n  token: ${text}\n  distribution: {kind: etcd}\n${more}`, { mode: 0o600 })
    return path
  }
  const settings = {
    servers: 'auto',
    admission: 'open',
    promote: 'founders',
    replaceAfterMs: 900_000,
    operators: [],
    maxNodes: 1_000,
    vpnMode: 'wireguard',
    vpnCidr: '10.86.0.0/16',
    distribution: 'etcd',
    k3s: null,
  } as const

  it('shows what would change, then changes that and nothing else', async () => {
    await lab().start()
    lab().daemon.planSettings = { index: 4, settings }
    const path = file('  admission: approve\n')
    expect((await run(at('config', 'apply', '--dry-run', path))).stdout).toBe('  admission: open → approve\n')
    expect(lab().daemon.orders).toEqual([])
    expect((await run(at('config', 'apply', '--yes', path))).code).toBe(0)
    expect(lab().daemon.orders[0]?.command).toEqual({
      verb: 'config',
      settings: { admission: 'approve' },
      acceptDowntime: false,
    })
  })

  it('has nothing to do where the plan says the same', async () => {
    await lab().start()
    lab().daemon.planSettings = { index: 4, settings }
    expect((await run(at('config', 'apply', file('')))).stdout).toMatch(/nothing to change/)
    expect(lab().daemon.orders).toEqual([])
  })

  it('a faulty file changes nothing', async () => {
    await lab().start()
    lab().daemon.planSettings = { index: 4, settings }
    const { code, stderr } = await run(at('config', 'apply', '--yes', file('  admision: approve\n')))
    expect(code).toBe(2)
    expect(stderr).toContain('admission')
  })

  it('before there is a plan there is nothing to change', async () => {
    await lab().start()
    expect((await run(at('config', 'apply', '--yes', file('')))).code).toBe(1)
  })
})
