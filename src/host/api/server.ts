/**
 * The daemon's local API: HTTP and JSON on a Unix socket, for root and the group `muster`. Whoever may open the
 * socket may ask anything; so its permissions are the access control.
 *
 *     GET  /v1/status             the status document (core/status.ts)
 *     GET  /v1/history            {apiVersion, history: […]}, oldest first
 *     GET  /v1/events             one JSON document per line, as things happen, until the client leaves
 *     GET  /metrics               Prometheus' text format
 *     GET  /v1/settings           {apiVersion, index, settings}: what the plan says, 404 before there is one
 *     GET  /v1/kubeconfig         {ok: true, kubeconfig}, a secret; ?address=lan|mesh|vip|NAME; 409 where there is none
 *     POST /v1/commands/<verb>    adopt, reset (body {}) for this machine; for the cluster the verbs and arguments of
 *                                 core/commands.ts, and beside them who, why, operator ({operator, index, signature});
 *                                 → {ok, message, hint}, 409 where ok is false
 *
 * Every failure is {error: {code, message, hint}}.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { z } from 'zod'
import { type CommandAnswer, commandSchema } from '../../core/commands.ts'
import { METRICS_CONTENT_TYPE } from '../metrics.ts'
import { ApiServerError } from './errors.ts'
import { eventStream } from './events.ts'
import { type ErrorDocument, machineBodySchema, ORDER_VERBS, orderBodySchema, signedOf } from './schema.ts'
import { type DaemonView, MACHINE_COMMANDS } from './view.ts'

export interface ApiServerOptions {
  readonly socketPath: string
  readonly view: DaemonView
  /** Told of a failure while answering, which the client sees as an internal error. */
  readonly onFailure?: (error: unknown) => void
  /** Where the group `muster` is looked up. */
  readonly groupFile?: string
}

export interface ApiServer {
  readonly socketPath: string
  /** Removes the socket and ends every connection; an answer under way gets a moment to leave. */
  close(): Promise<void>
}

/** A command is a few words; more is a mistake. */
const BODY_MAX = 64 * 1024
/** Status, watchers and scripts of one machine; beyond that somebody forgets to close. */
const CONNECTIONS_MAX = 128
/** A local client sends its request at once. */
const REQUEST_TIMEOUT_MS = 10_000
/** A daemon that lives accepts a local connection at once. */
const PROBE_TIMEOUT_MS = 2_000
/** An answer of some bytes to a local client; watchers of events, who never end, are cut off then. */
const LAST_WORDS_MS = 250
const GROUP = 'muster'

/**
 * Listens on the socket. The socket of a daemon that died is replaced.
 * @throws ApiServerError where another daemon answers there, or the socket cannot be made.
 */
export async function startApi(options: ApiServerOptions): Promise<ApiServer> {
  const { socketPath } = options
  const listener = getRequestListener(routes(options).fetch, { overrideGlobalObjects: false })
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    listener,
  )
  server.maxConnections = CONNECTIONS_MAX
  await removeStaleSocket(socketPath)
  try {
    mkdirSync(dirname(socketPath), { recursive: true })
    await listen(server, socketPath)
    allowGroup(socketPath, options.groupFile ?? '/etc/group')
  } catch (error) {
    server.close()
    throw socketFailed(socketPath, error)
  }
  return {
    socketPath,
    close: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), LAST_WORDS_MS)
        server.close(() => {
          clearTimeout(timer)
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}

function routes({ view, onFailure }: ApiServerOptions): Hono {
  const app = new Hono()
  app.get('/v1/status', (context) => context.json(view.status()))
  app.get('/v1/history', (context) => context.json({ apiVersion: 'muster/v1', history: view.history() }))
  app.get('/v1/settings', (context) => {
    const settings = view.settings()
    if (settings === null) return refuse(context, 404, noPlan)
    return context.json({ apiVersion: 'muster/v1', ...settings })
  })
  app.get('/v1/kubeconfig', async (context) => {
    const answer = await view.kubeconfig(context.req.query('address') ?? 'lan')
    return context.json(answer, answer.ok ? 200 : 409, { 'cache-control': 'no-store' })
  })
  app.get('/v1/events', () => {
    const headers = { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' }
    return new Response(eventStream(view), { headers })
  })
  app.get('/metrics', async (context) =>
    context.body(await view.metrics(), 200, { 'content-type': METRICS_CONTENT_TYPE }),
  )
  const limit = bodyLimit({ maxSize: BODY_MAX, onError: (context) => refuse(context, 413, tooLarge) })
  for (const kind of MACHINE_COMMANDS) {
    app.post(`/v1/commands/${kind}`, limit, async (context) => {
      const body = machineBodySchema.safeParse(await jsonOf(context))
      if (!body.success) return refuse(context, 400, badBody(body.error))
      return answered(context, await view.command({ kind }))
    })
  }
  for (const verb of ORDER_VERBS) {
    app.post(`/v1/commands/${verb}`, limit, async (context) => {
      const body = orderBodySchema.safeParse(await jsonOf(context))
      if (!body.success) return refuse(context, 400, badBody(body.error))
      const { who, why, operator, ...rest } = body.data
      const command = commandSchema.safeParse({ ...rest, verb })
      if (!command.success) return refuse(context, 400, badBody(command.error))
      return answered(context, await view.order(command.data, { who, why, operator: signedOf(operator) }))
    })
  }
  app.notFound((context) => refuse(context, 404, notFound))
  app.onError((error, context) => {
    onFailure?.(error)
    return refuse(context, 500, internal)
  })
  return app
}

const answered = (context: Context, { ok, message, hint }: CommandAnswer): Response =>
  context.json({ ok, message, hint } satisfies CommandAnswer, ok ? 200 : 409)

/** The body as JSON; an empty one is an empty object, and undefined stands for what is no JSON. */
async function jsonOf(context: Context): Promise<unknown> {
  const text = await context.req.text()
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Refusal = ErrorDocument['error']

const refuse = (context: Context, status: 400 | 404 | 413 | 500, error: Refusal): Response =>
  context.json({ error } satisfies ErrorDocument, status)

const tooLarge: Refusal = {
  code: 'MUSTER_E_API_TOO_LARGE',
  message: `the body is above ${BODY_MAX} bytes`,
  hint: 'send the verb’s arguments alone',
}
function badBody({ issues: [issue] }: z.ZodError): Refusal {
  const what =
    issue === undefined || issue.path.length === 0 ? '' : ` (${issue.path.join('.')}: ${issue.message})`
  return {
    code: 'MUSTER_E_API_BODY',
    message: `the body is not the JSON that this command takes${what}`,
    hint: 'send the verb’s arguments; adopt and reset take {}',
  }
}
const noPlan: Refusal = {
  code: 'MUSTER_E_API_NO_PLAN',
  message: 'this node is in no cluster yet',
  hint: 'see `muster status` for what it waits for',
}
const notFound: Refusal = {
  code: 'MUSTER_E_API_NOT_FOUND',
  message: 'this daemon has no such endpoint',
  hint: 'the command and the daemon may be of different versions: compare `muster version` with status',
}
const internal: Refusal = {
  code: 'MUSTER_E_API_INTERNAL',
  message: 'the daemon failed to answer',
  hint: "the daemon's log says why",
}

/** Binds with the umask of a private file: there is no moment at which others could connect. */
function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const umask = process.umask(0o177)
    try {
      server.listen(socketPath, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(umask)
    }
  })
}

/** Where the machine has the group, its members may use the socket too. */
function allowGroup(socketPath: string, groupFile: string): void {
  const gid = groupId(groupFile)
  if (gid === null || process.getuid?.() !== 0) return
  chownSync(socketPath, 0, gid)
  chmodSync(socketPath, 0o660)
}

function groupId(groupFile: string): number | null {
  let text: string
  try {
    text = readFileSync(groupFile, 'utf8')
  } catch {
    return null
  }
  const fields = text
    .split('\n')
    .find((line) => line.startsWith(`${GROUP}:`))
    ?.split(':')
  return fields?.[2] !== undefined && /^[0-9]+$/.test(fields[2]) ? Number(fields[2]) : null
}

/** Removes the socket that a dead daemon left; anything else at this path is not muster's to remove. */
async function removeStaleSocket(socketPath: string): Promise<void> {
  try {
    if (!lstatSync(socketPath).isSocket()) {
      throw new ApiServerError(
        'MUSTER_E_SOCKET',
        `${socketPath} exists and is not a socket`,
        'move it away, or give another path with --socket',
      )
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw socketFailed(socketPath, error)
  }
  if (await answers(socketPath)) {
    throw new ApiServerError(
      'MUSTER_E_SOCKET_IN_USE',
      `another daemon answers at ${socketPath}`,
      'end that one first, or give this one another path with --socket',
    )
  }
  unlinkSync(socketPath)
}

/** Whether somebody listens there. One that is too busy to accept lives, too: only a refusal is death. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    const done = (alive: boolean): void => {
      socket.destroy()
      resolve(alive)
    }
    socket.setTimeout(PROBE_TIMEOUT_MS, () => done(true))
    socket.once('connect', () => done(true))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

function socketFailed(socketPath: string, error: unknown): ApiServerError {
  if (error instanceof ApiServerError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new ApiServerError(
    'MUSTER_E_SOCKET',
    `cannot listen at ${socketPath}: ${reason}`,
    'give a path in a directory that can be written with --socket',
    { cause: error },
  )
}
