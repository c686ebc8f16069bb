/**
 * The etcd within k3s, by gRPC: k3s offers no HTTP/JSON gateway on the client port (its etcd has a separate address
 * for HTTP). Unary calls of a handful of small messages (etcd's rpc.proto) over connections that stay open.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import type { EtcdMember, MemberList } from '../etcd-api.ts'
import { CHANGE_MS, REQUEST_MS } from '../timing.ts'
import { bytesField, messagesAt, numberAt, numberField, readFields, textsAt } from './wire.ts'

export class EtcdCallError extends Error {
  override readonly name = 'EtcdCallError'
  readonly code: 'MUSTER_E_ETCD_UNREACHABLE' | 'MUSTER_E_ETCD_REFUSED'
  /** The member is a learner, which answers little. */
  readonly isLearner: boolean

  constructor(code: EtcdCallError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.isLearner = /not supported for learner/.test(message)
  }
}

/** PEM. Holds a private key. */
export interface EtcdCredentials {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface EtcdStatus {
  readonly memberId: string
  readonly isLearner: boolean
  readonly hasLeader: boolean
  /** `alarm:NOSPACE`, … */
  readonly errors: readonly string[]
}

/** All calls take the client URL of the member to ask and throw EtcdCallError. */
export interface K3sEtcd {
  members(url: string): Promise<MemberList>
  status(url: string): Promise<EtcdStatus>
  /** Reads through the leader and its quorum. */
  read(url: string): Promise<void>
  remove(url: string, id: string): Promise<void>
  close(): void
}

export function connectEtcd(credentials: EtcdCredentials): K3sEtcd {
  const sessions = new Map<string, ClientHttp2Session>()
  const session = (url: string): ClientHttp2Session => {
    const open = sessions.get(url)
    if (open !== undefined && !open.closed && !open.destroyed) return open
    const made = connect(url, { ...credentials, minVersion: 'TLSv1.2' })
    // What goes wrong, the request that it goes wrong for tells.
    made.on('error', () => undefined)
    made.unref()
    sessions.set(url, made)
    return made
  }
  const call = (
    url: string,
    method: string,
    message: Uint8Array,
    timeoutMs = REQUEST_MS,
  ): Promise<Uint8Array> => exchange(session(url), url, `/etcdserverpb.${method}`, message, timeoutMs)
  return {
    async members(url) {
      return parseMembers(await call(url, 'Cluster/MemberList', new Uint8Array()))
    },
    async status(url) {
      const fields = readFields(await call(url, 'Maintenance/Status', new Uint8Array()))
      return {
        memberId: headerOf(fields).memberId,
        hasLeader: numberAt(fields, 4) !== 0n,
        isLearner: numberAt(fields, 10) !== 0n,
        errors: textsAt(fields, 8),
      }
    },
    async read(url) {
      await call(url, 'KV/Range', bytesField(1, new TextEncoder().encode('health')))
    },
    async remove(url, id) {
      await call(url, 'Cluster/MemberRemove', numberField(1, BigInt(id)), CHANGE_MS)
    },
    close() {
      for (const open of sessions.values()) open.destroy()
      sessions.clear()
    },
  }
}

/** A list of a hundred members is 30 KB. */
const ANSWER_MAX_BYTES = 1024 * 1024

/** gRPC over HTTP/2: a message is a byte (not compressed), its length, itself; the outcome is in the trailers. */
function exchange(
  session: ClientHttp2Session,
  url: string,
  path: string,
  message: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const host = new URL(url).host
    const unreachable = (cause: unknown): void => {
      clearTimeout(timer)
      const said = cause instanceof Error ? cause.message : String(cause)
      reject(new EtcdCallError('MUSTER_E_ETCD_UNREACHABLE', `${host}: ${said}`, { cause }))
    }
    const broken = (error: Error): void => unreachable(error)
    let stream: ClientHttp2Stream
    const timer = setTimeout(() => {
      // A connection that answers nothing is of no more use: the next call makes another.
      session.destroy()
      unreachable(new Error('no answer in time'))
    }, timeoutMs)
    session.once('error', broken)
    try {
      stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      })
    } catch (error) {
      unreachable(error)
      return
    }
    const chunks: Buffer[] = []
    let size = 0
    let outcome: Outcome = { status: null, said: '' }
    const note = (headers: NodeJS.Dict<string | string[] | number>): void => {
      const status = headers['grpc-status']
      if (status === undefined) return
      outcome = { status: String(status), said: decodeURIComponent(String(headers['grpc-message'] ?? '')) }
    }
    stream.on('response', note)
    stream.on('trailers', note)
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > ANSWER_MAX_BYTES) stream.destroy(new Error('the answer is too long'))
      else chunks.push(chunk)
    })
    stream.on('error', unreachable)
    stream.on('close', () => {
      clearTimeout(timer)
      session.removeListener('error', broken)
      if (outcome.status === null) unreachable(new Error('the connection ended'))
      else if (outcome.status !== '0')
        reject(
          new EtcdCallError('MUSTER_E_ETCD_REFUSED', outcome.said.slice(0, 300) || `code ${outcome.status}`),
        )
      else resolve(messageIn(Buffer.concat(chunks)))
    })
    const frame = Buffer.alloc(5 + message.length)
    frame.writeUInt32BE(message.length, 1)
    frame.set(message, 5)
    stream.end(frame)
  })
}

interface Outcome {
  /** gRPC's number, null until told. */
  readonly status: string | null
  readonly said: string
}

const messageIn = (body: Buffer): Uint8Array =>
  body.length < 5 ? new Uint8Array() : body.subarray(5, 5 + body.readUInt32BE(1))

function parseMembers(bytes: Uint8Array): MemberList {
  const fields = readFields(bytes)
  const members = messagesAt(fields, 2).map((message): EtcdMember => {
    const member = readFields(message)
    return {
      id: numberAt(member, 1).toString(),
      name: textsAt(member, 2).at(-1) ?? '',
      peerUrls: textsAt(member, 3).filter((url) => URL.canParse(url)),
      isLearner: numberAt(member, 5) !== 0n,
    }
  })
  return { ...headerOf(fields), members }
}

function headerOf(fields: ReturnType<typeof readFields>): { clusterId: string; memberId: string } {
  const header = readFields(messagesAt(fields, 1)[0] ?? new Uint8Array())
  return { clusterId: numberAt(header, 1).toString(16), memberId: numberAt(header, 2).toString() }
}
