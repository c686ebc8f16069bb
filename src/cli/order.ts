/** What all commands about the cluster share: who gives them, why, whether a person was asked, and the answer. */
import { hostname, userInfo } from 'node:os'
import type { Command as Verb } from 'commander'
import type { Command, SignedCommand } from '../core/commands.ts'
import { digest } from '../core/ids.ts'
import type { Client } from '../host/api/client.ts'
import { confirm, requireSomebodyToAsk } from './confirm.ts'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { UsageError, VerbError } from './errors.ts'
import { type OperatorKey, readOperatorKey } from './operator-key.ts'
import { plain } from './plain.ts'

export interface OrderOptions extends JsonOption, SocketOption {
  readonly why?: string
  readonly yes?: true
  /** File of an operator's private key. */
  readonly key?: string
}

/** Longest reason that the history keeps. */
const WHY_MAX = 256
const WHO_MAX = 64

export const ORDER_HELP = `
Ask a server's daemon, or any with --key FILE of an operator (\`muster operator --help\`): an agent refuses
commands that no operator signed. The history shows who gave a command, where and why.

Exit codes: 0 done, 1 it failed, was refused or declined, 2 wrong usage, 3 no daemon answers. With --json
{"ok": true, "message"}.`

export const withOrder = (command: Verb): Verb =>
  withSocket(withJson(command))
    .option('--why <text>', 'the reason, for the history')
    .option('--key <file>', "an operator's private key, to sign it with")

/** For what cannot be taken back by another command. */
export const withConfirmation = (command: Verb): Verb => command.option('--yes', 'do not ask')

/**
 * Gives the command to the daemon and shows what became of it.
 * @param question asked before, unless --yes was given; null: nothing is asked
 */
export async function giveOrder(
  command: Command,
  question: string | null,
  options: OrderOptions,
  context: Context,
): Promise<void> {
  const why = options.why ?? null
  if (why !== null && (why.trim() === '' || why.length > WHY_MAX)) {
    throw new UsageError(`--why has ${why.length} characters`, `give a reason of 1 to ${WHY_MAX} characters`)
  }
  const key = options.key === undefined ? null : readOperatorKey(options.key)
  const isAsked = question !== null && options.yes !== true
  if (isAsked) requireSomebodyToAsk(context.io)
  const client = context.connect(options)
  if (isAsked) {
    // Who has no daemon learns that before being asked.
    await client.status()
    await confirm(question, context.io)
  }
  const operator = key === null ? null : await signed(key, command, client)
  const { ok, message, hint } = await client.order(command, { who: whoAmI(), why, operator })
  if (!ok) throw new VerbError('MUSTER_E_REFUSED', message, hint ?? '`muster status` says how the cluster is')
  if (options.json) context.printJson({ ok, message })
  else context.print(plain(message))
}

/** Good in this cluster alone, and for a few changes of its plan. */
async function signed(key: OperatorKey, command: Command, client: Client): Promise<SignedCommand> {
  const { era, planIndex } = (await client.status()).cluster
  if (era !== null && planIndex !== null) return key.sign(digest(era), command, planIndex)
  throw new VerbError(
    'MUSTER_E_NOT_FOUNDED',
    'this node is in no cluster yet',
    'see `muster status` for what it waits for',
  )
}

/** Information for the history, not proof: whoever may open the socket may command. */
function whoAmI(): string {
  let user: string
  try {
    user = userInfo().username
  } catch {
    // Where the number has no name (containers).
    user = `user ${process.getuid?.() ?? 'unknown'}`
  }
  return `${user}@${hostname()}`.slice(0, WHO_MAX)
}
