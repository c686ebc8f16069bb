/**
 * `npm run sim:explore`: small models of founding and of the plan, over the real core, to exhaustion: whatever
 * order messages come in, whoever crashes and whenever a time comes, within the bounds that are printed.
 *
 * What a state is: the whole state of each core and all that was said and may still matter; the core's state
 * is never hashed in part. Cryptography is symbolic. The reductions, and why each loses nothing:
 * - Times are moves. No clock moves; where a deadline may come, a move lets it come, so that any drift, pause
 *   or delay between any two steps is there (explore/times.ts).
 * - Letters stay. What was sent may be delivered at any later moment, in any order, again and again, or never:
 *   loss, duplication and reordering need no moves of their own, and a machine that is off is one that hears
 *   nothing, so that a crash is a start from the disk. What a crash between write and send would have kept
 *   back is not delivered; what one before the write would have lost was not delivered either. That a write is
 *   the first effect of its step is checked.
 * - Letters that can change nothing any more, and bring about none that can, are taken out (`isOver` of each
 *   model); the core is asked about each, and one that is no such letter stays and is an error.
 * - The core is asked once what one state of one machine does with one letter: equal states are equal in all
 *   of their fields. That a step leaves alone what it was not given is checked.
 * - Deliveries to different machines are not reordered away, and machines are not taken for each other: their
 *   ranks and names differ.
 * Gossip, beats, mesh and datastore are not in the models; each model's head says what stands for them.
 */

import { planModel } from './explore/beginnings.ts'
import { castOf, createCores } from './explore/cores.ts'
import { foundingModel } from './explore/founding.ts'
import type { Bounds, Model } from './explore/model.ts'
import { type Happening, type Outcome, search } from './explore/search.ts'
import { flagsOf, runCommand, UsageError, wholeNumber } from './flags.ts'
import { messageText } from './trace.ts'

const USAGE = `usage: node sim/explore.ts [--only WORD] [--terms N] [--crashes N] [--states N] [--json]

  --only WORD   only the models whose name holds this word: founding, plan
  --terms N     no term above (2)
  --crashes N   crashes of all machines together (founding 2, plan 1)
  --states N    give up a model at so many states (20000000)
  --json        one document on stdout

exit codes: 0 all was seen and nothing broke, 1 a rule broke or the bounds were not exhausted, 2 wrong usage`

process.exitCode = await runCommand(USAGE, async () => {
  const values = flagsOf(process.argv.slice(2), {
    only: { type: 'string', default: '' },
    terms: { type: 'string', default: '2' },
    crashes: { type: 'string' },
    states: { type: 'string', default: '20000000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const terms = wholeNumber('terms', values.terms, 1)
  const states = wholeNumber('states', values.states, 1)
  const bounds = (usual: number): Bounds => ({
    terms,
    crashes: wholeNumber('crashes', values.crashes ?? String(usual), 0),
  })
  const cast = await castOf(4)
  const models = [
    foundingModel(3, 2, bounds(2)),
    foundingModel(3, 3, bounds(2)),
    planModel(cast, bounds(1)),
  ].filter(({ name }) => name.includes(values.only))
  if (models.length === 0) throw new UsageError(`no model's name holds ${JSON.stringify(values.only)}`)
  const results = models.map((model) => {
    const outcome = search(model, createCores(model, cast), states)
    if (!values.json) print(model, outcome)
    return { model: model.name, bounds: model.bounds, ...outcome }
  })
  if (values.json) {
    console.log(
      JSON.stringify(results.map(({ found, ...rest }) => ({ ...rest, found: found?.message ?? null }))),
    )
  }
  return results.every(({ exhausted }) => exhausted) ? 0 : 1
})

function print({ name, bounds }: Model, outcome: Outcome): void {
  const { states, transitions, depth, localStates, letters, steps, seconds, exhausted, found } = outcome
  console.log(
    `${name}, terms up to ${bounds.terms}, ${bounds.crashes} crashes: ${states} states, ${transitions} transitions, depth ${depth}; ${localStates} states of one machine, ${letters} letters, ${steps} steps of the core; ${seconds.toFixed(1)} s`,
  )
  if (found === null) {
    console.log(exhausted ? '  exhausted, no violation' : '  NOT EXHAUSTED: more states than --states allows')
    return
  }
  console.log(`  rule ${found.rule} broke: ${found.message}. The shortest way there:`)
  for (const happening of found.path) console.log(`  ${textOf(happening)}`)
}

function nameOf(machine: number): string {
  return String.fromCharCode(97 + machine)
}

function textOf({ machine, heard, move, said }: Happening): string {
  const names = (id: string): string => id.slice(0, 1)
  const event = heard === null ? move : `hears ${nameOf(heard.from)}: ${messageText(heard.message, names)}`
  const answers = said.map(({ to, message }) => `\n       to ${nameOf(to)}: ${messageText(message, names)}`)
  return `${nameOf(machine)}  ${event}${answers.join('')}`
}
