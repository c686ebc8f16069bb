/** `muster reset`: this machine becomes a new one; what it knew is moved aside, never deleted (rule 8). */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import type { StatusDocument } from '../core/status.ts'
import type { Client } from '../host/api/client.ts'
import { NoDaemonError } from '../host/api/errors.ts'
import { resetDirectory } from '../host/reset.ts'
import { StoreError } from '../host/store-errors.ts'
import { confirm, requireSomebodyToAsk } from './confirm.ts'
import {
  type ConfigOption,
  type Context,
  type JsonOption,
  type SocketOption,
  withConfig,
  withJson,
  withSocket,
} from './context.ts'
import { UsageError, VerbError } from './errors.ts'
import { plain } from './plain.ts'

interface Options extends ConfigOption, JsonOption, SocketOption {
  readonly state?: string
  readonly yes?: true
}

const HELP = `
A running daemon stops the datastore, moves everything aside within its state directory, and ends. Without one
the same is done to the directory itself: that of --state, else the configuration's. Nothing is deleted.

Exit codes: 0 done, 1 it failed or was declined, 2 wrong usage or configuration, or nobody to ask and no --yes,
3 --socket was given and no daemon answers there. With --json {"ok": true, "message"}.

Examples:
  muster reset
  muster reset --yes --state /var/lib/muster`

export function addReset(program: Command, context: Context): void {
  withSocket(withConfig(withJson(program.command('reset'))))
    .summary('make this machine a new one')
    .description('Makes this machine a new one: its identity, its cluster and its data are moved aside.')
    .option('--state <directory>', 'reset this state directory, on which no daemon may run')
    .option('--yes', 'do not ask')
    .addHelpText('after', HELP)
    .action((options: Options) => reset(options, context))
}

async function reset(options: Options, context: Context): Promise<void> {
  if (options.state !== undefined && options.socket !== undefined) {
    throw new UsageError('--state and --socket exclude each other', 'name the daemon or the directory')
  }
  if (!options.yes) requireSomebodyToAsk(context.io)
  const message = await resetWhatIsThere(options, context)
  if (options.json) context.printJson({ ok: true, message })
  else context.print(plain(message))
}

async function resetWhatIsThere(options: Options, context: Context): Promise<string> {
  const { state, socket, config } = options
  if (state !== undefined) return resetHere(resolve(state), options, context)
  const client = context.connect(options)
  const status = await client.status().catch((error: unknown) => {
    // Who names a daemon does not mean whatever directory is the default.
    if (error instanceof NoDaemonError && socket === undefined) return null
    throw error
  })
  if (status !== null) return resetByDaemon(client, status, options, context)
  const { stateDirectory } = readConfig({ files: config ?? [], env: context.io.env, flags: {} })
  return resetHere(stateDirectory, options, context)
}

async function resetByDaemon(
  client: Client,
  { self, cluster }: StatusDocument,
  { yes }: Options,
  { io }: Context,
): Promise<string> {
  if (!yes) {
    const place = self.address === null ? self.role : `${self.role}, ${self.address}`
    await confirm(
      `${self.name} (${place}) of the network ${cluster.network} becomes a new machine: its daemon stops what it runs, moves its state aside and ends. Nothing is deleted.`,
      io,
    )
  }
  const { ok, message } = await client.command('reset')
  if (ok) return message
  throw new VerbError('MUSTER_E_REFUSED', message, 'see `muster status` and the log of the daemon')
}

async function resetHere(directory: string, { yes }: Options, { io }: Context): Promise<string> {
  if (!yes) {
    await confirm(
      `everything in ${directory} is moved aside, and this machine becomes a new one. Nothing is deleted.`,
      io,
    )
  }
  const { aside, moved } = await resetDirectory(directory, io.now()).catch((error: unknown) => {
    throw isInUse(error) ? new StoreError(error.code, error.message, ASK_ITS_DAEMON) : error
  })
  if (aside === null) return `there is nothing in ${directory}: this machine is new already`
  return `moved to ${aside}, nothing was deleted: ${moved.join(', ')}; the next \`muster up\` starts as a new node`
}

const ASK_ITS_DAEMON = 'leave --state out and name its daemon with --socket, or end that one first'

const isInUse = (error: unknown): error is StoreError =>
  error instanceof StoreError && error.code === 'MUSTER_E_STATE_IN_USE'
