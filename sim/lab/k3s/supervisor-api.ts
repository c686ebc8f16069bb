/**
 * What a server says on its port before and beside Kubernetes: /ping and /cacerts to everybody from the first
 * moment, the rest to who is known. Node names are bound to a password when they are first used.
 */
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { AGENT, type Caller, callerOf, isOneOf, NODE, SERVER } from './access.ts'
import { authorityOf, bootstrapKey } from './authorities.ts'
import { baked } from './baked.ts'
import { type ClusterState, saveBootstrap } from './cluster-state.ts'
import { apiServers } from './controllers.ts'
import { ensurePassword } from './node-password.ts'
import { NODES } from './objects.ts'
import { sign } from './pki.ts'
import { saveSnapshot } from './snapshot.ts'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly type?: string
}

const text = (body: string, status = 200): Answer => ({ status, body, type: 'text/plain' })
const json = (value: unknown, status = 200): Answer => ({ status, body: JSON.stringify(value) })

export const failed = (status: number, reason: string, message: string): Answer =>
  json(
    { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code: status },
    status,
  )

/** Null where the path is none of the supervisor's. */
export async function supervise(
  state: ClusterState,
  request: IncomingMessage,
  path: string,
  body: string,
): Promise<Answer | null> {
  const { authorities } = state
  if (path === '/ping') return text('pong')
  if (path === '/cacerts') return text(authorityOf(authorities, 'server-ca').crt)
  const needed = path === '/db/info' || path === '/db/snapshot' ? [SERVER] : SUPERVISED[path]
  if (needed === undefined) return null
  const isLocal = request.socket.remoteAddress?.endsWith('127.0.0.1') === true
  const caller = callerOf(request, state.passwords)
  if (!(path === '/db/info' && isLocal)) {
    if (caller === null || caller === 'wrong') return failed(401, 'Unauthorized', 'not authorized')
    if (!isOneOf(caller, needed)) return failed(403, 'Forbidden', 'forbidden')
  }
  switch (path) {
    case '/db/info':
      return databaseInfo(state)
    case '/db/snapshot':
      return json(await saveSnapshot(state, body))
    case '/v1-k3s/server-bootstrap':
      return json(authorities)
    case '/v1-k3s/readyz':
      return state.isApiUp ? text('ok') : failed(503, 'ServiceUnavailable', 'runtime core not ready')
    case '/v1-k3s/config':
      return json({ ...state.settings.critical, Version: baked.version })
    case '/v1-k3s/apiservers':
      return json(await apiServers(state.etcd))
    case '/v1-k3s/token':
      return rotate(state, body)
    case '/v1-k3s/server-ca.crt':
      return text(authorityOf(authorities, 'server-ca').crt)
    case '/v1-k3s/client-ca.crt':
      return text(authorityOf(authorities, 'client-ca').crt)
    default:
      return caller === null || caller === 'wrong' ? null : nodeCertificate(state, request, caller)
  }
}

const AGENTS = [AGENT, NODE]
const SUPERVISED: Readonly<Record<string, readonly string[]>> = {
  '/v1-k3s/server-bootstrap': [SERVER],
  '/v1-k3s/token': [SERVER],
  '/v1-k3s/readyz': AGENTS,
  '/v1-k3s/config': [...AGENTS, SERVER],
  '/v1-k3s/apiservers': AGENTS,
  '/v1-k3s/server-ca.crt': AGENTS,
  '/v1-k3s/client-ca.crt': AGENTS,
  '/v1-k3s/client-kubelet.crt': AGENTS,
}

async function databaseInfo(state: ClusterState): Promise<Answer> {
  if (state.member === null) return failed(404, 'NotFound', 'not found')
  try {
    return json({ members: await state.etcd.members() })
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    return failed(500, 'InternalError', `failed to get etcd MemberList: ${words}`)
  }
}

const Rotation = z.object({ oldToken: z.string().optional(), newToken: z.string().min(1) })

async function rotate(state: ClusterState, body: string): Promise<Answer> {
  const { newToken } = Rotation.parse(JSON.parse(body))
  const old = bootstrapKey(state.passwords.server)
  state.passwords = {
    server: newToken,
    node: state.passwords.node === state.passwords.server ? newToken : state.passwords.node,
  }
  await saveBootstrap(state)
  if (old !== bootstrapKey(newToken)) await state.etcd.delete(old)
  return text('')
}

/** For kubelets: who has the name's password gets a certificate for the name. */
async function nodeCertificate(
  state: ClusterState,
  request: IncomingMessage,
  caller: Caller,
): Promise<Answer> {
  const name = String(request.headers['k3s-node-name'] ?? '').toLowerCase()
  const password = String(request.headers['k3s-node-password'] ?? '')
  if (name === '') return failed(400, 'BadRequest', 'node name not set')
  if (password === '') return failed(400, 'BadRequest', 'node password not set')
  if (!state.isApiUp) return failed(503, 'ServiceUnavailable', 'runtime core not ready')
  if (caller.user.startsWith('system:node:')) {
    if (caller.user !== `system:node:${name}`)
      return failed(400, 'BadRequest', 'header node name does not match auth node name')
    const isThere = await state.objects.get(NODES, '', name).catch(() => null)
    if (isThere === null) return failed(401, 'Unauthorized', 'unable to verify node identity')
  }
  if (!(await ensurePassword(state.objects, name, password)))
    return failed(403, 'Forbidden', `unable to verify hash for node '${name}': hash does not match`)
  const pair = await sign(authorityOf(state.authorities, 'client-ca'), {
    commonName: `system:node:${name}`,
    organization: NODE,
    uses: ['client'],
  })
  return text(pair.crt + pair.key)
}
