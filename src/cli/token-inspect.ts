/** `muster token inspect`: what a token says, never its secret. */
import type { Command } from 'commander'
import { TOKEN_VERSION, type Token } from '../core/token.ts'
import { type ConfigOption, type Context, type JsonOption, withConfig, withJson } from './context.ts'
import { UsageError } from './errors.ts'
import { configuredToken, tokenOfArgument, tokenOfFile } from './token-source.ts'

interface Options extends ConfigOption, JsonOption {
  readonly file?: string
}

const HELP = `
Without TOKEN and --file it is the token of this machine's configuration. The secret is never shown.

Exit codes: 0 it is a token, 2 it is none, or wrong usage or configuration.

Examples:
  muster token inspect
  muster token inspect --file /etc/muster/token
  pass show shop-12 | muster token inspect -`

export function addTokenInspect(token: Command, context: Context): void {
  withConfig(withJson(token.command('inspect')))
    .summary('show what a token says')
    .description('Shows expect, network, pin and version of a token.')
    .argument(
      '[token]',
      'the token, or - for the standard input (arguments are seen by others: prefer - or --file)',
    )
    .option('--file <file>', 'file that holds the token; - is the standard input')
    .addHelpText('after', HELP)
    .action((text: string | undefined, options: Options) => inspect(text, options, context))
}

async function inspect(text: string | undefined, options: Options, context: Context): Promise<void> {
  const { version, expect, network, pin } = describe(await tokenOf(text, options, context))
  if (options.json) return context.printJson({ version, expect, network, pin })
  context.print(
    [
      `network  ${network}`,
      `expect   ${expect ?? 'not said: the configuration must say it'}`,
      `pin      ${pin ?? 'none: it may found a cluster, and joins any of its network'}`,
      `version  ${version}`,
    ].join('\n'),
  )
}

const describe = ({ expect, network, pin }: Token): Omit<Token, 'secret'> & { readonly version: number } => ({
  version: TOKEN_VERSION,
  expect,
  network,
  pin,
})

async function tokenOf(text: string | undefined, options: Options, context: Context): Promise<Token> {
  if (text !== undefined && options.file !== undefined) {
    throw new UsageError('there are two tokens: an argument and --file', 'give one of them')
  }
  if (text !== undefined && text !== '-') {
    context.remark(
      'warning: arguments are seen by others (ps): give a token on the standard input or with --file',
    )
    return tokenOfArgument(text, context)
  }
  const file = text ?? options.file
  return file === undefined ? configuredToken(options.config ?? [], context) : tokenOfFile(file, context)
}
