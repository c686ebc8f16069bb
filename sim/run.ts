/** `npm run sim`: many seeds, what happened in them, and what broke. `--seed N` replays one as a play. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { print, summaryOf, type Tally, tallyOf, verdict } from './campaign.ts'
import { readCorpus, readEntry } from './corpus.ts'
import { MUST_MOVE, MUST_MOVE_WITH_PEOPLE } from './counters.ts'
import { sha256 } from './crypto.ts'
import { flagsOf, runCommand, UsageError, wholeNumber } from './flags.ts'
import { drawSchedule, type Schedule } from './schedule.ts'
import { tallyEverywhere } from './shares.ts'
import { shrink, sizeOf } from './shrink.ts'
import { createTrace } from './trace.ts'
import { runSchedule } from './world.ts'

const USAGE = `usage: node sim/run.ts [--fresh [--people] [--seeds N]] [--json]
       node sim/run.ts --seeds N [--from N] [--first] [--json]
       node sim/run.ts --seed N [--everything | --shrink]
       node sim/run.ts --schedule FILE [--everything | --shrink]
       node sim/run.ts --corpus [--json]

  Without flags as with --fresh: the corpus, and seeds of this commit's own.

  --seeds N        how many seeds (5000)
  --from N         the first of them (1)
  --fresh          the first of them follows from the commit; every other one, without people and k3s
  --people         with --fresh: every one, also those with people's commands, lost servers and k3s
  --first          end at the first failure
  --json           one document on stdout
  --seed N         replay one seed as a transcript
  --schedule FILE  replay a schedule of the corpus, or a shrunk one
  --everything     with beats, gossip and wake-ups
  --shrink         make a failing schedule small; write it to a file, and tell what happens in it
  --out FILE       that file (a temporary one)
  --runs N         runs that shrinking may take (400)
  --corpus         replay all schedules that once found something

exit codes: 0 no violation, 1 a rule broke or nothing was proven, 2 wrong usage`

/** One seed in so many runs twice, and must end with the same digest. */
const TWICE_EVERY = 50

process.exitCode = await runCommand(USAGE, async () => {
  const values = flagsOf(process.argv.slice(2), {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    schedule: { type: 'string' },
    corpus: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    people: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    everything: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    out: { type: 'string' },
    runs: { type: 'string', default: '400' },
    help: { type: 'boolean', default: false },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const { seed, schedule, from, seeds } = values
  const ways = [seeds ?? from, seed, schedule, values.corpus ? '' : undefined]
  if (ways.filter((way) => way !== undefined).length > 1) {
    throw new UsageError('--seeds, --seed, --schedule and --corpus exclude each other')
  }
  const runs = wholeNumber('runs', values.runs, 1)
  const one =
    seed !== undefined
      ? drawSchedule(wholeNumber('seed', seed, 0))
      : schedule !== undefined
        ? scheduleIn(schedule)
        : null
  if (values.shrink && one === null) throw new UsageError('--shrink goes with --seed or --schedule')
  if (one !== null) {
    return values.shrink ? await small(one, runs, values.out) : await replay(one, values.everything)
  }

  const count = wholeNumber('seeds', seeds ?? '5000', 1)
  const options = { first: values.first, twiceEvery: TWICE_EVERY }
  const started = performance.now()
  const tallies: Tally[] = []
  let mustMove: readonly string[] = values.corpus || values.first ? [] : MUST_MOVE
  if (values.corpus) tallies.push(await tallyOf(kept(), options))
  else if (values.first) {
    tallies.push(await tallyOf(drawn(wholeNumber('from', from ?? '1', 0), count), options))
  } else {
    const isFresh = values.fresh || (from === undefined && seeds === undefined)
    const first = isFresh ? freshSeed(values.people) : wholeNumber('from', from ?? '1', 0)
    const stride = isFresh && !values.people ? 2 : 1
    if (stride === 1) mustMove = MUST_MOVE_WITH_PEOPLE
    if (isFresh) {
      if (!values.json)
        console.log(
          `seeds from ${first} on${values.people ? '' : ', every other one: without people and k3s'}, and the corpus`,
        )
      tallies.push(await tallyOf(kept(), options))
    }
    tallies.push(...(await tallyEverywhere({ from: first, count, stride, twiceEvery: TWICE_EVERY })))
  }
  const summary = summaryOf(tallies, (performance.now() - started) / 1000, mustMove)
  if (values.json) console.log(JSON.stringify(summary))
  else print(summary)
  const failing = tallies.flatMap(({ failures }) => failures).find((failure) => failure.schedule !== null)
  if (!values.json && failing?.schedule != null) await small(failing.schedule, runs, values.out)
  return summary.violations.length === 0 ? 0 : 1
})

/** Other seeds for every commit; the same for one. Even, where none with people and k3s are wanted. */
function freshSeed(people: boolean): number {
  const { stdout } = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', cwd: import.meta.dirname })
  const seed = Number.parseInt(sha256(new TextEncoder().encode(stdout?.trim() ?? '')).slice(0, 10), 16)
  return people ? seed : seed - (seed % 2)
}

function* drawn(from: number, count: number) {
  for (let seed = from; seed < from + count; seed++) {
    yield { schedule: drawSchedule(seed), replay: `node sim/run.ts --seed ${seed}` }
  }
}

function* kept() {
  for (const { name, schedule } of readCorpus()) {
    yield { schedule, replay: `node sim/run.ts --schedule sim/corpus/${name}.json` }
  }
}

function scheduleIn(path: string): Schedule {
  try {
    return readEntry(path, path).schedule
  } catch (error) {
    throw new UsageError(
      `${path} holds no schedule: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

async function replay(schedule: Schedule, everything: boolean): Promise<number> {
  const { seed, machines, faults, network, liar, cluster, calmAt } = schedule
  console.log(
    `seed ${seed}: ${machines.length} machines expect ${machines.map((m) => m.expect).join()}, ${cluster.distribution}, servers ${cluster.servers}, calm at ${calmAt / 1000} s`,
  )
  console.log(`network ${JSON.stringify(network)}${liar === null ? '' : `, a liar ${JSON.stringify(liar)}`}`)
  for (const fault of faults) console.log(`fault ${JSON.stringify(fault)}`)
  const trace = createTrace((line) => console.log(line), { everything, hears: true })
  const result = await runSchedule(schedule, trace)
  console.log(verdict(seed, result))
  return result.violation === null ? 0 : 1
}

/** Makes the schedule small, keeps it in a file, and tells what happens in it. */
async function small(schedule: Schedule, runs: number, out: string | undefined): Promise<number> {
  const shrunk = await shrink(schedule, runs)
  if (shrunk === null) {
    console.log(`seed ${schedule.seed} breaks nothing: there is nothing to shrink`)
    return 0
  }
  const path = out ?? join(tmpdir(), `muster-seed-${schedule.seed}.json`)
  const found = shrunk.rule === 0 ? shrunk.message : `rule ${shrunk.rule}: ${shrunk.message}`
  writeFileSync(path, `${JSON.stringify({ found, schedule: shrunk.schedule }, null, 2)}\n`)
  console.log(`\nshrunk in ${shrunk.runs} runs: ${sizeOf(schedule)} → ${sizeOf(shrunk.schedule)}`)
  console.log(`  node sim/run.ts --schedule ${path}\n`)
  // A core that throws ends its play there; the play so far has been told.
  return await replay(shrunk.schedule, false).catch((error: unknown) => {
    console.log(String(error))
    return 1
  })
}
