/**
 * The hazards of DESIGN.md section 17 as stories that the simulator plays: everything that it checks in any seed
 * is checked here too, and each story says besides what must have come of it. Hazards whose part of the core is
 * not built yet have none.
 */
import { describe, expect, test } from 'vitest'
import type { Machine } from '../../sim/machine.ts'
import { machines, type Story, scheduleOf } from '../../sim/scenario.ts'
import type { Fault } from '../../sim/schedule.ts'
import { type Ending, runSchedule } from '../../sim/world.ts'
import { statusOf } from '../../src/core/report.ts'
import { crash, ends, genesisOf, initialiserOf, planOf, play, problemsOf, stageOf } from './play.ts'

describe('founding', () => {
  test('1: all boot in the same second, and there is one genesis and one datastore', async () => {
    for (const seed of [1, 2, 3]) {
      const played = await play({
        seed,
        expect: 5,
        machines: machines(5),
        network: { delaysMs: [1, 20, 200] },
      })
      ends(played)
      expect(new Set(played.machines.map(genesisOf)).size).toBe(1)
      expect(played.count('datastores made')).toBe(1)
    }
  })

  test('2: too few never found, however long, and say what is missing', async () => {
    const played = await play({ expect: 5, machines: machines(3), endAt: 3_600_000 })
    expect(played.machines.map(genesisOf)).toEqual([null, null, null])
    for (const machine of played.machines) {
      expect(statusOf(machine.state ?? unreachable(), machine.clock()).waitingFor.join()).toContain('3 of 5')
    }
  })

  test.each(['before-write', 'in-write', 'after-write', 'between-effects'] as const)(
    '3: the candidate dies %s, at every write of its candidacy; another goes on',
    async (point) => {
      for (let skip = 0; skip < 4; skip++) {
        for (let machine = 0; machine < 4; machine++) {
          const played = await play({
            seed: 77,
            expect: 4,
            machines: machines(4),
            distribution: 'none',
            faults: [{ at: 50, machine, kind: 'crash', point, skip, power: false, offMs: 20_000 }],
            calmAt: 30_000,
          })
          ends(played)
          expect(new Set(played.machines.map(genesisOf)).size).toBe(1)
        }
      }
    },
  )

  test('4: two geneses meet: both run on, a newcomer waits, nobody’s data is touched', async () => {
    const apart: Fault = { at: 0, machine: 0, kind: 'cut', with: [1], oneWay: false, ms: 60_000 }
    const story: Story = {
      expect: 2,
      machines: [{ startAt: 0 }, { startAt: 0 }, { startAt: 0 }, { startAt: 0 }, { startAt: 70_000 }],
      faults: [apart],
      calmAt: 60_000,
      endAt: 200_000,
    }
    let ending: Ending | null = null
    const { violation, excuse } = await runSchedule(scheduleOf(story), null, (end) => {
      ending = end
    })
    expect(violation).toBeNull()
    // Two surplus machines promise: what rule 1 does not promise is what this story is about.
    expect(excuse).toContain('more machines promised')
    if (ending === null) throw new Error('it did not end')
    const all: readonly Machine[] = (ending as Ending).machines
    const [a, b, c, d, newcomer] = all
    if (!a || !b || !c || !d || !newcomer) throw new Error('machines are missing')
    expect(genesisOf(a)).toBe(genesisOf(b))
    expect(genesisOf(c)).toBe(genesisOf(d))
    expect(genesisOf(a)).not.toBe(genesisOf(c))
    expect(genesisOf(newcomer)).toBeNull()
    for (const machine of all) expect(problemsOf(machine)).toContain('genesis.conflict')
    const servers = [a, b, c, d].filter((machine) => planOf(machine).voters.includes(machine.keys.id))
    expect(servers).toHaveLength(2)
    for (const machine of servers) {
      expect(machine.datastore.serves(planOf(machine).datastore.clusterId)).toBe(true)
    }
  })

  test('29: a machine that missed the founding joins beside one of day two, and founds nothing', async () => {
    const played = await play({
      expect: 4,
      machines: [{}, {}, {}, { startAt: 90_000 }, { startAt: 90_000 }],
      calmAt: 91_000,
    })
    ends(played)
    expect(new Set(played.machines.map(genesisOf)).size).toBe(1)
    expect(played.count('foundings')).toBe(1)
    expect(planOf(played.machine(3)).members).toHaveLength(5)
  })
})

const unreachable = (): never => {
  throw new Error('it is off')
}

describe('the datastore', () => {
  const three: Story = { expect: 3, machines: machines(3) }

  test.each([0, 500, 1_000, 1_400, 2_000, 3_000])(
    '5: the initialiser dies %i ms after the founding, for long: another does its work, once',
    async (afterMs) => {
      const machine = await initialiserOf(three)
      const played = await play({
        ...three,
        faults: [crash(900 + afterMs, machine, 300_000)],
        calmAt: 400_000,
      })
      ends(played)
      const { clusterId } = planOf(played.machine(machine)).datastore
      for (const each of played.machines) expect(each.datastore.serves(clusterId)).toBe(true)
    },
  )

  test('5: the initialiser comes back alone with its old order, and initialises nothing', async () => {
    const machine = await initialiserOf(three)
    const played = await play({
      ...three,
      faults: [
        crash(1_100, machine, 20_000),
        { at: 1_200, machine, kind: 'cut', with: [], oneWay: false, ms: 300_000 },
      ],
      calmAt: 301_300,
    })
    ends(played)
    const done = planOf(played.machine(machine)).datastore.clusterId
    expect(played.machine(machine).datastore.serves(done)).toBe(true)
  })

  test('6: a wiped initialiser comes back as a new node, which initialises nothing', async () => {
    const machine = await initialiserOf(three)
    const played = await play({
      ...three,
      faults: [{ at: 60_000, machine, kind: 'wipe', offMs: 5_000 }],
      calmAt: 66_000,
    })
    expect(played.count('datastores made')).toBe(1)
    const wiped = played.machine(machine)
    expect(planOf(wiped).members.find(({ id }) => id === wiped.keys.id)?.role).toBe('agent')
    expect(stageOf(wiped)).toBe('ready')
  })

  test('7: all state of muster is lost, the datastore is not: nobody founds or initialises, and status says why', async () => {
    const played = await play({
      ...three,
      faults: [0, 1, 2].map((machine) => ({ at: 60_000, machine, kind: 'forget', offMs: 5_000 }) as const),
      calmAt: 66_000,
      endAt: 600_000,
    })
    expect(played.count('foundings')).toBe(1)
    expect(played.count('datastores made')).toBe(1)
    expect(played.machines.map(genesisOf)).toEqual([null, null, null])
    for (const machine of played.machines) {
      expect(problemsOf(machine)).toContain('datastore.orphan')
      expect(machine.datastore.data).not.toBeNull()
    }
  })

  test('whose data is lost on one server is served by the others, and that one says so', async () => {
    const played = await play({
      ...three,
      faults: [{ at: 60_000, machine: 1, kind: 'datastore-loss', offMs: 2_000 }],
      calmAt: 63_000,
    })
    expect(played.count('datastores made')).toBe(1)
    expect(problemsOf(played.machine(1))).toContain('datastore.no-data')
    const { clusterId } = planOf(played.machine(0)).datastore
    expect([0, 1, 2].map((index) => played.machine(index).datastore.serves(clusterId))).toEqual([
      true,
      false,
      true,
    ])
  })

  test('11: of five joiners one joins at a time', async () => {
    const played = await play({ expect: 6, machines: machines(6), servers: 5 })
    ends(played)
    expect(played.count('datastore joins')).toBe(4)
    expect(played.count('too many learners')).toBe(0)
  })

  test.each([0, 300, 800, 1_500, 5_000, 6_500])(
    '12: a joiner that dies %i ms after it was told goes on when it is back',
    async (afterMs) => {
      const [first] = [await initialiserOf(three)]
      const faults = [0, 1, 2].filter((i) => i !== first).map((i) => crash(2_500 + afterMs, i, 3_000))
      const played = await play({ ...three, faults, calmAt: 20_000 })
      ends(played)
      expect(played.count('datastores made')).toBe(1)
    },
  )

  test('13: the join target dies: the joiner is told another one', async () => {
    const story: Story = { expect: 5, machines: machines(5), servers: 5 }
    const machine = await initialiserOf(story)
    const played = await play({ ...story, faults: [crash(12_000, machine, 60_000)], calmAt: 75_000 })
    ends(played)
    for (const each of played.machines) {
      expect(each.datastore.serves(planOf(each).datastore.clusterId)).toBe(true)
    }
  })

  test('14: two of three servers are gone: the last one runs on, begins nothing, and says so', async () => {
    const played = await play({
      ...three,
      faults: [crash(60_000, 1, 900_000), crash(60_000, 2, 900_000)],
      calmAt: 961_000,
      endAt: 400_000,
    })
    const last = played.machine(0)
    expect(planOf(last).act).toBeNull()
    expect(problemsOf(last)).toContain('leader.none')
    expect(last.datastore.data).not.toBeNull()
  })
})

describe('network and clocks', () => {
  test('8: loss, duplication and reordering delay, and do no more', async () => {
    const played = await play({
      expect: 5,
      machines: machines(6),
      network: { ordered: false, lossPerMille: 200, duplicatePerMille: 200, delaysMs: [1, 50, 400] },
    })
    ends(played)
    for (const word of ['lost', 'duplicated', 'reordered']) expect(played.count(word)).toBeGreaterThan(0)
  })

  test.each([false, true])(
    '9 and 30: lies and replays are not believed (with a flood: %s)',
    async (floods) => {
      const played = await play({
        expect: 3,
        machines: machines(4),
        liar: { everyMs: 20, startAt: 0, founds: false, replays: true, floods },
        calmAt: 60_000,
      })
      ends(played)
      expect(played.count('lies')).toBeGreaterThan(1_000)
      expect(played.count('replays')).toBeGreaterThan(500)
      expect(played.count('refusals')).toBeGreaterThan(100)
    },
  )

  test('10: clocks that are an hour apart and jump by a day change nothing', async () => {
    const jump = (at: number, machine: number, byMs: number): Fault => ({
      at,
      machine,
      kind: 'clock-jump',
      byMs,
    })
    const story: Story = {
      expect: 3,
      machines: [{ wallOffsetMs: 3_600_000 }, { wallOffsetMs: -3_600_000 }, { driftPpm: 500 }],
      calmAt: 40_000,
    }
    const quiet = await play({ ...story, faults: [crash(20_000, 1, 1_000)] })
    const wild = await play({
      ...story,
      faults: [jump(100, 0, 86_400_000), jump(10_000, 1, -86_400_000), crash(20_000, 1, 1_000)],
    })
    ends(quiet)
    ends(wild)
    expect(wild.readyAt).toBe(quiet.readyAt)
  })

  test('21: a leader that is cut off one way loses its lead, and follows when it is back', async () => {
    for (const machine of [0, 1, 2]) {
      const played = await play({
        expect: 3,
        machines: machines(3),
        faults: [{ at: 40_000, machine, kind: 'cut', with: [], oneWay: true, ms: 60_000 }],
        calmAt: 100_001,
      })
      ends(played)
    }
  })

  test('26: leaders that die in turn while they issue lose nothing that was certified', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const played = await play({
        seed,
        expect: 5,
        machines: [...machines(5), { startAt: 20_000 }, { startAt: 30_000 }],
        servers: 5,
        faults: [
          {
            at: 5_000,
            machine: 0,
            kind: 'hunt',
            ms: 60_000,
            everyMs: 1_500,
            how: 'crash',
            offMs: 4_500,
            perMille: 500,
          },
        ],
        calmAt: 66_000,
      })
      ends(played)
      expect(played.count('leaders')).toBeGreaterThan(1)
    }
  })
})

describe('disks', () => {
  test('17: a copied disk in another machine is blocked, and equal names become unique', async () => {
    const played = await play({
      expect: 3,
      machines: [{ hostName: 'node' }, { hostName: 'node' }, { hostName: 'node' }, { startAt: 100 }],
      faults: [{ at: 40_000, machine: 3, kind: 'clone', of: 1, fingerprint: true, offMs: 1_000 }],
      calmAt: 42_000,
    })
    expect(problemsOf(played.machine(3))).toContain('state.other-machine')
    expect(stageOf(played.machine(3))).toBe('blocked')
    const names = planOf(played.machine(0)).members.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  test('17: where nothing tells the copy from the original, both stop and say so', async () => {
    const played = await play({
      expect: 4,
      machines: machines(5),
      distribution: 'none',
      faults: [{ at: 30_000, machine: 4, kind: 'clone', of: 0, fingerprint: false, offMs: 1_000 }],
      calmAt: 32_000,
      endAt: 120_000,
    })
    expect(played.count('cloned disks found')).toBeGreaterThan(0)
    const blocked = [played.machine(0), played.machine(4)].filter((machine) => stageOf(machine) === 'blocked')
    expect(blocked.length).toBeGreaterThan(0)
    for (const machine of blocked) expect(problemsOf(machine)).toContain('node.cloned')
    for (const index of [1, 2, 3]) expect(stageOf(played.machine(index))).toBe('ready')
  })

  test('22: a server with its disk of earlier is found before it says a word, and stops', async () => {
    for (const copyAt of [2_000, 5_000, 9_000]) {
      const played = await play({
        expect: 3,
        machines: machines(3),
        faults: [{ at: 60_000, machine: 1, kind: 'restore', copyAt, offMs: 2_000 }],
        calmAt: 63_000,
      })
      expect(played.count('copied disks that gave their word in ignorance')).toBe(0)
      expect(problemsOf(played.machine(1))).toContain('state.restored')
      expect(played.machine(1).datastore.serves(planOf(played.machine(0)).datastore.clusterId)).toBe(false)
      for (const index of [0, 2]) expect(stageOf(played.machine(index))).toBe('ready')
    }
  })

  test('24, of muster’s own state: power is cut in every write of a formation', async () => {
    for (const point of ['before-write', 'in-write', 'after-write'] as const) {
      for (let skip = 0; skip < 12; skip++) {
        const played = await play({
          expect: 3,
          machines: machines(3),
          faults: [{ at: 0, machine: skip % 3, kind: 'crash', point, skip, power: true, offMs: 5_000 }],
          calmAt: 26_000,
        })
        ends(played)
      }
    }
  })

  test('25: a full disk holds a server up, and nothing is said that is not on it', async () => {
    const played = await play({
      expect: 3,
      machines: [...machines(3), { startAt: 30_000 }],
      faults: [0, 1, 2].map((machine) => ({ at: 25_000, machine, kind: 'disk-full', ms: 30_000 }) as const),
      calmAt: 56_000,
    })
    ends(played)
    expect(played.count('failed writes')).toBeGreaterThan(0)
  })

  test('power is cut everywhere, and the site comes back, also without one of its servers', async () => {
    const story: Story = { expect: 3, machines: machines(3) }
    const all = await play({
      ...story,
      faults: [{ at: 60_000, machine: 0, kind: 'power-cut', offMs: [1_000, 9_000, 30_000] }],
      calmAt: 91_000,
    })
    ends(all)
    const two = await play({
      ...story,
      faults: [{ at: 60_000, machine: 0, kind: 'power-cut', offMs: [1_000, 2_000, 600_000] }],
      calmAt: 700_000,
      endAt: 90_000,
    })
    const { clusterId } = planOf(two.machine(0)).datastore
    for (const index of [0, 1]) expect(two.machine(index).datastore.serves(clusterId)).toBe(true)
  })
})
