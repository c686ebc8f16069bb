/** `muster history`: what the plan went through. */
import type { Command } from 'commander'
import type { HistoryEntry } from '../core/status.ts'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { plainly } from './plain.ts'
import { table } from './table.ts'

const HELP = `
Times are UTC, by the clock of the leader of that moment. With --json
{"apiVersion", "history": [{"index", "term", "at", "cause", "node", "text"}]}.

Exit codes: 0 fine, 1 it failed, 2 wrong usage, 3 no daemon answers.`

export function addHistory(program: Command, context: Context): void {
  withSocket(withJson(program.command('history')))
    .summary('show what the cluster went through')
    .description('Shows every change of the plan that is still remembered, oldest first.')
    .addHelpText('after', HELP)
    .action((options: JsonOption & SocketOption) => history(options, context))
}

async function history(options: JsonOption & SocketOption, context: Context): Promise<void> {
  const entries = await context.connect(options).history()
  if (options.json) return context.printJson({ apiVersion: 'muster/v1', history: entries })
  if (entries.length === 0) return context.print('no cluster yet')
  const [header = '', ...lines] = table(['plan', 'term', 'when', 'what'], plainly(entries).map(row))
  context.print([context.terminal.faint(header), ...lines].join('\n'))
}

const row = ({ index, term, at, text }: HistoryEntry): string[] => [
  String(index),
  String(term),
  at === null ? '-' : at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'),
  text,
]
