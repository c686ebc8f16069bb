/** `muster act …`: the one dangerous step that is under way, and a person's word that it ends. */
import type { Command as Verb } from 'commander'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { durationText } from './duration.ts'
import { UsageError, VerbError } from './errors.ts'
import { giveOrder, ORDER_HELP, type OrderOptions, withConfirmation, withOrder } from './order.ts'
import { plain } from './plain.ts'

const LIST_HELP = `
There is at most one: nothing else that could take a server down begins before it ends. With --json
{"apiVersion", "acts": […]}, an act as in \`muster status --json\`.

Exit codes: 0 fine, 1 it failed, 2 wrong usage, 3 no daemon answers.`

export function addAct(program: Verb, context: Context): Verb {
  const act = program
    .command('act')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('show the step under way, and end one whose holder is gone')
    .description('Acts: steps that could take a server down, one at a time.')
  withSocket(withJson(act.command('list')))
    .summary('show the act that is under way')
    .description('Shows the act that is under way, who holds it, and for how long.')
    .addHelpText('after', LIST_HELP)
    .action((options: JsonOption & SocketOption) => list(options, context))
  withConfirmation(withOrder(act.command('break')))
    .summary('end an act whose holder does not come back')
    .description(
      'Ends the act, whatever its holder does. Be sure that the holder is down or well: the next act may begin at once.',
    )
    .argument('[number]', 'of the act, as `muster act list` shows it (default: the one under way)')
    .addHelpText('after', ORDER_HELP)
    .action((number: string | undefined, options: OrderOptions) => breakAct(number, options, context))
  return act
}

async function list(options: JsonOption & SocketOption, context: Context): Promise<void> {
  const { act } = await context.connect(options).status()
  if (options.json) return context.printJson({ apiVersion: 'muster/v1', acts: act === null ? [] : [act] })
  if (act === null) return context.print('no act is under way')
  context.print(plain(`${act.attempt}: ${act.node} has to ${act.kind}, for ${durationText(act.ageMs)}`))
}

async function breakAct(number: string | undefined, options: OrderOptions, context: Context): Promise<void> {
  if (number !== undefined && !/^\d{1,15}$/.test(number)) {
    throw new UsageError(`${number} is no number of an act`, '`muster act list` shows it')
  }
  const { act } = await context.connect(options).status()
  if (act === null) {
    throw new VerbError(
      'MUSTER_E_REFUSED',
      'no act is under way',
      '`muster history` shows how the last one ended',
    )
  }
  const attempt = number === undefined ? act.attempt : Number(number)
  const question = `${act.node} has held the act ${act.attempt} (${act.kind}) for ${durationText(act.ageMs)}: it ends, and another may begin.`
  await giveOrder({ verb: 'act-break', attempt }, question, options, context)
}
