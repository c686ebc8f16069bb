/**
 * Kubernetes' API and k3s' supervisor, which share a port, over connections that stay open, with the certificates
 * that k3s itself made on this machine. Polling costs a request, not a `kubectl`.
 */
import { Agent, request } from 'node:https'
import { z } from 'zod'
import { REQUEST_MS } from '../timing.ts'

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: 'MUSTER_E_K3S_UNREACHABLE' | 'MUSTER_E_K3S_REFUSED' | 'MUSTER_E_K3S_MALFORMED'
  /** Null unless refused. */
  readonly status: number | null

  constructor(code: ApiError['code'], message: string, status: number | null, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.status = status
  }
}

/** PEM. Holds a private key. */
export interface ApiCredentials {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface KubernetesNode {
  readonly name: string
  readonly ready: boolean
  /** By k3s' own condition, false where there is none. */
  readonly isVoter: boolean
  readonly isServer: boolean
  readonly version: string | null
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly taints: readonly {
    readonly key: string
    readonly value?: string | undefined
    readonly effect: string
  }[]
}

/** Calls throw ApiError. */
export interface K3sApi {
  /** What the supervisor calls its CA. Believed only where the answer is this machine's own. */
  cacerts(): Promise<string>
  /** Whether a request for health is answered with success; false also where nobody answers. */
  isWell(path: string, basic?: { readonly user: string; readonly password: string }): Promise<boolean>
  version(): Promise<string>
  nodes(): Promise<KubernetesNode[]>
  /** Null where there is none. */
  node(name: string): Promise<KubernetesNode | null>
  /** Strategic for `metadata`, whole lists for `spec.taints`. */
  patchNode(name: string, patch: object): Promise<void>
  /** @returns whether there was one */
  deleteNode(name: string): Promise<boolean>
  deleteNodePassword(name: string): Promise<boolean>
  close(): void
}

/** @param credentials null: who answers is not checked, and only what everybody may ask is asked */
export function connectApi(url: string, credentials: ApiCredentials | null): K3sApi {
  const agent = new Agent({
    keepAlive: true,
    maxFreeSockets: 2,
    minVersion: 'TLSv1.2',
    ...(credentials ?? { rejectUnauthorized: false }),
  })
  const ask = async (method: string, path: string, body: object | null = null): Promise<string> => {
    const answer = await exchange(agent, method, `${url}${path}`, body, null)
    if (answer.status >= 200 && answer.status < 300) return answer.text
    throw new ApiError('MUSTER_E_K3S_REFUSED', refusalOf(answer), answer.status)
  }
  const missingAs = async <T, U>(call: Promise<T>, otherwise: U): Promise<T | U> => {
    try {
      return await call
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return otherwise
      throw error
    }
  }
  return {
    cacerts: () => ask('GET', '/cacerts'),
    async isWell(path, basic) {
      try {
        return (await exchange(agent, 'GET', `${url}${path}`, null, basic ?? null)).status === 200
      } catch (error) {
        if (error instanceof ApiError) return false
        throw error
      }
    },
    version: async () => parse(versionSchema, await ask('GET', '/version')).gitVersion,
    nodes: async () => parse(nodeListSchema, await ask('GET', '/api/v1/nodes')).items,
    node: (name) =>
      missingAs(
        ask('GET', nodePath(name)).then((text) => parse(nodeSchema, text)),
        null,
      ),
    async patchNode(name, patch) {
      await ask('PATCH', nodePath(name), patch)
    },
    deleteNode: (name) =>
      missingAs(
        ask('DELETE', nodePath(name)).then(() => true),
        false,
      ),
    deleteNodePassword: (name) =>
      missingAs(
        ask(
          'DELETE',
          `/api/v1/namespaces/kube-system/secrets/${encodeURIComponent(`${name}.node-password.k3s`)}`,
        ).then(() => true),
        false,
      ),
    close: () => agent.destroy(),
  }
}

/** Whether anybody's k3s answers there: the target of a join, of which nothing more is known yet. */
export async function answersPing(url: string): Promise<boolean> {
  const api = connectApi(url, null)
  try {
    return await api.isWell('/ping')
  } finally {
    api.close()
  }
}

const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`

interface Answer {
  readonly status: number
  readonly text: string
}

/** A thousand Nodes with their images are 20 MB. */
const ANSWER_MAX_BYTES = 32 * 1024 * 1024

function exchange(
  agent: Agent,
  method: string,
  url: string,
  body: object | null,
  basic: { readonly user: string; readonly password: string } | null,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      accept: 'application/json',
      ...(body === null ? {} : { 'content-type': 'application/merge-patch+json' }),
    }
    const auth = basic === null ? {} : { auth: `${basic.user}:${basic.password}` }
    const outgoing = request(url, { agent, method, headers, ...auth }, (incoming) => {
      const chunks: Buffer[] = []
      let size = 0
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > ANSWER_MAX_BYTES) incoming.destroy(new Error('the answer is too long'))
        else chunks.push(chunk)
      })
      incoming.on('error', fail)
      incoming.on('end', () => {
        clearTimeout(timer)
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') })
      })
    })
    // For the whole exchange: Node's own timeout starts again with every byte.
    const timer = setTimeout(() => outgoing.destroy(new Error('no answer in time')), REQUEST_MS)
    const fail = (cause: Error): void => {
      clearTimeout(timer)
      const message = `${new URL(url).host}: ${cause.message}`
      reject(new ApiError('MUSTER_E_K3S_UNREACHABLE', message, null, { cause }))
    }
    outgoing.on('error', fail)
    outgoing.end(body === null ? undefined : JSON.stringify(body))
  })
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ApiError('MUSTER_E_K3S_MALFORMED', 'the answer is not JSON', null, { cause: error })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new ApiError('MUSTER_E_K3S_MALFORMED', z.prettifyError(parsed.error), null)
  return parsed.data
}

function refusalOf({ status, text }: Answer): string {
  try {
    return refusalSchema.parse(JSON.parse(text)).message.slice(0, 300)
  } catch {
    return `HTTP status ${status}`
  }
}

const refusalSchema = z.object({ message: z.string() })
const versionSchema = z.object({ gitVersion: z.string().max(64) })

const nodeSchema = z
  .object({
    metadata: z.object({
      name: z.string().max(253),
      labels: z.record(z.string(), z.string()).default({}),
      annotations: z.record(z.string(), z.string()).default({}),
    }),
    spec: z
      .object({
        taints: z
          .array(z.object({ key: z.string(), value: z.string().optional(), effect: z.string() }))
          .default([]),
      })
      .default({ taints: [] }),
    status: z
      .object({
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
        nodeInfo: z.object({ kubeletVersion: z.string().max(64) }).optional(),
      })
      .default({ conditions: [] }),
  })
  .transform(({ metadata, spec, status }): KubernetesNode => {
    const holds = (type: string): boolean =>
      status.conditions.some((condition) => condition.type === type && condition.status === 'True')
    return {
      name: metadata.name,
      ready: holds('Ready'),
      isVoter: holds('EtcdIsVoter'),
      isServer: ['control-plane', 'master'].some(
        (role) => `node-role.kubernetes.io/${role}` in metadata.labels,
      ),
      version: status.nodeInfo?.kubeletVersion ?? null,
      labels: metadata.labels,
      annotations: metadata.annotations,
      taints: spec.taints,
    }
  })

const nodeListSchema = z.object({ items: z.array(nodeSchema).max(10_000) })
