/** Plays a story of the simulator for a test, which then says what must have come of it. */
import { expect } from 'vitest'
import type { Machine } from '../../sim/machine.ts'
import { type Story, scheduleOf } from '../../sim/scenario.ts'
import type { Fault } from '../../sim/schedule.ts'
import { type Ending, runSchedule } from '../../sim/world.ts'
import { statusOf } from '../../src/core/report.ts'

export interface Played extends Ending {
  readonly counts: ReadonlyMap<string, number>
  readonly readyAt: number | null
  count(name: string): number
  machine(index: number): Machine
}

export async function play(story: Story): Promise<Played> {
  let ending: Ending | null = null
  const { violation, counts, readyAt, excuse } = await runSchedule(scheduleOf(story), null, (end) => {
    ending = end
  })
  expect(violation).toBeNull()
  expect(excuse).toBeNull()
  if (ending === null) throw new Error('it did not end')
  const end: Ending = ending
  return {
    ...end,
    counts,
    readyAt,
    count: (name) => counts.get(name) ?? 0,
    machine: (index) => {
      const machine = end.machines[index]
      if (machine === undefined) throw new RangeError(`there is no machine ${index}`)
      return machine
    },
  }
}

export const planOf = ({ disk }: Machine) => {
  const certified = disk.durable?.certified
  if (certified == null) throw new Error('no plan')
  return certified.plan
}
export const genesisOf = ({ disk }: Machine) => disk.durable?.certified?.plan.era ?? null
export const problemsOf = (machine: Machine): string[] => {
  const { state } = machine
  return state === null ? ['off'] : statusOf(state, machine.clock()).problems.map(({ code }) => code)
}
export const stageOf = (machine: Machine): string =>
  machine.state === null ? 'off' : statusOf(machine.state, machine.clock()).self.stage
export const crash = (at: number, machine: number, offMs: number, more: Partial<Fault> = {}): Fault =>
  ({ at, machine, kind: 'crash', point: null, skip: 0, power: true, offMs, ...more }) as Fault
export const ends = (played: Played): void => expect(played.readyAt).not.toBeNull()

/** Who initialises in a story without its faults. */
export async function initialiserOf(story: Story): Promise<number> {
  const { machines } = await play(story)
  const [first] = machines
  return machines.findIndex(
    ({ keys }) => first !== undefined && keys.id === planOf(first).datastore.members[0],
  )
}
