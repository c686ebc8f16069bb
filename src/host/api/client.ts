/** The command's side of the local API: requests to the daemon's socket, answers parsed before they are believed. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import type { z } from 'zod'
import type { Command, CommandAnswer } from '../../core/commands.ts'
import type { HistoryEntry, StatusDocument } from '../../core/status.ts'
import type { CommandGiven } from '../driver.ts'
import type { LogEvent } from '../log.ts'
import { ApiError, NoDaemonError } from './errors.ts'
import {
  commandAnswerSchema,
  errorSchema,
  eventSchema,
  historySchema,
  kubeconfigSchema,
  settingsSchema,
  type signedJsonSchema,
  statusSchema,
} from './schema.ts'
import type { Kubeconfig, MachineCommand, PlanSettings } from './view.ts'

/** Every call throws NoDaemonError where no daemon answers and ApiError where it refuses or answers nonsense. */
export interface Client {
  readonly socketPath: string
  /** The signal ends the asking; the error is then an AbortError. */
  status(signal?: AbortSignal): Promise<StatusDocument>
  history(): Promise<readonly HistoryEntry[]>
  settings(): Promise<PlanSettings>
  kubeconfig(address: string): Promise<Kubeconfig>
  /** About this machine. */
  command(kind: MachineCommand['kind']): Promise<CommandAnswer>
  /** About the cluster. */
  order(command: Command, by: CommandGiven): Promise<CommandAnswer>
  /** Events from now on, until the signal, or until the daemon ends. */
  events(signal: AbortSignal): AsyncGenerator<LogEvent, void, undefined>
}

/** Status and history are in memory: a daemon that takes longer is not well. */
const ANSWER_TIMEOUT_MS = 10_000
/** A reset stops the datastore first. */
const COMMAND_TIMEOUT_MS = 120_000
/** Above the status of the largest mesh (4,096 nodes, less than 1 KiB each). */
const ANSWER_MAX = 16 * 1024 * 1024

export function connectTo(socketPath: string): Client {
  const ask = async <T>(path: string, schema: z.ZodType<T>, ending?: AbortSignal): Promise<T> =>
    parse(await exchange(socketPath, { path, expected: [200] }, ANSWER_TIMEOUT_MS, ending), schema)
  const command = async (verb: string, body: unknown): Promise<CommandAnswer> => {
    const asked = { path: `/v1/commands/${verb}`, expected: [200, 409], body }
    return parse(await exchange(socketPath, asked, COMMAND_TIMEOUT_MS), commandAnswerSchema)
  }
  return {
    socketPath,
    status: (signal) => ask('/v1/status', statusSchema, signal),
    history: async () => (await ask('/v1/history', historySchema)).history,
    async kubeconfig(address) {
      const asked = { path: `/v1/kubeconfig?address=${encodeURIComponent(address)}`, expected: [200, 409] }
      return parse(await exchange(socketPath, asked, ANSWER_TIMEOUT_MS), kubeconfigSchema)
    },
    settings: () => ask('/v1/settings', settingsSchema),
    command: (kind) => command(kind, {}),
    order: ({ verb, ...rest }, { who, why, operator }) => {
      const signed: z.infer<typeof signedJsonSchema> | null = operator && {
        ...operator,
        signature: Buffer.from(operator.signature).toString('base64'),
      }
      return command(verb, { ...rest, who, why, operator: signed })
    },
    async *events(signal) {
      let response: IncomingMessage | undefined
      try {
        response = await open(socketPath, '/v1/events', signal)
        if (response.statusCode !== 200) throw refusal(await textOf(response))
        const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })
        for await (const line of lines) yield parse(line, eventSchema)
      } catch (error) {
        // A connection that breaks is the daemon's end, and so the end of its events.
        const ended = response !== undefined && !(error instanceof ApiError)
        if (!signal.aborted && !ended) throw error
      } finally {
        response?.destroy()
      }
    },
  }
}

interface Asked {
  readonly path: string
  readonly expected: readonly number[]
  /** Posted, where there is one. */
  readonly body?: unknown
}

async function exchange(
  socketPath: string,
  { path, expected, body }: Asked,
  timeoutMs: number,
  ending?: AbortSignal,
): Promise<string> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = ending === undefined ? timeout : AbortSignal.any([timeout, ending])
  try {
    const response = await open(socketPath, path, signal, body)
    const text = await textOf(response)
    if (expected.includes(response.statusCode ?? 0)) return text
    throw refusal(text)
  } catch (error) {
    ending?.throwIfAborted()
    if (!timeout.aborted) throw error
    throw new ApiError(
      'MUSTER_E_API_TIMEOUT',
      `the daemon did not answer within ${timeoutMs / 1_000} s`,
      "look at the daemon's log, and at whether the machine is overloaded",
    )
  }
}

/** Sends the request; resolves with the head of the answer. */
function open(
  socketPath: string,
  path: string,
  signal: AbortSignal,
  body?: unknown,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const headers = body === undefined ? {} : { 'content-type': 'application/json' }
    const request = httpRequest({ socketPath, method, path, headers, signal, agent: false }, resolve)
    request.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)))
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response) {
      const bytes = Buffer.from(chunk)
      length += bytes.length
      if (length > ANSWER_MAX) throw nonsense('it is too long')
      chunks.push(bytes)
    }
  } catch (error) {
    if (error instanceof ApiError) throw error
    throw new NoDaemonError('the daemon ended while it answered', 'ask again once it runs', { cause: error })
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse<T>(text: string, schema: z.ZodType<T>): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw nonsense('it is not JSON', error)
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw nonsense(issue === undefined ? 'it has another form' : `${issue.path.join('.')}: ${issue.message}`)
}

const nonsense = (why: string, cause?: unknown): ApiError =>
  new ApiError(
    'MUSTER_E_API_ANSWER',
    `the daemon's answer is not understood: ${why}`,
    'the command and the daemon may be of different versions: restart the daemon with this one',
    { cause },
  )

function refusal(text: string): ApiError {
  const { error } = parse(text, errorSchema)
  return new ApiError(error.code, error.message, error.hint)
}

function unreachable(socketPath: string, error: NodeJS.ErrnoException): Error {
  if (error.name === 'AbortError') return error
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new ApiError(
      'MUSTER_E_API_DENIED',
      `no permission to use ${socketPath}`,
      'run this as root, or as a member of the group muster',
      { cause: error },
    )
  }
  return new NoDaemonError(
    `no daemon answers at ${socketPath}${error.code === undefined ? '' : ` (${error.code})`}`,
    'start it with `muster up`, or name its socket with --socket',
    { cause: error },
  )
}
