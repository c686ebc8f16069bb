/** The faults that a seed draws: the same ones each time, and every kind in every run. */
import { describe, expect, it } from 'vitest'
import { drawSchedule, kindsOf, type Lane, type ScheduleOptions } from '../../sim/nemesis/schedule.ts'

const OPTIONS: ScheduleOptions = {
  lengthMs: 0,
  holdMs: [800, 2_000],
  restMs: [200, 600],
  agents: 2,
  fullDisk: 'servers',
  clock: 'agents',
}
const LANES: readonly Lane[] = ['servers', 'agents']

describe('a schedule', () => {
  it('is the seed’s', () => {
    const options = { ...OPTIONS, lengthMs: 60_000 }
    expect(drawSchedule(7, options)).toEqual(drawSchedule(7, options))
    expect(drawSchedule(7, options)).not.toEqual(drawSchedule(8, options))
  })

  it.for(LANES)('plays every fault of the lane of %s once, however short', (lane) => {
    const kinds = kindsOf(lane, OPTIONS)
    expect(kinds.length).toBeGreaterThan(3)
    for (let seed = 1; seed <= 20; seed++) {
      const played = drawSchedule(seed, OPTIONS)[lane].map(({ kind }) => kind)
      expect([...played].sort()).toEqual([...kinds].sort())
    }
  })

  it('goes on until the time is up, and not much longer', () => {
    const steps = drawSchedule(1, { ...OPTIONS, lengthMs: 120_000 }).servers
    const spent = steps.reduce((sum, { holdMs, restMs }) => sum + holdMs + restMs, 0)
    expect(spent).toBeGreaterThanOrEqual(120_000)
    expect(spent).toBeLessThan(120_000 + 2_600)
  })

  it('takes the power of a leader and kills a daemon in calm in every run, and hits no server by way of an agent', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { servers, agents } = drawSchedule(seed, OPTIONS)
      expect(servers.find(({ kind }) => kind === 'power')?.atLeader).toBe(true)
      expect(servers.find(({ kind }) => kind === 'kill')?.afterCalm).toBe(true)
      expect(agents.filter(({ atLeader }) => atLeader)).toEqual([])
    }
  })

  it('has nothing for agents where there are none', () => {
    expect(drawSchedule(1, { ...OPTIONS, agents: 0, clock: null }).agents).toEqual([])
  })
})
