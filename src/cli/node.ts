/** `muster node …`: who is in the cluster, and as what. */
import type { Command as Verb } from 'commander'
import type { Command } from '../core/commands.ts'
import type { Context } from './context.ts'
import { addNodeList } from './node-list.ts'
import { giveOrder, ORDER_HELP, type OrderOptions, withConfirmation, withOrder } from './order.ts'

const NODE = 'its name, or an unambiguous beginning of its ID'

export function addNode(program: Verb, context: Context): Verb {
  const node = program
    .command('node')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('let machines in, make them servers, take them out')
    .description('The machines of the cluster: who is in, and as what.')
  addNodeList(node, context)
  addApprove(node, context)
  addOne(node, context, 'promote', {
    summary: 'make an agent a server',
    description: 'An agent becomes a server: first it votes, then it joins the datastore.',
    question: null,
  })
  addOne(node, context, 'demote', {
    summary: 'make a server an agent',
    description: 'A server leaves the datastore, votes no more, and stays as an agent.',
    question: (name) => `${name} leaves the datastore and becomes an agent.`,
  })
  addOne(node, context, 'remove', {
    summary: 'take a machine out',
    description:
      'The machine leaves mesh, datastore and cluster; its address is never given again. With the token it may ask to come back as a new one after `muster reset`.',
    question: (name) => `${name} leaves the cluster for good.`,
  })
  addOne(node, context, 'revoke', {
    summary: 'shut a machine out, and its key',
    description:
      'As remove, at once, and its key never comes back. From then on newcomers wait for `muster node approve`, because it still knows the token.',
    question: (name) =>
      `${name} is shut out for ever, and from now on newcomers have to be approved by a person.`,
  })
  addReplace(node, context)
  return node
}

function addApprove(node: Verb, context: Context): void {
  withOrder(node.command('approve'))
    .summary('let a waiting machine in')
    .description('Lets a machine in that waits; with --server it may become a server, also later.')
    .argument('<node>', NODE)
    .option('--server', 'it may become a server')
    .addHelpText('after', ORDER_HELP)
    .action((name: string, options: OrderOptions & { readonly server?: true }) =>
      giveOrder(
        { verb: 'approve', node: name, as: options.server === true ? 'server' : 'agent' },
        null,
        options,
        context,
      ),
    )
}

interface Words {
  readonly summary: string
  readonly description: string
  readonly question: ((name: string) => string) | null
}

/** A verb about one machine. */
function addOne(
  node: Verb,
  context: Context,
  verb: Extract<Command['verb'], 'promote' | 'demote' | 'remove' | 'revoke'>,
  { summary, description, question }: Words,
): void {
  const command = withOrder(node.command(verb))
  if (question !== null) withConfirmation(command)
  command
    .summary(summary)
    .description(description)
    .argument('<node>', NODE)
    .addHelpText('after', ORDER_HELP)
    .action((name: string, options: OrderOptions) =>
      giveOrder({ verb, node: name }, question?.(name) ?? null, options, context),
    )
}

function addReplace(node: Verb, context: Context): void {
  withConfirmation(withOrder(node.command('replace')))
    .summary('give a reinstalled machine its name back')
    .description('The old node leaves, and the new one, the same machine reinstalled, takes its name.')
    .argument('<old>', `the node that is no more: ${NODE}`)
    .argument('<new>', `the one in its place: ${NODE}`)
    .addHelpText('after', ORDER_HELP)
    .action((old: string, successor: string, options: OrderOptions) =>
      giveOrder(
        { verb: 'replace', old, new: successor },
        `${old} leaves the cluster for good, and ${successor} takes its name.`,
        options,
        context,
      ),
    )
}
