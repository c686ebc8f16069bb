import { describe, expect, test } from 'vitest'
import { digest } from '../../src/core/ids.ts'
import { COMPANY_MS, LEADERLESS_MS, SILENT_MS } from '../../src/core/timing.ts'
import {
  type Actor,
  type Cast,
  CLUSTER,
  cast,
  followersOf,
  formed,
  leaderOf,
  NO_DATASTORE,
  planIn,
  statusIn,
} from './cast.ts'

const codes = (stage: Cast, actor: Actor): string[] => statusIn(stage, actor).problems.map(({ code }) => code)
const problem = (stage: Cast, actor: Actor, code: string) => {
  const found = statusIn(stage, actor).problems.find((each) => each.code === code)
  if (found === undefined) throw new Error(`no problem ${code}, but ${codes(stage, actor).join(', ')}`)
  return found
}
const waits = (stage: Cast, actor: Actor): string => statusIn(stage, actor).waitingFor.join('; ')

describe('what a node waits for', () => {
  test.each([
    [1, 3, '2 more machines: 1 of 3 are here'],
    [2, 3, '1 more machine: 2 of 3 are here'],
    [3, 5, '2 more machines: 3 of 5 are here'],
    [4, 5, 'late machines: 4 of 5 are here, enough to found soon'],
  ])('with %i of %i machines is said in words', async (count, expected, text) => {
    const stage = await cast({ count, expect: expected })
    stage.pass(1_500)
    expect(waits(stage, stage.actor(0))).toContain(text)
  })

  test('is said with since when, and that does not move', async () => {
    const stage = await cast({ count: 1, expect: 3 })
    stage.pass(2_000)
    const before = waits(stage, stage.actor(0))
    stage.pass(3_600_000)
    expect(before).toMatch(/\(since 2023-11-14T22:13:2[01]/)
    expect(waits(stage, stage.actor(0))).toBe(before)
  })

  test('is the holder of an act by name, then nothing', async () => {
    const stage = await formed({ count: 3, cluster: { distribution: 'etcd' } })
    stage.until(() => planIn(stage.actor(0)).plan.act !== null)
    const { plan } = planIn(stage.actor(0))
    const holder = plan.members.find(({ id }) => id === plan.act?.node)
    expect(waits(stage, stage.actor(0))).toContain(`${holder?.name} to initialise the datastore`)
    const quiet = await formed({ count: 3 })
    quiet.pass(5_000)
    expect(statusIn(quiet, quiet.actor(0)).waitingFor).toEqual([])
    expect(statusIn(quiet, quiet.actor(0)).self.stage).toBe('ready')
  })

  test('is a person where a person is asked', async () => {
    const stage = await cast({ count: 1, ephemeral: () => 'it is a tmpfs' })
    expect(waits(stage, stage.actor(0))).toContain('a person (see problems)')
    expect(problem(stage, stage.actor(0), 'state.ephemeral').message).toContain('it is a tmpfs')
  })
})

describe('a problem', () => {
  test('names who is silent, and goes when it comes back', async () => {
    const stage = await formed({ count: 3 })
    stage.pass(5_000)
    const [silent] = followersOf(stage)
    const leader = leaderOf(stage)
    if (silent === undefined) throw new Error()
    stage.switchOff(silent)
    stage.pass(SILENT_MS + 2_000)
    const name = planIn(leader).plan.members.find(({ id }) => id === silent.id)?.name
    expect(problem(stage, leader, `node.silent.${name}`).message).toContain(`${name} (server, 10.86.0.`)
    expect(statusIn(stage, leader).cluster.state).toBe('degraded')
    stage.switchOn(silent)
    stage.pass(5_000)
    expect(codes(stage, leader)).toEqual([])
    expect(statusIn(stage, leader).cluster.state).toBe('formed')
  })

  test('names no one silent whom a node that just started could not have heard', async () => {
    const stage = await formed({ count: 3 })
    const [restarted] = followersOf(stage)
    if (restarted === undefined) throw new Error()
    for (const actor of stage.actors) stage.switchOff(actor)
    stage.switchOn(restarted)
    expect(codes(stage, restarted).filter((code) => code.startsWith('node.silent'))).toEqual([])
    stage.pass(SILENT_MS)
    expect(codes(stage, restarted)).toContain('leader.none')
  })

  test('of a missing leader says how many servers are needed and who is silent', async () => {
    const stage = await formed({ count: 3 })
    stage.pass(5_000)
    const [a, b, c] = stage.actors
    if (a === undefined || b === undefined || c === undefined) throw new Error()
    stage.switchOff(b)
    stage.switchOff(c)
    stage.pass(LEADERLESS_MS + 10_000)
    const { message, hint } = problem(stage, a, 'leader.none')
    expect(message).toMatch(/^no leader: 2 of 3 servers are needed, host-\d, host-\d are silent$/)
    expect(hint).toContain('everything that runs keeps running')
    expect(statusIn(stage, a).cluster.state).toBe('degraded')
  })

  test('of a short election is none', async () => {
    const stage = await formed({ count: 3 })
    stage.pass(5_000)
    const former = leaderOf(stage)
    const seen = new Set<string>()
    stage.switchOff(former)
    for (let i = 0; i < 50; i++) {
      stage.pass(100)
      for (const actor of stage.actors) if (actor.isOn) for (const code of codes(stage, actor)) seen.add(code)
    }
    expect([...seen].filter((code) => code === 'leader.none')).toEqual([])
    expect(leaderOf(stage)).not.toBe(former)
  })

  test('of a machine that expects another number names it and both numbers', async () => {
    const stage = await cast({ count: 3, expect: 3, settings: (i) => (i === 0 ? { expect: 5 } : {}) })
    stage.pass(2_000)
    expect(problem(stage, stage.actor(0), 'founding.expect-differs').message).toBe(
      'this node expects 5 machines, host-1 expects 3, host-2 expects 3',
    )
  })

  test('of machines that do not come is one after half a minute, with what to do; it goes when they come', async () => {
    const stage = await cast({ count: 3, expect: 3, off: (i) => i > 0 })
    const [a, b, c] = stage.actors
    if (a === undefined || b === undefined || c === undefined) throw new Error()
    stage.pass(COMPANY_MS - 1_000)
    expect(codes(stage, a)).not.toContain('founding.machines-missing')
    stage.pass(2_000)
    const { message, hint, severity } = problem(stage, a, 'founding.machines-missing')
    expect(severity).toBe('warning')
    expect(message).toBe('this node has long been waiting for 2 more machines: 1 of 3 are here')
    expect(hint).toContain('power on the missing machines')
    stage.switchOn(b)
    stage.switchOn(c)
    stage.pass(10_000)
    expect(codes(stage, a)).toEqual([])
  })

  test('of a founding that nobody answers is told', async () => {
    const stage = await cast({ count: 2, expect: 2, off: (i) => i > 0 })
    stage.drop = (_from, _to, { kind }) => kind === 'promise'
    stage.switchOn(stage.actor(1))
    stage.pass(COMPANY_MS + 10_000)
    const { hint } = problem(stage, stage.actor(0), 'founding.unanswered')
    expect(hint).toContain('TCP passes in both directions')
  })

  test('of a pinned token whose cluster does not come is told', async () => {
    const pin = digest('ab'.repeat(32))
    const stage = await cast({ count: 1, expect: 1, settings: () => ({ pin }) })
    stage.pass(COMPANY_MS + 2_000)
    expect(problem(stage, stage.actor(0), 'genesis.pinned-missing').message).toContain('abababababab')
  })

  test('of data without a plan is told by its machine and by the others', async () => {
    const data = { ...NO_DATASTORE, dataPresent: true, dataEpoch: 1 }
    const stage = await cast({ count: 3, expect: 3, distribution: (i) => (i === 0 ? data : NO_DATASTORE) })
    stage.pass(2_000)
    expect(problem(stage, stage.actor(0), 'datastore.orphan').hint).toContain('muster reset')
    expect(problem(stage, stage.actor(1), 'founding.datastore-found').message).toContain('host-0 has data')
  })

  test('of a configuration that differs from the plan names key and both values', async () => {
    const stage = await formed({
      count: 3,
      settings: (i) => (i === 0 ? { cluster: { ...CLUSTER, maxNodes: 9 } } : {}),
    })
    stage.pass(3_000)
    const differs = stage.actors.filter((actor) => codes(stage, actor).includes('config.differs'))
    expect(differs.length).toBeGreaterThan(0)
    for (const actor of differs)
      expect(problem(stage, actor, 'config.differs').message).toMatch(/maxNodes is \d+ here, \d+ in the plan/)
  })

  test('that its host names is shown beside the others', async () => {
    const stage = await formed({ count: 3 })
    const actor = stage.actor(0)
    const named = { code: 'mesh.no-wireguard', severity: 'error' as const, message: 'm', hint: 'h' }
    stage.tell(actor, { kind: 'mesh', facts: { up: false, peers: [], problems: [named] } })
    stage.pass(1_500)
    expect(problem(stage, actor, 'mesh.no-wireguard').since).toMatch(/^2023-/)
    expect(waits(stage, actor)).toContain('the mesh interface with 10.86.0.')
    expect(statusIn(stage, actor).self.stage).toBe('meshing')
  })
})
