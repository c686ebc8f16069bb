/**
 * etcd's HTTP/JSON gateway (`/v3/…`, etcd 3.4 and later) over connections that stay open, with the cluster's
 * own certificates. Polling costs a request, not a process as etcdctl would.
 */
import { Agent, request } from 'node:https'
import { z } from 'zod'
import type { ClientCredentials } from './credentials.ts'
import { CHANGE_MS, REQUEST_MS } from './timing.ts'

/** `too-many-learners`, `not-in-sync`, `unhealthy`: later it may work. `learner`: this member cannot say. */
export type Refusal =
  | 'learner'
  | 'too-many-learners'
  | 'not-in-sync'
  | 'unhealthy'
  | 'exists'
  | 'gone'
  | 'other'

export class EtcdApiError extends Error {
  readonly code: 'MUSTER_E_ETCD_UNREACHABLE' | 'MUSTER_E_ETCD_MALFORMED' | 'MUSTER_E_ETCD_REFUSED'
  /** Null unless refused. */
  readonly refusal: Refusal | null

  constructor(code: EtcdApiError['code'], message: string, refusal: Refusal | null, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EtcdApiError'
    this.code = code
    this.refusal = refusal
  }
}

export interface EtcdMember {
  /** Decimal, as the gateway writes 64-bit numbers. */
  readonly id: string
  /** Empty until its etcd has started once. */
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly isLearner: boolean
}

export interface MemberList {
  /** Lower-case hexadecimal, as etcd's own tools write it. */
  readonly clusterId: string
  /** Who answered. */
  readonly memberId: string
  readonly members: readonly EtcdMember[]
}

export interface MemberStatus {
  readonly clusterId: string
  readonly memberId: string
  readonly hasLeader: boolean
  readonly isLearner: boolean
  /** `memberID:… alarm:NOSPACE`, `etcdserver: no leader`. */
  readonly errors: readonly string[]
}

/** All calls take the client URL of the member to ask and throw EtcdApiError. */
export interface EtcdApi {
  /** Whether a read through the leader and its quorum works there (a learner's answer may be older). */
  isHealthy(url: string): Promise<boolean>
  /** Such as 3.4.23. */
  version(url: string): Promise<string>
  /** That member's own view, which may be behind. A learner refuses. */
  members(url: string): Promise<MemberList>
  status(url: string): Promise<MemberStatus>
  /** @returns the members including the new one */
  addLearner(url: string, peerUrl: string): Promise<MemberList>
  promote(url: string, id: string): Promise<void>
  remove(url: string, id: string): Promise<void>
  close(): void
}

/** Connections open when first needed, and stay open until `close`, which also ends the requests under way. */
export function connectEtcd(credentials: ClientCredentials): EtcdApi {
  const agent = new Agent({
    keepAlive: true,
    maxFreeSockets: 1,
    ca: credentials.ca,
    cert: credentials.client,
    key: credentials.client,
    minVersion: 'TLSv1.2',
  })
  const ask = (
    method: 'GET' | 'POST',
    url: string,
    body: object | null,
    timeoutMs: number,
  ): Promise<Answer> => exchange(agent, method, url, body, timeoutMs)
  const call = async <T>(
    url: string,
    schema: z.ZodType<T>,
    body: object,
    timeoutMs = REQUEST_MS,
  ): Promise<T> => {
    const answer = await ask('POST', url, body, timeoutMs)
    if (answer.status !== 200) throw refused(answer)
    return parse(schema, answer.text)
  }
  return {
    async isHealthy(url) {
      const answer = await ask('GET', `${url}/health`, null, REQUEST_MS)
      return answer.status === 200 && parse(healthSchema, answer.text).health === 'true'
    },
    async version(url) {
      const answer = await ask('GET', `${url}/version`, null, REQUEST_MS)
      if (answer.status !== 200) throw refused(answer)
      return parse(versionSchema, answer.text).etcdserver
    },
    members: (url) => call(`${url}/v3/cluster/member/list`, memberListSchema, {}),
    status: (url) => call(`${url}/v3/maintenance/status`, statusSchema, {}),
    addLearner: (url, peerUrl) =>
      call(
        `${url}/v3/cluster/member/add`,
        memberListSchema,
        { peerURLs: [peerUrl], isLearner: true },
        CHANGE_MS,
      ),
    async promote(url, ID) {
      await call(`${url}/v3/cluster/member/promote`, memberListSchema, { ID }, CHANGE_MS)
    },
    async remove(url, ID) {
      await call(`${url}/v3/cluster/member/remove`, memberListSchema, { ID }, CHANGE_MS)
    },
    close: () => agent.destroy(),
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** A list of a hundred members is 30 KB. */
const ANSWER_MAX_BYTES = 1024 * 1024

function exchange(
  agent: Agent,
  method: 'GET' | 'POST',
  url: string,
  body: object | null,
  timeoutMs: number,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, method }, (incoming) => {
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
    const timer = setTimeout(() => outgoing.destroy(new Error('no answer in time')), timeoutMs)
    const fail = (cause: Error): void => {
      clearTimeout(timer)
      const message = `${new URL(url).host}: ${cause.message}`
      reject(new EtcdApiError('MUSTER_E_ETCD_UNREACHABLE', message, null, { cause }))
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
    throw new EtcdApiError('MUSTER_E_ETCD_MALFORMED', 'the answer is not JSON', null, { cause: error })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new EtcdApiError('MUSTER_E_ETCD_MALFORMED', z.prettifyError(parsed.error), null)
  return parsed.data
}

function refused({ status, text }: Answer): EtcdApiError {
  let said = `HTTP status ${status}`
  try {
    said = refusalSchema.parse(JSON.parse(text)).message
  } catch {
    // The status has to do.
  }
  const refusal = REFUSALS.find(([pattern]) => pattern.test(said))?.[1] ?? 'other'
  return new EtcdApiError('MUSTER_E_ETCD_REFUSED', said.slice(0, 300), refusal)
}

/** etcd's own words (api/v3rpc/rpctypes/error.go), the only part of an error that tells these apart. */
const REFUSALS: readonly (readonly [RegExp, Refusal])[] = [
  [/not supported for learner/, 'learner'],
  [/too many learner members/, 'too-many-learners'],
  [/in sync with leader/, 'not-in-sync'],
  [/unhealthy cluster|not enough started members|no leader|leader changed|request timed out/, 'unhealthy'],
  [/already exist/, 'exists'],
  [/member not found|can only promote a learner member/, 'gone'],
]

const refusalSchema = z.object({ message: z.string() })
const healthSchema = z.object({ health: z.string() })
const versionSchema = z.object({ etcdserver: z.string().max(32) })
const idSchema = z.string().regex(/^\d{1,20}$/)
const headerSchema = z.object({ cluster_id: idSchema, member_id: idSchema })

// protobuf's JSON leaves out what has its default value.
const memberSchema = z
  .object({
    ID: idSchema,
    name: z.string().max(256).default(''),
    peerURLs: z
      .array(z.url({ protocol: /^https?$/ }).regex(/^[^,=\s]+$/))
      .max(16)
      .default([]),
    isLearner: z.boolean().default(false),
  })
  .transform(
    ({ ID, name, peerURLs, isLearner }): EtcdMember => ({ id: ID, name, peerUrls: peerURLs, isLearner }),
  )

const memberListSchema = z
  .object({ header: headerSchema, members: z.array(memberSchema).max(128).default([]) })
  .transform(({ header, members }): MemberList => ({ ...identified(header), members }))

const statusSchema = z
  .object({
    header: headerSchema,
    leader: idSchema.default('0'),
    isLearner: z.boolean().default(false),
    errors: z.array(z.string().max(1024)).max(64).default([]),
  })
  .transform(
    ({ header, leader, isLearner, errors }): MemberStatus => ({
      ...identified(header),
      hasLeader: leader !== '0',
      isLearner,
      errors,
    }),
  )

const identified = (header: z.infer<typeof headerSchema>): { clusterId: string; memberId: string } => ({
  clusterId: BigInt(header.cluster_id).toString(16),
  memberId: header.member_id,
})
