/** `muster adopt`: a person says that the disk, which knows another machine, belongs to this one. */
import type { Command } from 'commander'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { VerbError } from './errors.ts'
import { plain } from './plain.ts'

const HELP = `
For a disk that was moved into this machine. A disk that was copied is another thing: run \`muster reset\` on the
copy, else two machines claim to be one.

Exit codes: 0 done, 1 there is nothing to adopt or it failed, 2 wrong usage, 3 no daemon answers. With --json
{"ok": true, "message"}.`

export function addAdopt(program: Command, context: Context): void {
  withSocket(withJson(program.command('adopt')))
    .summary('accept a disk that was moved into this machine')
    .description(
      'Unblocks a node whose state belongs to another machine: the disk was moved here on purpose.',
    )
    .addHelpText('after', HELP)
    .action((options: JsonOption & SocketOption) => adopt(options, context))
}

async function adopt(options: JsonOption & SocketOption, context: Context): Promise<void> {
  const { ok, message, hint } = await context.connect(options).command('adopt')
  if (!ok)
    throw new VerbError('MUSTER_E_REFUSED', message, hint ?? '`muster status` says what this node waits for')
  if (options.json) context.printJson({ ok, message })
  else context.print(plain(message))
}
