/** `npm run sim`: many seeds, what happened in them, and what broke. `--seed N` replays one as a play. */
import { parseArgs } from 'node:util'
import { ENOUGH_SEEDS, MUST_MOVE } from './counters.ts'
import { drawSchedule } from './schedule.ts'
import { createTrace } from './trace.ts'
import { type Result, runSchedule } from './world.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '500' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
    everything: { type: 'boolean', default: false },
    /** Ends at the first failure: for mutants. */
    first: { type: 'boolean', default: false },
  },
})

process.exitCode =
  values.seed === undefined
    ? await runMany(Number(values.seeds), Number(values.from))
    : await replay(Number(values.seed))

async function replay(seed: number): Promise<number> {
  const schedule = drawSchedule(seed)
  const { machines, faults, network, liar, cluster, calmAt } = schedule
  console.log(
    `seed ${seed}: ${machines.length} machines expect ${machines.map((m) => m.expect).join()}, ${cluster.distribution}, servers ${cluster.servers}, calm at ${calmAt / 1000} s`,
  )
  console.log(`network ${JSON.stringify(network)}${liar === null ? '' : `, a liar ${JSON.stringify(liar)}`}`)
  for (const fault of faults) console.log(`fault ${JSON.stringify(fault)}`)
  const trace = createTrace((line) => console.log(line), { everything: values.everything, hears: true })
  const result = await runSchedule(schedule, trace)
  console.log(verdict(seed, result))
  return result.violation === null ? 0 : 1
}

function verdict(seed: number, { violation, excuse, digest, steps, virtualMs }: Result): string {
  return violation === null
    ? `seed ${seed}: fine${excuse === null ? '' : ` (excused: ${excuse})`}, ${steps} steps, ${virtualMs / 1000} s, digest ${digest}`
    : `seed ${seed}: rule ${violation.rule} broke after ${violation.at / 1000} s: ${violation.message}\n  node sim/run.ts --seed ${seed}`
}

async function runMany(count: number, from: number): Promise<number> {
  const started = performance.now()
  const totals = new Map<string, number>()
  const failures: string[] = []
  let steps = 0
  let virtualMs = 0
  let readyMs: number[] = []
  for (let seed = from; seed < from + count; seed++) {
    if (values.first && failures.length > 0) break
    const schedule = drawSchedule(seed)
    let result: Result
    try {
      result = await runSchedule(schedule)
    } catch (error) {
      failures.push(
        `seed ${seed}: the core threw: ${error instanceof Error ? error.stack : String(error)}\n  node sim/run.ts --seed ${seed}`,
      )
      continue
    }
    if (result.violation !== null) failures.push(verdict(seed, result))
    if (seed % 50 === 0 && (await runSchedule(schedule)).digest !== result.digest) {
      failures.push(`seed ${seed}: two runs differ`)
    }
    steps += result.steps
    virtualMs += result.virtualMs
    if (result.readyAt !== null) readyMs.push(result.readyAt - schedule.calmAt)
    const add = (name: string, n: number): void => void totals.set(name, (totals.get(name) ?? 0) + n)
    for (const [name, n] of result.counts) add(name, n)
    if (result.excuse !== null) add('seeds excused', 1)
    if (result.excuse !== null) add(`excuse: ${result.excuse}`, 1)
    if (schedule.crypto === 'real') add('seeds with real cryptography', 1)
    if (schedule.encoded) add('seeds with real encoding', 1)
    if (result.readyAt !== null) add('seeds that ended ready', 1)
  }
  const seconds = (performance.now() - started) / 1000
  if (count >= ENOUGH_SEEDS) {
    for (const name of MUST_MOVE)
      if ((totals.get(name) ?? 0) === 0) failures.push(`nothing proven: no ${name} in ${count} seeds`)
  }
  readyMs = readyMs.sort((a, b) => a - b)
  const summary = {
    schedules: count,
    virtualHours: virtualMs / 3_600_000,
    seconds,
    stepsPerSecond: Math.round(steps / seconds),
    readyAfterCalmMs: { median: readyMs[readyMs.length >> 1] ?? null, most: readyMs.at(-1) ?? null },
    counters: Object.fromEntries([...totals].sort(([a], [b]) => (a < b ? -1 : 1))),
    violations: failures,
  }
  if (values.json) console.log(JSON.stringify(summary))
  else print(summary)
  return failures.length === 0 ? 0 : 1
}

function print(summary: {
  schedules: number
  virtualHours: number
  seconds: number
  stepsPerSecond: number
  readyAfterCalmMs: { median: number | null; most: number | null }
  counters: Record<string, number>
  violations: readonly string[]
}): void {
  console.log(
    `${summary.schedules} schedules, ${summary.virtualHours.toFixed(1)} virtual hours in ${summary.seconds.toFixed(1)} s, ${summary.stepsPerSecond} steps/s`,
  )
  for (const [name, count] of Object.entries(summary.counters)) console.log(`  ${name.padEnd(40)} ${count}`)
  console.log(
    `ready after the last fault: median ${summary.readyAfterCalmMs.median} ms, most ${summary.readyAfterCalmMs.most} ms`,
  )
  for (const failure of summary.violations) console.log(failure)
  console.log(summary.violations.length === 0 ? 'no violation' : `${summary.violations.length} violations`)
}
