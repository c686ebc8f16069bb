/** Many schedules in a row: what happened in them altogether, and what broke. */
import { ENOUGH_SEEDS } from './counters.ts'
import type { Schedule } from './schedule.ts'
import { type Result, runSchedule } from './world.ts'

/** One schedule and how a person replays it. */
export interface Numbered {
  readonly schedule: Schedule
  readonly replay: string
}

export interface Summary {
  readonly schedules: number
  readonly virtualHours: number
  readonly seconds: number
  /** Of one core's time, whatever else runs on it. */
  readonly stepsPerSecond: number
  readonly readyAfterCalmMs: { readonly median: number | null; readonly most: number | null }
  readonly counters: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

export interface CampaignOptions {
  /** Ends at the first failure. */
  readonly first: boolean
  /** Every so many schedules one runs twice, and both must end with the same digest. */
  readonly twiceEvery: number
}

/** What a share of the schedules came to: plain data, so that a worker can hand it over. */
export interface Tally {
  readonly schedules: number
  readonly steps: number
  /** Time on the processor, of this thread. */
  readonly cpuMs: number
  readonly virtualMs: number
  readonly counts: ReadonlyMap<string, number>
  readonly readyMs: readonly number[]
  readonly failures: readonly Failure[]
}

export interface Failure {
  readonly text: string
  /** What to shrink; null where no run of one schedule shows it. */
  readonly schedule: Schedule | null
}

export async function tallyOf(
  schedules: Iterable<Numbered>,
  { first, twiceEvery }: CampaignOptions,
): Promise<Tally> {
  const counts = new Map<string, number>()
  const failures: Failure[] = []
  const readyMs: number[] = []
  let count = 0
  let steps = 0
  let virtualMs = 0
  const before = process.threadCpuUsage()
  const add = (name: string, n: number): void => {
    counts.set(name, (counts.get(name) ?? 0) + n)
  }
  for (const { schedule, replay } of schedules) {
    if (first && failures.length > 0) break
    count += 1
    const result = await runGuarded(schedule)
    if (result instanceof Error) {
      failures.push({ text: `seed ${schedule.seed}: the core threw: ${result.stack}\n  ${replay}`, schedule })
      continue
    }
    if (result.violation !== null) {
      failures.push({ text: `${verdict(schedule.seed, result)}\n  ${replay}`, schedule })
    }
    if (count % twiceEvery === 0 && (await runSchedule(schedule)).digest !== result.digest) {
      failures.push({ text: `seed ${schedule.seed}: two runs differ\n  ${replay}`, schedule: null })
    }
    steps += result.steps
    virtualMs += result.virtualMs
    for (const [name, n] of result.counts) add(name, n)
    if (result.excuse !== null) {
      add('seeds excused', 1)
      add(`excuse: ${result.excuse}`, 1)
    }
    if (schedule.crypto === 'real') add('seeds with real cryptography', 1)
    if (schedule.encoded) add('seeds with real encoding', 1)
    if (result.readyAt === null) continue
    add('seeds that ended ready', 1)
    readyMs.push(result.readyAt - schedule.calmAt)
  }
  const { user, system } = process.threadCpuUsage(before)
  const cpuMs = (user + system) / 1_000
  return { schedules: count, steps, cpuMs, virtualMs, counts, readyMs, failures }
}

/**
 * @param seconds on the clock, of all shares together.
 * @param mustMove whether counters that did not move are failures: they prove nothing otherwise.
 */
export function summaryOf(tallies: readonly Tally[], seconds: number, mustMove: readonly string[]): Summary {
  const totals = new Map<string, number>()
  for (const { counts } of tallies) {
    for (const [name, n] of counts) totals.set(name, (totals.get(name) ?? 0) + n)
  }
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((all, tally) => all + of(tally), 0)
  const violations = tallies.flatMap(({ failures }) => failures.map(({ text }) => text))
  const count = sum(({ schedules }) => schedules)
  if (count >= ENOUGH_SEEDS) {
    for (const name of mustMove) {
      if ((totals.get(name) ?? 0) === 0) violations.push(`nothing proven: no ${name} in ${count} seeds`)
    }
  }
  const readyMs = tallies.flatMap((tally) => tally.readyMs).sort((a, b) => a - b)
  return {
    schedules: count,
    virtualHours: sum(({ virtualMs }) => virtualMs) / 3_600_000,
    seconds,
    stepsPerSecond: Math.round((1_000 * sum(({ steps }) => steps)) / sum(({ cpuMs }) => cpuMs)),
    readyAfterCalmMs: { median: readyMs[readyMs.length >> 1] ?? null, most: readyMs.at(-1) ?? null },
    counters: Object.fromEntries([...totals].sort(([a], [b]) => (a < b ? -1 : 1))),
    violations,
  }
}

/** A core that throws is as wrong as one that breaks a rule. */
async function runGuarded(schedule: Schedule): Promise<Result | Error> {
  try {
    return await runSchedule(schedule)
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

export function verdict(seed: number, { violation, excuse, digest, steps, virtualMs }: Result): string {
  if (violation !== null) {
    return `seed ${seed}: rule ${violation.rule} broke after ${violation.at / 1000} s: ${violation.message}`
  }
  const excused = excuse === null ? '' : ` (excused: ${excuse})`
  return `seed ${seed}: fine${excused}, ${steps} steps, ${virtualMs / 1000} s, digest ${digest}`
}

export function print(summary: Summary): void {
  const { schedules, virtualHours, seconds, stepsPerSecond, readyAfterCalmMs, counters, violations } = summary
  console.log(
    `${schedules} schedules, ${virtualHours.toFixed(1)} virtual hours in ${seconds.toFixed(1)} s, ${stepsPerSecond} steps/s and core`,
  )
  for (const [name, count] of Object.entries(counters)) console.log(`  ${name.padEnd(64)} ${count}`)
  console.log(
    `ready after the last fault: median ${readyAfterCalmMs.median} ms, most ${readyAfterCalmMs.most} ms`,
  )
  for (const failure of violations) console.log(failure)
  console.log(violations.length === 0 ? 'no violation' : `${violations.length} violations`)
}
