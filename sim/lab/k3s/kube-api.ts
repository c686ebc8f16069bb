/** The part of the Kubernetes API that muster or a test needs: nodes, secrets, config maps, readiness. */
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { ADMIN, callerOf, isOneOf, NODE } from './access.ts'
import { baked } from './baked.ts'
import type { ClusterState } from './cluster-state.ts'
import { apiServers } from './controllers.ts'
import { KINDS, type Kind, Kube, KubeError, merge, NODES } from './objects.ts'
import { type Answer, failed } from './supervisor-api.ts'

const json = (value: unknown, status = 200): Answer => ({ status, body: JSON.stringify(value) })

export async function serveKubernetes(
  state: ClusterState,
  request: IncomingMessage,
  path: string,
  body: string,
): Promise<Answer> {
  if (!state.isApiUp) return failed(503, 'ServiceUnavailable', 'apiserver not ready')
  const caller = callerOf(request, state.passwords)
  if (caller === null || caller === 'wrong' || !isOneOf(caller, [ADMIN, NODE]))
    return failed(401, 'Unauthorized', 'Unauthorized')
  if (['/readyz', '/livez', '/healthz'].includes(path)) return readiness(state, path)
  if (path === '/version') return json({ gitVersion: baked.version, platform: `linux/${process.arch}` })
  try {
    return await serveObjects(state, request, path, body)
  } catch (error) {
    if (error instanceof KubeError) return failed(error.status, error.reason, error.message)
    if (error instanceof z.ZodError || error instanceof SyntaxError)
      return failed(400, 'BadRequest', error.message)
    return failed(500, 'InternalError', error instanceof Error ? error.message : String(error))
  }
}

async function readiness(state: ClusterState, path: string): Promise<Answer> {
  const isTold = state.stages.orders.api.refuse.includes(path)
  const isEtcdWell = await state.etcd.get('/registry/health').then(
    () => true,
    () => false,
  )
  if (isEtcdWell && !isTold) return { status: 200, body: 'ok', type: 'text/plain' }
  const line = `[-]${isTold ? 'poststarthook/told' : 'etcd'} failed: reason withheld`
  return { status: 500, body: `[+]ping ok\n${line}\n${path.slice(1)} check failed\n`, type: 'text/plain' }
}

async function serveObjects(
  state: ClusterState,
  request: IncomingMessage,
  path: string,
  body: string,
): Promise<Answer> {
  const { objects } = state
  if (path === '/api/v1/pods') return list('Pod', [])
  if (path === '/api/v1/namespaces/default/endpoints/kubernetes') {
    const addresses = (await apiServers(state.etcd)).map((address) => ({ ip: address.replace(/:\d+$/, '') }))
    const ports = [{ name: 'https', port: state.settings.port, protocol: 'TCP' }]
    return json({ kind: 'Endpoints', metadata: { name: 'kubernetes' }, subsets: [{ addresses, ports }] })
  }
  const found = route(path)
  if (found === null) throw new KubeError(404, 'NotFound', 'the server could not find the requested resource')
  const { kind, namespace, name } = found
  const given = (): Kube => Kube.parse(JSON.parse(body))
  switch (request.method) {
    case 'GET':
      if (name !== null) return json(await objects.get(kind, namespace, name))
      return list(kind.kind, await objects.list(kind, namespace))
    case 'POST':
      if (name !== null) break
      return json(await objects.create(kind, namespace, typed(kind, given())), 201)
    case 'PUT':
      if (name === null) break
      return json(await objects.replace(kind, namespace, typed(kind, given())))
    case 'PATCH':
      if (name === null) break
      return json(await patch(state, kind, namespace, name, request, body))
    case 'DELETE':
      if (name === null) break
      return json(await remove(state, kind, namespace, name))
  }
  throw new KubeError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
  )
}

const list = (kind: string, items: readonly unknown[]): Answer =>
  json({ kind: `${kind}List`, apiVersion: 'v1', metadata: {}, items })

const typed = (kind: Kind, object: Kube): Kube => ({ kind: kind.kind, apiVersion: 'v1', ...object })

function route(path: string): { kind: Kind; namespace: string; name: string | null } | null {
  const parts = /^\/api\/v1(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+?))?(?:\/status)?$/.exec(path)
  const [, namespace = '', plural, name] = parts ?? []
  const kind = KINDS.find((each) => each.plural === plural)
  if (kind === undefined || (kind.isNamespaced && namespace === '' && name !== undefined)) return null
  return {
    kind,
    namespace: decodeURIComponent(namespace),
    name: name === undefined ? null : decodeURIComponent(name),
  }
}

const LISTS = { conditions: 'type', taints: 'key', addresses: 'type' } as const

async function patch(
  state: ClusterState,
  kind: Kind,
  namespace: string,
  name: string,
  request: IncomingMessage,
  body: string,
): Promise<Kube> {
  const type = request.headers['content-type']?.split(';')[0]
  const isStrategic = type === 'application/strategic-merge-patch+json'
  if (!isStrategic && type !== 'application/merge-patch+json')
    throw new KubeError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format: ${type}`,
    )
  const change: unknown = JSON.parse(body)
  return state.objects.change(kind, namespace, name, (old) =>
    Kube.parse(merge(old, change, isStrategic ? LISTS : {})),
  )
}

/** A node with a member of etcd is gone when the member is: until then it is only marked. */
async function remove(state: ClusterState, kind: Kind, namespace: string, name: string): Promise<Kube> {
  return kind === NODES ? state.objects.markForDeletion(name) : state.objects.delete(kind, namespace, name)
}
