/** `muster status`: what the cluster is, what this node does, what it waits for and what is wrong. */
import type { Command } from 'commander'
import type { Stage } from '../core/status.ts'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { parseDuration } from './duration.ts'
import { UsageError } from './errors.ts'
import { nearest } from './nearest.ts'
import { plainly } from './plain.ts'
import { statusText } from './status-text.ts'
import { STAGES, waitForStage } from './wait.ts'
import { watchStatus } from './watch.ts'

interface Options extends JsonOption, SocketOption {
  readonly watch?: true
  readonly wait?: Stage
  readonly timeout?: number
}

const DEFAULT_TIMEOUT_MS = 60_000

const HELP = `
Stages: ${STAGES.join(', ')}.
Waiting for one of the way to ready is over when that stage or a later one is reached.

Exit codes: 0 the daemon answered (with --wait: and the stage is reached), 1 it is not reached in time,
2 wrong usage, 3 no daemon answers. With --json a failure is {"error": {"code", "message", "hint"}} on stdout;
where --wait failed the last status stands beside it as "status".

Examples:
  muster status
  muster status --watch
  muster status --wait ready --timeout 5m && echo formed
  muster status --json | jq -r .cluster.state`

export function addStatus(program: Command, context: Context): void {
  withSocket(withJson(program.command('status')))
    .summary('show the cluster, this node, and what is wrong')
    .description(
      'Shows what the cluster is, what this node does, what it waits for, and what a person can do.',
    )
    .option('--watch', 'show it again whenever it changes, until Ctrl-C')
    .option('--wait <stage>', 'wait until this node has reached the stage', parseStage)
    .option('--timeout <duration>', 'how long --wait waits: 90s, 5m, 1h (default: 60s)', parseDuration)
    .addHelpText('after', HELP)
    .action((options: Options) => status(options, context))
}

function parseStage(text: string): Stage {
  const stage = STAGES.find((known) => known === text)
  if (stage !== undefined) return stage
  throw new UsageError(`${JSON.stringify(text)} is no stage`, nearest(text, STAGES, 'stages'))
}

async function status(options: Options, context: Context): Promise<void> {
  const { json, watch, wait, timeout } = options
  if (timeout !== undefined && wait === undefined) {
    throw new UsageError('--timeout says how long --wait waits', 'add --wait ready')
  }
  if (watch && wait !== undefined)
    throw new UsageError('--watch and --wait exclude each other', 'use one of them')
  if (watch && json) {
    throw new UsageError('--json prints one document, --watch many', 'ask again with `muster status --json`')
  }
  const client = context.connect(options)
  if (watch) return watchStatus(client, context)
  const document =
    wait === undefined
      ? await client.status()
      : await waitForStage(client, wait, timeout ?? DEFAULT_TIMEOUT_MS, context.io)
  if (json) context.printJson(document)
  else context.print(statusText(plainly(document), context.io.now(), context.terminal))
}
