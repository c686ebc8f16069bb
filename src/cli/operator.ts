/** `muster operator …`: keys whose holder commands from any machine of the cluster. */
import type { Command as Verb } from 'commander'
import { type Context, type JsonOption, withJson } from './context.ts'
import { makeOperatorKey, type OperatorKey, readOperatorKey } from './operator-key.ts'

const HELP = `
The public key goes into muster.operators of the first day's configuration, or into the plan by \`muster config
apply\`. Whoever has the file commands the cluster: keep it off the machines, and give it to a verb with --key FILE.

Exit codes: 0 done, 1 it failed, 2 wrong usage. With --json {"operator"}.

Examples:
  muster operator new operator.pem
  muster node revoke rack-7 --key operator.pem --why "it was stolen"`

export function addOperator(program: Verb, context: Context): Verb {
  const operator = program
    .command('operator')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('make keys that command from any machine')
    .description('Operator keys: commands that are signed by one are obeyed on agents’ sockets too.')
  withJson(operator.command('new'))
    .summary('make a key')
    .description('Writes a new private key into a file that only its owner reads, and prints its public key.')
    .argument('<file>', 'to be made')
    .addHelpText('after', HELP)
    .action((file: string, options: JsonOption) => show(makeOperatorKey(file), options, context))
  withJson(operator.command('public'))
    .summary('show the public key of one')
    .description('Prints the public key that belongs to a private one.')
    .argument('<file>', 'of `muster operator new`')
    .addHelpText('after', HELP)
    .action((file: string, options: JsonOption) => show(readOperatorKey(file), options, context))
  return operator
}

function show({ operator }: OperatorKey, { json }: JsonOption, context: Context): void {
  if (json) context.printJson({ operator })
  else context.print(operator)
}
