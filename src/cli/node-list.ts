/** `muster node list`: the machines, those that wait included. */
import type { Command as Verb } from 'commander'
import type { StatusNode } from '../core/status.ts'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { plainly } from './plain.ts'
import { table } from './table.ts'

const HELP = `
Those with the role pending have the token and are not in: \`muster node approve NAME\` lets them in where newcomers
have to be approved. With --json {"apiVersion", "nodes": […]}, nodes as in \`muster status --json\`.

Exit codes: 0 fine, 1 it failed, 2 wrong usage, 3 no daemon answers.`

export function addNodeList(node: Verb, context: Context): void {
  withSocket(withJson(node.command('list')))
    .summary('show the machines, and who waits to be let in')
    .description('Shows every machine of the cluster, and those that wait to be let in.')
    .addHelpText('after', HELP)
    .action((options: JsonOption & SocketOption) => list(options, context))
}

async function list(options: JsonOption & SocketOption, context: Context): Promise<void> {
  const { nodes } = await context.connect(options).status()
  if (options.json) return context.printJson({ apiVersion: 'muster/v1', nodes })
  if (nodes.length === 0) return context.print('no machines in sight')
  const [header = '', ...lines] = table(
    ['name', 'role', 'stage', 'address', 'alive', 'id'],
    plainly(nodes).map(row),
  )
  context.print([context.terminal.faint(header), ...lines].join('\n'))
}

const row = ({ name, role, stage, address, alive, id }: StatusNode): string[] => [
  name,
  role,
  stage ?? '-',
  address ?? '-',
  alive ? 'yes' : 'no',
  id,
]
