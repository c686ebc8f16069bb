/** Membership, keys and snapshots of an etcd, through its HTTP/JSON gateway; written apart from the driver's. */
import { createWriteStream } from 'node:fs'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { call } from './https-client.ts'
import type { Pair } from './pki.ts'

/** etcd's own words: `etcdserver: too many learner members in cluster`. */
export class EtcdRefusal extends Error {
  override readonly name = 'EtcdRefusal'
}

export interface Member {
  readonly ID: string
  /** Empty until its etcd has started. */
  readonly name: string
  readonly peerURLs: readonly string[]
  readonly clientURLs: readonly string[]
  readonly isLearner: boolean
}

export interface Entry {
  readonly key: string
  readonly value: string
  /** Of the last change, decimal. */
  readonly revision: string
}

/** Each call asks the endpoints in turn until one answers. */
export class EtcdClient {
  readonly #endpoints: readonly string[]
  readonly #ca: string
  readonly #cert: Pair
  readonly #agent: Agent

  constructor(endpoints: readonly string[], ca: string, cert: Pair) {
    this.#endpoints = endpoints
    this.#ca = ca
    this.#cert = cert
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: 4, ca, cert: cert.crt, key: cert.key })
  }

  close(): void {
    this.#agent.destroy()
  }

  async status(): Promise<z.infer<typeof Status>> {
    return Status.parse(await this.#ask('/v3/maintenance/status', {}))
  }

  async members(): Promise<Member[]> {
    return Members.parse(await this.#ask('/v3/cluster/member/list', {})).members
  }

  async addLearner(peerUrl: string): Promise<void> {
    await this.#ask('/v3/cluster/member/add', { peerURLs: [peerUrl], isLearner: true }, 20_000)
  }

  async promote(ID: string): Promise<void> {
    await this.#ask('/v3/cluster/member/promote', { ID }, 10_000)
  }

  async remove(ID: string): Promise<void> {
    await this.#ask('/v3/cluster/member/remove', { ID }, 20_000)
  }

  async get(key: string): Promise<Entry | null> {
    const [entry] = Range.parse(await this.#ask('/v3/kv/range', { key: to64(key) })).kvs
    return entry ?? null
  }

  /** Everything whose key begins so. */
  async list(prefix: string): Promise<Entry[]> {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
    return Range.parse(await this.#ask('/v3/kv/range', { key: to64(prefix), range_end: to64(end) })).kvs
  }

  async put(key: string, value: string, lease = '0'): Promise<void> {
    await this.#ask('/v3/kv/put', { key: to64(key), value: to64(value), lease })
  }

  /** Only if the key was last changed at `revision`; `0`: only if there is none. @returns the new revision */
  async putIf(key: string, value: string, revision: string): Promise<string | null> {
    const put = { request_put: { key: to64(key), value: to64(value) } }
    return this.#transact(key, revision, put)
  }

  async deleteIf(key: string, revision: string): Promise<boolean> {
    const gone = { request_delete_range: { key: to64(key) } }
    return (await this.#transact(key, revision, gone)) !== null
  }

  async delete(key: string): Promise<void> {
    await this.#ask('/v3/kv/deleterange', { key: to64(key) })
  }

  /** @returns its ID */
  async grantLease(seconds: number): Promise<string> {
    return Lease.parse(await this.#ask('/v3/lease/grant', { TTL: String(seconds) })).ID
  }

  /** Writes the database to `path`. @returns its size in bytes */
  async snapshot(path: string): Promise<number> {
    const [endpoint = ''] = this.#endpoints
    const options = {
      method: 'POST',
      ca: this.#ca,
      cert: this.#cert.crt,
      key: this.#cert.key,
      agent: false as const,
    }
    const lines = await new Promise<AsyncIterable<string>>((resolve, reject) => {
      const outgoing = request(`${endpoint}/v3/maintenance/snapshot`, options, (incoming) =>
        resolve(createInterface({ input: incoming })),
      )
      outgoing.on('error', reject)
      outgoing.end('{}')
    })
    const file = createWriteStream(path, { mode: 0o600 })
    let bytes = 0
    for await (const line of lines) {
      const { blob } = Chunk.parse(JSON.parse(line)).result
      const chunk = Buffer.from(blob, 'base64')
      bytes += chunk.length
      if (chunk.length > 0) file.write(chunk)
    }
    await new Promise<void>((resolve, reject) => {
      file.on('error', reject)
      file.end(() => resolve())
    })
    return bytes
  }

  async #transact(key: string, revision: string, success: object): Promise<string | null> {
    const compare = { key: to64(key), target: 'MOD', result: 'EQUAL', mod_revision: revision }
    const answer = Transaction.parse(
      await this.#ask('/v3/kv/txn', { compare: [compare], success: [success] }),
    )
    return answer.succeeded ? answer.header.revision : null
  }

  async #ask(path: string, body: object, timeoutMs = 5_000): Promise<unknown> {
    let last: unknown = new Error('no endpoint')
    for (const endpoint of this.#endpoints) {
      try {
        const { status, text } = await call(`${endpoint}${path}`, {
          method: 'POST',
          ca: this.#ca,
          agent: this.#agent,
          body: JSON.stringify(body),
          timeoutMs,
        })
        if (status === 200) return JSON.parse(text)
        throw new EtcdRefusal(refusalOf(status, text))
      } catch (error) {
        last = error
        if (error instanceof EtcdRefusal) break
      }
    }
    throw last
  }
}

function refusalOf(status: number, text: string): string {
  try {
    return z.object({ message: z.string() }).parse(JSON.parse(text)).message
  } catch {
    return `HTTP status ${status}`
  }
}

const to64 = (text: string): string => Buffer.from(text).toString('base64')
const Text64 = z.base64().transform((text) => Buffer.from(text, 'base64').toString('utf8'))

const Status = z.object({
  header: z.object({ member_id: z.string(), cluster_id: z.string() }),
  leader: z.string().default('0'),
  isLearner: z.boolean().default(false),
  raftAppliedIndex: z.string().default('0'),
  errors: z.array(z.string()).default([]),
})

const Members = z.object({
  members: z
    .array(
      z.object({
        ID: z.string(),
        name: z.string().default(''),
        peerURLs: z.array(z.string()).default([]),
        clientURLs: z.array(z.string()).default([]),
        isLearner: z.boolean().default(false),
      }),
    )
    .default([]),
})

const Range = z.object({
  kvs: z
    .array(
      z
        .object({ key: Text64, value: Text64.default(''), mod_revision: z.string() })
        .transform(({ key, value, mod_revision }): Entry => ({ key, value, revision: mod_revision })),
    )
    .default([]),
})

const Transaction = z.object({
  header: z.object({ revision: z.string() }),
  succeeded: z.boolean().default(false),
})

const Lease = z.object({ ID: z.string() })
const Chunk = z.object({ result: z.object({ blob: z.string().default('') }) })
