/**
 * Planted bugs: each is one small change of the real core, made while it is loaded; the simulator must notice
 * every one. Says how many seeds each took. One that survives is a hole in the world or in the oracles.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Summary } from './campaign.ts'
import { flagsOf, runCommand, UsageError, wholeNumber } from './flags.ts'
import { mutants } from './mutants/list.ts'
import { type Mutant, patchesOf } from './mutants/mutant.ts'

const USAGE = `usage: node sim/mutants.ts [--seeds N] [--from N] [--only WORD] [--share I/N] [--json]

  --seeds N    give up on a mutant after so many seeds (4000)
  --from N     the first of them (1)
  --only WORD  only mutants whose name holds this word
  --share I/N  only every N-th mutant, beginning with the I-th: 1/4 … 4/4 are all of them
  --json       one document on stdout

exit codes: 0 all killed, 1 one survived or its text is not in the core any more, 2 wrong usage`

interface Fate {
  readonly name: string
  readonly fate: 'killed' | 'survived' | 'lost'
  /** Seeds that it took, or that it survived. */
  readonly seeds: number
  readonly seconds: number
  /** What noticed it. */
  readonly by: string
}

const core = new URL('../src/core/', import.meta.url)
const run = fileURLToPath(new URL('./run.ts', import.meta.url))
const hook = new URL('./mutants/hook.ts', import.meta.url).href

process.exitCode = await runCommand(USAGE, () => {
  const values = flagsOf(process.argv.slice(2), {
    seeds: { type: 'string', default: '4000' },
    from: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    share: { type: 'string', default: '1/1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const seeds = wholeNumber('seeds', values.seeds, 1)
  const from = wholeNumber('from', values.from, 0)
  const chosen = shareOf(
    mutants.filter(({ name }) => name.includes(values.only)),
    values.share,
  )
  if (chosen.length === 0) throw new UsageError(`no mutant's name holds ${JSON.stringify(values.only)}`)
  const fates = chosen.map((mutant) => {
    const fate = fateOf(mutant, from, seeds)
    if (!values.json) console.log(lineOf(fate))
    return fate
  })
  const killed = fates.filter(({ fate }) => fate === 'killed').length
  if (values.json) console.log(JSON.stringify({ mutants: fates, killed, of: fates.length }))
  else console.log(`${killed} of ${fates.length} mutants killed`)
  return killed === fates.length ? 0 : 1
})

function shareOf(all: readonly Mutant[], text: string): Mutant[] {
  const [share, of] = text.split('/').map((part) => wholeNumber('share', part, 1))
  if (share === undefined || of === undefined || share > of) {
    throw new UsageError(`--share is ${JSON.stringify(text)}, not such as 1/4`)
  }
  return all.filter((_mutant, i) => i % of === share - 1)
}

function fateOf(mutant: Mutant, from: number, seeds: number): Fate {
  const { name } = mutant
  const lost = patchesOf(mutant).find(
    (patch) => readFileSync(new URL(patch.file, core), 'utf8').split(patch.from).length !== 2,
  )
  if (lost !== undefined) {
    return {
      name,
      fate: 'lost',
      seeds: 0,
      seconds: 0,
      by: `its text is not there exactly once in ${lost.file}`,
    }
  }
  const started = performance.now()
  const args = ['--seeds', String(seeds), '--from', String(from), '--first', '--json']
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', hook, run, ...args], {
    env: { ...process.env, MUSTER_MUTANT: name },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  const seconds = (performance.now() - started) / 1000
  let summary: Summary
  try {
    summary = JSON.parse(stdout)
  } catch {
    return { name, fate: 'lost', seeds: 0, seconds, by: `it does not run: ${stderr.slice(0, 300)}` }
  }
  const [violation] = summary.violations
  const by = violation?.split('\n')[0] ?? ''
  return {
    name,
    fate: violation === undefined ? 'survived' : 'killed',
    seeds: summary.schedules,
    seconds,
    by,
  }
}

function lineOf({ name, fate, seeds, seconds, by }: Fate): string {
  const cost = `${String(seeds).padStart(5)} seeds ${seconds.toFixed(0).padStart(4)} s`
  return `${fate.padEnd(8)} ${cost}  ${name}${by === '' ? '' : `\n${' '.repeat(27)}${by.slice(0, 160)}`}`
}
