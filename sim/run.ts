/** `npm run sim`: many seeds, what happened in them, and what broke. `--seed N` replays one as a play. */
import { print, runCampaign, verdict } from './campaign.ts'
import { readCorpus, readEntry } from './corpus.ts'
import { flagsOf, runCommand, UsageError, wholeNumber } from './flags.ts'
import { drawSchedule, type Schedule } from './schedule.ts'
import { createTrace } from './trace.ts'
import { runSchedule } from './world.ts'

const USAGE = `usage: node sim/run.ts [--seeds N] [--from N] [--first] [--json]
       node sim/run.ts --seed N [--everything]
       node sim/run.ts --schedule FILE [--everything]
       node sim/run.ts --corpus [--json]

  --seeds N        how many seeds (500)
  --from N         the first of them (1)
  --first          end at the first failure
  --json           one document on stdout
  --seed N         replay one seed as a transcript
  --schedule FILE  replay a schedule of the corpus
  --everything     with beats, gossip and wake-ups
  --corpus         replay all schedules that once found something

exit codes: 0 no violation, 1 a rule broke or nothing was proven, 2 wrong usage`

process.exitCode = await runCommand(USAGE, async () => {
  const values = flagsOf(process.argv.slice(2), {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    schedule: { type: 'string' },
    corpus: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    everything: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const { seed, schedule } = values
  const ways = [values.seeds ?? values.from, seed, schedule, values.corpus ? '' : undefined]
  if (ways.filter((way) => way !== undefined).length > 1) {
    throw new UsageError('--seeds, --seed, --schedule and --corpus exclude each other')
  }
  if (seed !== undefined) return await replay(drawSchedule(wholeNumber('seed', seed, 0)), values.everything)
  if (schedule !== undefined) return await replay(scheduleIn(schedule), values.everything)
  const from = wholeNumber('from', values.from ?? '1', 0)
  const count = wholeNumber('seeds', values.seeds ?? '500', 1)
  const summary = await runCampaign(values.corpus ? kept() : drawn(from, count), {
    first: values.first,
    twiceEvery: 50,
    mustMove: !values.corpus && !values.first,
  })
  if (values.json) console.log(JSON.stringify(summary))
  else print(summary)
  return summary.violations.length === 0 ? 0 : 1
})

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
