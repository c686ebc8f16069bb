/** `muster token new`: the one secret of a new network. */
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { encodeToken, makeToken } from '../core/token.ts'
import { type Context, type JsonOption, withJson } from './context.ts'
import { UsageError } from './errors.ts'

interface Options extends JsonOption {
  readonly expect: string
  readonly network: string
}

const SECRET_BYTES = 32

const HELP = `
The token is the only line on stdout. Whoever has it can join the network: keep it in files that only root
reads, and out of command lines, which others on the machine can see.

Exit codes: 0 the token was printed, 2 wrong usage.

Examples:
  muster token new --expect 3 --network shop-12
  (umask 077; muster token new --expect 3 --network shop-12 > token)`

export function addTokenNew(token: Command, context: Context): void {
  withJson(token.command('new'))
    .summary('make the token of a new network')
    .description('Makes the token of a new network and prints it.')
    .requiredOption('--expect <number>', 'machines of the first day, 1 to 512')
    .requiredOption('--network <name>', 'name of the network, a DNS label such as shop-12')
    .addHelpText('after', HELP)
    .action((options: Options) => makeNew(options, context))
}

function makeNew({ expect, network, json }: Options, context: Context): void {
  if (!/^[0-9]{1,6}$/.test(expect)) {
    throw new UsageError(
      `--expect ${JSON.stringify(expect)} is no number`,
      'say how many machines there are on the first day',
    )
  }
  const machines = Number(expect)
  const token = makeToken(new Uint8Array(randomBytes(SECRET_BYTES)), machines, network, null)
  const text = encodeToken(token)
  if (json) context.printJson({ token: text, expect: machines, network })
  else context.print(text)
  context.remark('This is a secret: whoever has it can join. Put it into the configuration of every machine.')
  context.remark(
    'After the founding hand out pinned tokens (`muster token pin`): they join that cluster only.',
  )
}
