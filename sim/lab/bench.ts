/**
 * `npm run bench`: measures, in namespaces on this machine, what the figures of the README say, with the
 * spread and the ratio to each target. Targets are looked at by people: a slow machine fails nothing.
 */
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { failover } from './bench/failover.ts'
import { type Figure, formatFigure, isMet, ratio, spread } from './bench/figure.ts'
import { formation, formationOfTen } from './bench/formation.ts'
import { idle } from './bench/idle.ts'
import { ready } from './bench/ready.ts'
import type { Bench } from './bench/setting.ts'
import { throughput } from './bench/throughput.ts'
import { installMissing } from './packages.ts'
import { findProgram } from './program.ts'
import { cleanStale } from './registry.ts'

const BENCHES: Readonly<Record<string, (bench: Bench) => Promise<Figure[]>>> = {
  ready,
  formation,
  ten: formationOfTen,
  failover,
  idle,
  throughput,
}

const NAMES = Object.keys(BENCHES).join(', ')
const USAGE = `usage: npm run bench -- [--only NAME] [--runs R] [--json]

  --only NAME  one of ${NAMES}; may be given more than once
  --runs R     runs of each, 1 to 100 (default 3; some take at least 5)
  --json       one JSON document on standard output
`

class UsageError extends Error {}

interface Options {
  readonly only: readonly string[]
  readonly runs: number
  readonly json: boolean
}

/** Null asks for the help. */
function parseOptions(args: readonly string[]): Options | null {
  const options = {
    only: { type: 'string', multiple: true },
    runs: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values']
  try {
    values = parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  if (values.help === true) return null
  const only = values.only ?? Object.keys(BENCHES)
  const unknown = only.find((name) => !Object.hasOwn(BENCHES, name))
  if (unknown !== undefined) throw new UsageError(`--only ${unknown}: known are ${NAMES}`)
  const runs = Number(values.runs ?? '3')
  if (!Number.isInteger(runs) || runs < 1 || runs > 100) {
    throw new UsageError(`--runs ${values.runs}: a whole number from 1 to 100 is needed`)
  }
  return { only, runs, json: values.json === true }
}

function machineLine(): string {
  const all = cpus()
  return `${all[0]?.model.trim() ?? 'unknown CPU'}, ${all.length} cores, Linux ${release()}, Node ${process.version}`
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === null) {
    process.stdout.write(USAGE)
    return 0
  }
  const say = (line: string): void => {
    process.stderr.write(`${line}\n`)
  }
  if (process.getuid?.() !== 0) {
    say('the benchmark makes network namespaces: run it as root')
    return 1
  }
  await installMissing('bench', say)
  cleanStale('bench')
  const machine = machineLine()
  if (!options.json) process.stdout.write(`${machine}\nmin / median / max\n`)
  const program = await findProgram()
  const figures: Figure[] = []
  for (const name of options.only) {
    const measured = await BENCHES[name]?.({ program, runs: options.runs, say })
    for (const figure of measured ?? []) {
      figures.push(figure)
      if (!options.json) process.stdout.write(`${formatFigure(figure)}\n`)
    }
  }
  if (options.json) {
    const rows = figures.map((figure) => ({
      ...figure,
      ...spread(figure.samples),
      ratio: ratio(figure),
      met: isMet(figure),
    }))
    process.stdout.write(`${JSON.stringify({ machine, figures: rows }, null, 2)}\n`)
  }
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${USAGE}`)
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
