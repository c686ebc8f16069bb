/**
 * k3s in stories: the hazards of DESIGN.md section 17 whose k3s differs from a bare datastore, and rollouts of
 * its settings. What holds in any seed (never two servers down by our hand, servers before agents, a snapshot
 * first, no minor skipped) is checked by the oracles in each of them.
 */
import { describe, expect, test } from 'vitest'
import { machines, type Story } from '../../sim/scenario.ts'
import type { Fault } from '../../sim/schedule.ts'
import { plainK3s } from '../../src/core/k3s.ts'
import { statusOf } from '../../src/core/report.ts'
import type { StatusRollout } from '../../src/core/status.ts'
import { crash, ends, initialiserOf, type Played, planOf, play, problemsOf, stageOf } from './play.ts'

const three: Story = { expect: 3, machines: machines(3), distribution: 'k3s' }
const five: Story = { ...three, expect: 5, machines: machines(5), k3s: { version: 'v1.30.0+k3s1' } }
const CRASHES = { ...plainK3s().server, args: ['crash'] }

const configure = (at: number, k3s: Extract<Fault, { kind: 'configure' }>['k3s'], more = {}): Fault => ({
  kind: 'configure',
  at,
  machine: 0,
  k3s,
  acceptDowntime: false,
  ...more,
})
const upgrade = configure(90_000, { version: 'v1.31.2+k3s1' })

const rolloutIn = ({ machines: all }: Played): StatusRollout => {
  const machine = all.find(({ state }) => state !== null)
  if (machine?.state == null) throw new Error('all machines are off')
  const { rollout } = statusOf(machine.state, machine.clock())
  if (rollout === null) throw new Error('no rollout')
  return rollout
}
const versions = ({ machines: all }: Played): string[] => all.map(({ datastore }) => datastore.k3s.version)
const serving = (played: Played): boolean[] => {
  const { clusterId, members } = planOf(played.machine(0)).datastore
  return played.machines
    .filter(({ keys }) => members.includes(keys.id))
    .map(({ datastore }) => datastore.serves(clusterId))
}

describe('k3s forms', () => {
  test('1: five at once are three servers and two agents, with one datastore', async () => {
    const played = await play(five)
    ends(played)
    expect(played.count('datastores made')).toBe(1)
    expect(serving(played)).toEqual([true, true, true])
    expect(played.machines.map(stageOf)).toEqual(Array.from({ length: 5 }, () => 'ready'))
    expect(played.count('k3s agents ready')).toBe(2)
  })

  test.each([0, 700, 1_500, 3_000, 9_000, 16_000])(
    '5: the initialiser dies %i ms after the founding, for long: another does its work, once',
    async (afterMs) => {
      const machine = await initialiserOf(three)
      const played = await play({
        ...three,
        faults: [crash(900 + afterMs, machine, 300_000)],
        calmAt: 400_000,
      })
      ends(played)
      expect(serving(played)).toEqual([true, true, true])
    },
  )

  test('6: a wiped initialiser comes back as a new node: an agent of the datastore that it made', async () => {
    const machine = await initialiserOf(three)
    const played = await play({
      ...three,
      faults: [{ at: 60_000, machine, kind: 'wipe', offMs: 5_000 }],
      calmAt: 66_000,
    })
    expect(played.count('datastores made')).toBe(1)
    const wiped = played.machine(machine)
    expect(planOf(wiped).members.find(({ id }) => id === wiped.keys.id)?.role).toBe('agent')
    expect(wiped.datastore.isReady()).toBe(true)
  })

  test('7: all state of muster is lost, k3s’ data is not: nobody founds or initialises', async () => {
    const played = await play({
      ...three,
      faults: [0, 1, 2].map((machine) => ({ at: 60_000, machine, kind: 'forget', offMs: 5_000 }) as const),
      calmAt: 66_000,
      endAt: 600_000,
    })
    expect(played.count('foundings')).toBe(1)
    expect(played.count('datastores made')).toBe(1)
    for (const machine of played.machines) expect(problemsOf(machine)).toContain('datastore.orphan')
  })

  test('11: of five joiners one joins at a time, and agents wait for none of them', async () => {
    const played = await play({ ...three, expect: 7, machines: machines(7), servers: 5 })
    ends(played)
    expect(played.count('datastore joins')).toBe(4)
    expect(played.count('too many learners')).toBe(0)
    expect(played.count('k3s agents ready')).toBeGreaterThanOrEqual(2)
  })

  test.each([0, 1_000, 4_000, 9_000, 14_000])(
    '12: a joiner that dies %i ms after the datastore is there goes on when it is back',
    async (afterMs) => {
      const first = await initialiserOf(three)
      const faults = [0, 1, 2].filter((i) => i !== first).map((i) => crash(9_000 + afterMs, i, 3_000))
      const played = await play({ ...three, faults, calmAt: 40_000 })
      ends(played)
      expect(played.count('datastores made')).toBe(1)
      expect(serving(played)).toEqual([true, true, true])
    },
  )

  test('13: the server through which others came dies: agents and joiners use another', async () => {
    const story: Story = { ...five, servers: 3 }
    const machine = await initialiserOf(story)
    const played = await play({
      ...story,
      faults: [crash(60_000, machine, 120_000)],
      calmAt: 62_000,
      endAt: 100_000,
    })
    const alive = played.machines.filter(({ index }) => index !== machine)
    expect(alive.map(({ datastore }) => datastore.isReady())).toEqual([true, true, true, true])
  })

  test('14: two of three servers are gone: everybody says what is lost, and nothing is changed', async () => {
    const calm = await play(five)
    const servers = planOf(calm.machine(0)).datastore.members
    const gone = calm.machines
      .filter(({ keys }) => servers.slice(0, 2).includes(keys.id))
      .map(({ index }) => index)
    const played = await play({
      ...five,
      faults: gone.map((machine) => crash(90_000, machine, 900_000)),
      calmAt: 991_000,
      endAt: 300_000,
    })
    const left = played.machines.filter(({ state }) => state !== null)
    expect(left).toHaveLength(3)
    for (const machine of left) {
      expect(planOf(machine).act).toBeNull()
      expect(problemsOf(machine)).toContain('datastore-lost')
    }
  })
})

describe('a rollout', () => {
  test('brings a version to all: a snapshot, the servers, then the agents', async () => {
    const played = await play({ ...five, faults: [upgrade], calmAt: 91_000 })
    ends(played)
    expect(rolloutIn(played)).toMatchObject({ number: 1, state: 'done', target: 'v1.31.2+k3s1' })
    expect(new Set(versions(played))).toEqual(new Set(['v1.31.2+k3s1']))
    expect(played.count('k3s snapshots')).toBe(1)
    expect(played.count('k3s restarts')).toBe(5)
    expect(planOf(played.machine(0)).history.map(({ cause }) => cause)).toEqual(
      expect.arrayContaining(['configured', 'upgrade', 'upgraded', 'turn', 'turned', 'rolled']),
    )
  })

  test.each([1_000, 4_000, 8_000, 14_000, 20_000])(
    'goes on with another leader, who comes %i ms after it began',
    async (afterMs) => {
      const hunt: Fault = {
        kind: 'hunt',
        at: 90_000 + afterMs,
        machine: 0,
        ms: 4_000,
        everyMs: 1_900,
        how: 'crash',
        offMs: 6_000,
        perMille: 1_000,
      }
      const played = await play({ ...five, faults: [upgrade, hunt], calmAt: 120_000 })
      ends(played)
      expect(played.count('leaders hunted')).toBeGreaterThan(0)
      expect(rolloutIn(played).state).toBe('done')
      expect(new Set(versions(played))).toEqual(new Set(['v1.31.2+k3s1']))
    },
  )

  test('halts at the first server that does not come up, names it, and leaves the others alone', async () => {
    const played = await play({
      ...five,
      faults: [configure(90_000, { server: CRASHES })],
      calmAt: 91_000,
      endAt: 600_000,
    })
    const rollout = rolloutIn(played)
    expect(rollout.state).toBe('halted')
    const failed = rollout.nodes.filter(({ state }) => state === 'changing').map(({ name }) => name)
    expect(failed).toHaveLength(1)
    expect(rollout.reason).toContain(failed[0])
    expect(serving(played).filter((serves) => serves)).toHaveLength(2)
    expect(played.count('k3s restarts')).toBe(1)
    for (const machine of played.machines) expect(problemsOf(machine)).toContain('rollout.halted')
  })

  test('that halted is mended by settings that work: the server that is down is the first', async () => {
    const mended = configure(300_000, { server: { ...plainK3s().server, args: ['--fine'] } })
    const played = await play({
      ...five,
      faults: [configure(90_000, { server: CRASHES }), mended],
      calmAt: 301_000,
    })
    ends(played)
    expect(rolloutIn(played)).toMatchObject({ number: 2, state: 'done' })
    expect(serving(played)).toEqual([true, true, true])
  })

  test('halts at an agent that fails, when all servers are through', async () => {
    const played = await play({
      ...five,
      faults: [configure(90_000, { agent: CRASHES })],
      calmAt: 91_000,
      endAt: 600_000,
    })
    const { state, nodes } = rolloutIn(played)
    expect(state).toBe('halted')
    expect(nodes.filter(({ role }) => role === 'server').map((node) => node.state)).toEqual([
      'done',
      'done',
      'done',
    ])
    expect(nodes.filter((node) => node.state === 'waiting')).toHaveLength(1)
  })

  test('touches nobody where the binary is not what it should be', async () => {
    const artefacts = [{ arch: 'amd64' as const, url: null, sha256: '9'.repeat(64) }]
    const played = await play({
      ...five,
      faults: [configure(90_000, { version: 'v1.31.2+k3s1', artefacts })],
      calmAt: 91_000,
      endAt: 400_000,
    })
    expect(rolloutIn(played)).toMatchObject({ state: 'halted', reason: expect.stringContaining('checksum') })
    expect(played.count('k3s restarts')).toBe(0)
    expect(planOf(played.machine(0)).act).toBeNull()
  })

  test('waits while a server is away, and takes none of the others', async () => {
    const calm = await play(five)
    const away = calm.machines.findIndex(
      ({ keys }) => keys.id === planOf(calm.machine(0)).datastore.members[1],
    )
    const played = await play({
      ...five,
      faults: [crash(80_000, away, 300_000), upgrade],
      calmAt: 385_000,
      endAt: 300_000,
    })
    expect(played.count('k3s restarts')).toBe(0)
    expect(rolloutIn(played).state).toBe('running')
  })

  test.each([
    ['a version that skips a minor', 'v1.32.0+k3s2'],
    ['a version that takes a minor back', 'v1.29.9+k3s1'],
  ])('refuses %s', async (_what, version) => {
    const played = await play({ ...five, faults: [configure(90_000, { version })], calmAt: 91_000 })
    ends(played)
    expect(planOf(played.machine(0)).rollout).toBeNull()
    expect(played.count('commands refused')).toBe(1)
  })

  test('of one server alone asks for the downtime first', async () => {
    const story: Story = { ...three, expect: 1, machines: machines(1) }
    const asked = await play({ ...story, faults: [configure(60_000, { registry: true })], calmAt: 61_000 })
    expect(planOf(asked.machine(0)).rollout).toBeNull()
    const accepted = configure(60_000, { registry: true }, { acceptDowntime: true })
    const played = await play({ ...story, faults: [accepted], calmAt: 61_000 })
    ends(played)
    expect(rolloutIn(played).state).toBe('done')
    expect(played.count('k3s restarts')).toBe(1)
  })

  test('gives a node that comes in the middle what is right for it', async () => {
    const late = [...machines(5), { startAt: 95_000 }]
    const played = await play({ ...five, machines: late, faults: [upgrade], calmAt: 96_000 })
    ends(played)
    expect(rolloutIn(played).nodes).toHaveLength(6)
    expect(new Set(versions(played))).toEqual(new Set(['v1.31.2+k3s1']))
  })

  test('is held up and let go on by a person', async () => {
    const steer = (at: number, to: 'pause' | 'resume'): Fault => ({ kind: 'steer', at, machine: 0, to })
    const faults = [upgrade, steer(91_000, 'pause'), steer(300_000, 'resume')]
    const held = await play({ ...five, faults, calmAt: 301_000, endAt: 290_000 })
    expect(rolloutIn(held).state).toBe('paused')
    expect(held.count('k3s restarts')).toBeLessThan(2)
    const played = await play({ ...five, faults, calmAt: 301_000 })
    ends(played)
    expect(rolloutIn(played).state).toBe('done')
  })
})
