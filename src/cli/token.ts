/** `muster token …`: the verbs about the network token. */
import type { Command } from 'commander'
import type { Context } from './context.ts'
import { addTokenInspect } from './token-inspect.ts'
import { addTokenNew } from './token-new.ts'
import { addTokenPin } from './token-pin.ts'

export function addToken(program: Command, context: Context): Command {
  const token = program
    .command('token')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('make, inspect and pin network tokens')
    .description('The network token: one line that every machine of a network has.')
  addTokenNew(token, context)
  addTokenInspect(token, context)
  addTokenPin(token, context)
  return token
}
