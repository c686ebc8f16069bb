/**
 * Planted bugs: each is one small change of the real core, made while it is loaded; the simulator must notice
 * every one. `node sim/mutants.ts [--seeds N] [--only WORD]` says how many seeds each took. One that
 * survives is a hole in the world or in the oracles.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { mutants } from './mutants/list.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '400' },
    from: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
})

const core = new URL('../src/core/', import.meta.url)
const run = fileURLToPath(new URL('./run.ts', import.meta.url))
const hook = new URL('./mutants/hook.ts', import.meta.url).href

let survivors = 0
for (const mutant of mutants) {
  if (!mutant.name.includes(values.only)) continue
  const patches = [mutant, ...(mutant.also === undefined ? [] : [{ file: mutant.file, ...mutant.also }])]
  const lost = patches.find(
    ({ file, from }) => readFileSync(new URL(file, core), 'utf8').split(from).length !== 2,
  )
  if (lost !== undefined) {
    console.log(`LOST      ${mutant.name}: its text is not there exactly once in ${lost.file}`)
    survivors += 1
    continue
  }
  const started = performance.now()
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', hook, run, '--seeds', values.seeds, '--from', values.from, '--first', '--json'],
    { env: { ...process.env, MUSTER_MUTANT: mutant.name }, encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  let verdict: { schedules: number; violations: string[] }
  try {
    verdict = JSON.parse(stdout)
  } catch {
    console.log(`BROKEN    ${mutant.name}: ${stderr.slice(0, 500)}`)
    survivors += 1
    continue
  }
  const [first] = verdict.violations.filter((text) => !text.startsWith('nothing proven'))
  if (first === undefined) survivors += 1
  console.log(
    first === undefined
      ? `SURVIVED  ${mutant.name} (${values.seeds} seeds, ${seconds} s)`
      : `killed    ${mutant.name}: ${first.split('\n')[0]?.slice(0, 150)} (${seconds} s)`,
  )
}
process.exitCode = survivors === 0 ? 0 : 1
