/** `muster token pin`: the token for machines that come later; it joins one cluster and never founds. */
import type { Command } from 'commander'
import { encodeToken, pinToken, type Token } from '../core/token.ts'
import {
  type ConfigOption,
  type Context,
  type JsonOption,
  type SocketOption,
  withConfig,
  withJson,
  withSocket,
} from './context.ts'
import { VerbError } from './errors.ts'
import { configuredToken, tokenOfFile } from './token-source.ts'

interface Options extends ConfigOption, JsonOption, SocketOption {
  readonly tokenFile?: string
  readonly genesis?: string
}

const HELP = `
Without --token-file it is the token of this machine's configuration. A pin is advice to honest machines: who
holds the token has the secret.

Exit codes: 0 the token was printed, 1 there is no cluster yet, or the token is pinned to another,
2 wrong usage or configuration, 3 no daemon answers and no --genesis was given.

Examples:
  muster token pin
  muster token pin --token-file /etc/muster/token --genesis "$(muster status --json | jq -r .cluster.id)"`

export function addTokenPin(token: Command, context: Context): void {
  withSocket(withConfig(withJson(token.command('pin'))))
    .summary('pin a token to the cluster that was founded')
    .description(
      'Prints the token that joins one cluster only and never founds: the one to hand out after day one.',
    )
    .option('--token-file <file>', 'file that holds the token; - is the standard input')
    .option('--genesis <id>', "the cluster's ID (default: that of the daemon's cluster)")
    .addHelpText('after', HELP)
    .action((options: Options) => pin(options, context))
}

async function pin(options: Options, context: Context): Promise<void> {
  const { tokenFile, config } = options
  const token =
    tokenFile === undefined ? configuredToken(config ?? [], context) : await tokenOfFile(tokenFile, context)
  const genesis = options.genesis ?? (await genesisOfDaemon(options, token, context))
  const pinned = pinToken(token, genesis)
  if (token.pin !== null && token.pin !== pinned.pin) {
    throw new VerbError(
      'MUSTER_E_PINNED',
      `the token is pinned to another cluster, ${token.pin}`,
      'use the token that the network was made with',
    )
  }
  const text = encodeToken(pinned)
  if (options.json)
    context.printJson({ token: text, expect: pinned.expect, network: pinned.network, pin: pinned.pin })
  else context.print(text)
  context.remark(`This is a secret. It joins only cluster ${genesis.slice(0, 12)} of ${token.network}.`)
}

async function genesisOfDaemon(options: Options, token: Token, context: Context): Promise<string> {
  const { cluster } = await context.connect(options).status()
  if (cluster.network !== token.network) {
    throw new VerbError(
      'MUSTER_E_PINNED',
      `the daemon is of the network ${cluster.network}, the token of ${token.network}`,
      'give the token of that network, or the right --genesis',
    )
  }
  if (cluster.id !== null) return cluster.id
  throw new VerbError(
    'MUSTER_E_NOT_FOUNDED',
    'there is no cluster yet that the token could be pinned to',
    'wait for it with `muster status --wait ready`, or give --genesis',
  )
}
