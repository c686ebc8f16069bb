/** `muster rollout …`: how far a change of all machines is, and a person's word to hold it up or go on. */
import type { Command as Verb } from 'commander'
import type { StatusRollout } from '../core/status.ts'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { giveOrder, ORDER_HELP, type OrderOptions, withOrder } from './order.ts'
import { plainly } from './plain.ts'
import { table } from './table.ts'

const STATUS_HELP = `
With --json {"apiVersion", "rollout": …}, the rollout as in \`muster status --json\`, null where there never was one.

Exit codes: 0 fine, 1 it failed, 2 wrong usage, 3 no daemon answers.`

export function addRollout(program: Verb, context: Context): Verb {
  const rollout = program
    .command('rollout')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('follow a change of all machines, hold it up, go on')
    .description('Rollouts: changes that reach one machine after the other.')
  withSocket(withJson(rollout.command('status')))
    .summary('show how far the rollout is')
    .description('Shows the last rollout, machine by machine.')
    .addHelpText('after', STATUS_HELP)
    .action((options: JsonOption & SocketOption) => status(options, context))
  for (const [verb, words] of [
    ['pause', 'hold it up after the machine that is under way'],
    ['resume', 'go on, also after a failure'],
  ] as const) {
    withOrder(rollout.command(verb))
      .summary(words)
      .description(`The rollout: ${words}.`)
      .addHelpText('after', ORDER_HELP)
      .action((options: OrderOptions) => giveOrder({ verb: 'rollout', to: verb }, null, options, context))
  }
  return rollout
}

async function status(options: JsonOption & SocketOption, context: Context): Promise<void> {
  const { rollout } = await context.connect(options).status()
  if (options.json) return context.printJson({ apiVersion: 'muster/v1', rollout })
  if (rollout === null) return context.print('there was no rollout yet')
  context.print(rolloutText(plainly(rollout), context).join('\n'))
}

function rolloutText(rollout: StatusRollout, { terminal }: Context): string[] {
  const what = rollout.target === null ? 'settings' : rollout.target
  const done = rollout.nodes.filter(({ state }) => state === 'done').length
  const head = `rollout ${rollout.number} to ${what}: ${rollout.state}, ${done} of ${rollout.nodes.length} done`
  const why = rollout.reason === null ? [] : [`  ${rollout.reason}`]
  const [header = '', ...lines] = table(
    ['name', 'role', 'state'],
    rollout.nodes.map(({ name, role, state }) => [name, role, state]),
  )
  return [head, ...why, terminal.faint(header), ...lines]
}
