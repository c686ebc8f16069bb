/**
 * A failing schedule made small: what can be left out, shortened or calmed, one change after the other, while
 * the same rule still breaks. Every fault and every link has dice of its own, so that what stays happens as it
 * did; no change is kept that was not run. Never changes how long readiness may take (rule 11): a shorter bound
 * would break for no fault of the core's.
 */
import type { Fault, MachinePlan, Schedule } from './schedule.ts'
import { runSchedule } from './world.ts'

export interface Shrunk {
  readonly schedule: Schedule
  /** What broke: number of the rule, or 0 where the core threw. */
  readonly rule: number
  readonly message: string
  readonly runs: number
}

interface Breach {
  readonly rule: number
  readonly message: string
  readonly at: number
}

/** @returns null where the schedule breaks nothing. */
export async function shrink(schedule: Schedule, mostRuns: number): Promise<Shrunk | null> {
  const first = await breachOf(schedule)
  if (first === null) return null
  let best = schedule
  let breach = first
  let runs = 1
  /** Keeps the change, if the same rule breaks with it. */
  const accepts = async (candidate: Schedule): Promise<boolean> => {
    if (runs >= mostRuns || JSON.stringify(candidate) === JSON.stringify(best)) return false
    runs += 1
    const found = await breachOf(candidate)
    if (found?.rule !== first.rule) return false
    best = candidate
    breach = found
    return true
  }
  for (;;) {
    const before = best
    if (breach.rule !== 11) await accepts({ ...best, endAt: Math.ceil(breach.at) + 1 })
    await coarsely(() => best, accepts)
    await withoutFaults(() => best, accepts)
    for (let machine = best.machines.length - 1; machine >= 0 && best.machines.length > 1; machine--) {
      await accepts(withoutMachine(best, machine, true))
      if (machine < best.machines.length) await accepts(withoutMachine(best, machine, false))
    }
    for (const change of CHANGES) await accepts(change(best))
    for (let i = 0; i < best.machines.length; i++) {
      for (const change of MACHINE_CHANGES) await accepts(withMachine(best, i, change))
    }
    for (let i = 0; i < best.faults.length; i++) {
      for (const change of FAULT_CHANGES) await accepts(withFault(best, i, change))
    }
    if (best === before || runs >= mostRuns)
      return { schedule: best, rule: first.rule, message: breach.message, runs }
  }
}

async function breachOf(schedule: Schedule): Promise<Breach | null> {
  try {
    return (await runSchedule(schedule)).violation
  } catch (error) {
    return {
      rule: 0,
      message: `the core threw: ${error instanceof Error ? error.message : String(error)}`,
      at: 0,
    }
  }
}

/** The dearest runs are those of many machines: first all faults of a kind, and half of the machines, at once. */
async function coarsely(
  now: () => Schedule,
  accepts: (candidate: Schedule) => Promise<boolean>,
): Promise<void> {
  await accepts({ ...now(), faults: [] })
  for (const kind of new Set(now().faults.map((fault) => fault.kind))) {
    await accepts({ ...now(), faults: now().faults.filter((fault) => fault.kind !== kind) })
  }
  for (let size = now().machines.length >> 1; size > 1; size >>= 1) {
    for (const isExpected of [true, false]) {
      while (now().machines.length > size && (await accepts(withoutLast(now(), size, isExpected))));
    }
  }
}

/** Half of them, a quarter, … each (Zeller's ddmin). */
async function withoutFaults(
  now: () => Schedule,
  accepts: (candidate: Schedule) => Promise<boolean>,
): Promise<void> {
  for (let size = now().faults.length; size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < now().faults.length; ) {
      const { faults } = now()
      const left = [...faults.slice(0, from), ...faults.slice(from + size)]
      if (!(await accepts({ ...now(), faults: left }))) from += size
    }
  }
}

/** @param isExpected whether the machine is also one less to expect. */
function withoutMachine(schedule: Schedule, gone: number, isExpected: boolean): Schedule {
  const renumbered = (i: number): number => (i > gone ? i - 1 : i)
  const machines = schedule.machines
    .filter((_machine, i) => i !== gone)
    .map((machine) => ({ ...machine, expect: Math.max(1, machine.expect - (isExpected ? 1 : 0)) }))
  const faults = schedule.faults.flatMap((fault): Fault[] => {
    if (mentions(fault, gone)) return []
    const moved = { ...fault, machine: Math.max(0, Math.min(renumbered(fault.machine), machines.length - 1)) }
    if ('other' in moved) return [{ ...moved, other: renumbered(moved.other) }]
    if ('of' in moved) return [{ ...moved, of: renumbered(moved.of) }]
    if (moved.kind === 'cut') {
      return [{ ...moved, with: moved.with.filter((i) => i !== gone).map(renumbered) }]
    }
    if (moved.kind === 'power-cut') return [{ ...moved, offMs: moved.offMs.filter((_ms, i) => i !== gone) }]
    return [moved]
  })
  return { ...schedule, machines, faults }
}

function withoutLast(schedule: Schedule, count: number, isExpected: boolean): Schedule {
  let smaller = schedule
  for (let i = 0; i < count; i++) {
    smaller = withoutMachine(smaller, smaller.machines.length - 1, isExpected)
  }
  return smaller
}

/** Hunts and power cuts strike whoever is there. */
const mentions = (fault: Fault, machine: number): boolean =>
  (fault.machine === machine && fault.kind !== 'hunt' && fault.kind !== 'power-cut') ||
  ('other' in fault && fault.other === machine) ||
  ('of' in fault && fault.of === machine)

const CHANGES: readonly ((schedule: Schedule) => Schedule)[] = [
  (schedule) => ({ ...schedule, liar: null }),
  (schedule) => ({ ...schedule, crypto: 'symbolic', encoded: false }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, lossPerMille: 0 } }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, duplicatePerMille: 0 } }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, ordered: true } }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, delaysMs: [1] } }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, discoverMs: [5] } }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, redialMs: [20] } }),
  (schedule) => ({ ...schedule, network: { ...schedule.network, noticeMs: [1] } }),
  (schedule) => ({ ...schedule, cluster: { ...schedule.cluster, distribution: 'none' } }),
  (schedule) => ({ ...schedule, cluster: { ...schedule.cluster, servers: 'auto' } }),
  (schedule) => ({ ...schedule, settleMs: 2_000 }),
  (schedule) => ({ ...schedule, machines: schedule.machines.map((machine) => ({ ...machine, ...PLAIN })) }),
  (schedule) => ({ ...schedule, calmAt: Math.max(1, ...schedule.faults.map(({ at }) => at + 1)) }),
  (schedule) => ({ ...schedule, calmAt: Math.ceil(schedule.calmAt / 2) }),
]

const PLAIN = {
  preference: 'neutral',
  cpus: 4,
  memoryMiB: 2_048,
  driftPpm: 0,
  wallOffsetMs: 0,
  diskMs: [0],
} as const

const MACHINE_CHANGES: readonly ((machine: MachinePlan, index: number) => MachinePlan)[] = [
  (machine) => ({ ...machine, ...PLAIN }),
  (machine) => ({ ...machine, startAt: 0 }),
  (machine) => ({ ...machine, startAt: Math.floor(machine.startAt / 2) }),
  (machine) => ({ ...machine, diskMs: PLAIN.diskMs }),
  (machine) => ({ ...machine, driftPpm: 0, wallOffsetMs: 0 }),
  (machine) => ({ ...machine, preference: 'neutral', cpus: PLAIN.cpus, memoryMiB: PLAIN.memoryMiB }),
  (machine, index) => ({ ...machine, hostName: `host-${index}` }),
]

const FAULT_CHANGES: readonly ((fault: Fault) => Fault)[] = [
  (fault) => (hasPause(fault) ? { ...fault, offMs: 0 } : fault),
  (fault) => (hasPause(fault) ? { ...fault, offMs: Math.floor(fault.offMs / 2) } : fault),
  (fault) => ('ms' in fault ? { ...fault, ms: Math.ceil(fault.ms / 2) } : fault),
  (fault) => ('power' in fault ? { ...fault, power: false } : fault),
  (fault) => ('skip' in fault ? { ...fault, skip: 0 } : fault),
  (fault) => ('with' in fault ? { ...fault, with: [] } : fault),
  (fault) => ('oneWay' in fault ? { ...fault, oneWay: false } : fault),
]

type Pausing = Exclude<Extract<Fault, { readonly offMs: unknown }>, { readonly kind: 'power-cut' }>

const hasPause = (fault: Fault): fault is Pausing => 'offMs' in fault && fault.kind !== 'power-cut'

const withMachine = (
  schedule: Schedule,
  at: number,
  change: (machine: MachinePlan, index: number) => MachinePlan,
): Schedule => ({
  ...schedule,
  machines: schedule.machines.map((machine, i) => (i === at ? change(machine, i) : machine)),
})

const withFault = (schedule: Schedule, at: number, change: (fault: Fault) => Fault): Schedule => ({
  ...schedule,
  faults: schedule.faults.map((fault, i) => (i === at ? change(fault) : fault)),
})

/** One line of what a schedule consists of. */
export const sizeOf = ({ machines, faults, liar, endAt, calmAt }: Schedule): string =>
  `${machines.length} machines, ${faults.length} faults${liar === null ? '' : ', a liar'}, ${((endAt ?? calmAt) / 1000).toFixed(1)} s`
