/** Nodes that spread artefacts, inside the test's own process: real libp2p on loopback, real files, a real origin. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Artefact } from '../../../src/core/content.ts'
import type { NodeId } from '../../../src/core/ids.ts'
import { type Content, type ContentOptions, startContent } from '../../../src/host/content/content.ts'
import { Copy } from '../../../src/host/content/copy.ts'
import { buildList } from '../../../src/host/content/list-builder.ts'
import { Pace } from '../../../src/host/content/pace.ts'
import { CONTENT_PROTOCOL, STREAMS_MAX } from '../../../src/host/content/protocol.ts'
import { serve } from '../../../src/host/content/serve.ts'
import { makePeers, type Peer, type Peers } from '../network/peers.ts'

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const MEBIBYTE = 1024 * 1024

export const artefactOf = (bytes: Uint8Array, url: string | null, name = 'file'): Artefact => ({
  sha256: sha256(bytes),
  size: bytes.length,
  url,
  name,
})

export interface Origin {
  readonly url: string
  /** What it has. */
  content: Uint8Array
  /** Bytes of bodies that were written. */
  sent: number
  readonly requests: { readonly range: string | null }[]
  /** In place of the usual answer; true where it answered. */
  behaviour: ((request: IncomingMessage, response: ServerResponse) => boolean) | null
  /** Bytes per second for each request; null: at once. */
  perSecond: number | null
  /** Ends every connection and answers no more. */
  kill(): Promise<void>
}

export interface Node {
  readonly content: Content
  readonly peer: Peer
  readonly directory: string
  readonly log: { readonly level: string; readonly event: string; readonly fields: Record<string, unknown> }[]
  count(name: string): number
  /** Ends it without a word to anybody. */
  end(): Promise<void>
}

export interface Nodes {
  readonly peers: Peers
  start(options?: Partial<ContentOptions>): Promise<Node>
  origin(content: Uint8Array): Promise<Origin>
  /** A member that says these bytes were the artefact. Everybody who starts later dials it. */
  liar(artefact: string, bytes: Uint8Array): Promise<NodeId>
  /** A directory that is gone after the test. */
  directory(): Promise<string>
  file(bytes: Uint8Array): Promise<string>
  /** IDs whose membership is taken away. */
  readonly revoked: Set<NodeId>
  end(): Promise<void>
}

export function makeNodes(): Nodes {
  const peers = makePeers()
  const ends: (() => Promise<unknown>)[] = []
  const revoked = new Set<NodeId>()
  const members = new Set<NodeId>()
  const dialled: string[] = []

  const directory = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'muster-content-'))
    ends.push(() => rm(path, { recursive: true, force: true }))
    return path
  }
  return {
    peers,
    revoked,
    directory,
    file: async (bytes) => {
      const path = join(await directory(), 'file')
      await writeFile(path, bytes)
      return path
    },
    async start(options = {}) {
      const own = options.directory ?? (await directory())
      const log: Node['log'] = []
      const counts = new Map<string, number>()
      const peer = await peers.start({ peers: [...dialled] })
      members.add(peer.id)
      const content = await startContent({
        bytesPerSecond: null,
        origin: { caFile: null, env: {} },
        members: () =>
          [...members]
            .filter((id) => id !== peer.id && !revoked.has(id))
            .map((id) => ({ id, alive: peer.network.connected().includes(id) })),
        log: (level, event, fields) => {
          log.push({ level, event, fields: { ...fields } })
        },
        count: (name) => counts.set(name, (counts.get(name) ?? 0) + 1),
        ...options,
        directory: own,
      })
      await content.join({ id: peer.id, connected: peer.network.connected, streams: peer.network.streams })
      let isEnded = false
      const node: Node = {
        content,
        peer,
        directory: own,
        log,
        count: (name) => counts.get(name) ?? 0,
        end: async () => {
          if (isEnded) return
          isEnded = true
          await peer.network.stop()
          await content.stop()
        },
      }
      dialled.push(peer.address)
      ends.unshift(node.end)
      return node
    },
    async origin(content) {
      const origin = await startOrigin(content)
      ends.unshift(origin.kill)
      return origin
    },
    async liar(artefact, bytes) {
      const peer = await peers.start()
      const path = join(await directory(), 'file')
      await writeFile(path, bytes)
      const copy = new Copy(artefact, await open(path, 'r'), null)
      await buildList(copy, () => false)
      const said = { wants: false, asks: false, failed: false, whole: true, bytes: bytes.length }
      const shelf = { copyOf: () => copy, saidOf: () => said, watch: () => () => undefined }
      await peer.network.streams.handle(CONTENT_PROTOCOL, STREAMS_MAX, (from, stream) =>
        serve(from, stream, { shelf, pace: new Pace(null), isMember: () => true, onBreach: () => undefined }),
      )
      members.add(peer.id)
      dialled.push(peer.address)
      ends.unshift(async () => {
        await peer.network.stop()
        await copy.close()
      })
      return peer.id
    },
    async end() {
      for (const end of ends.splice(0)) await end()
      await peers.end()
    },
  }
}

async function startOrigin(content: Uint8Array): Promise<Origin> {
  const server = createServer((request, response) => {
    const { range } = request.headers
    origin.requests.push({ range: range ?? null })
    if (origin.behaviour?.(request, response) === true) return
    const start = range === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(range)?.[1])
    const { length } = origin.content
    const head = { 'content-length': length - start, 'accept-ranges': 'bytes' }
    if (range === undefined) response.writeHead(200, head)
    else response.writeHead(206, { ...head, 'content-range': `bytes ${start}-${length - 1}/${length}` })
    void pour(origin, response, origin.content.subarray(start))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const origin: Origin = {
    url: `http://127.0.0.1:${port}/file`,
    content,
    sent: 0,
    requests: [],
    behaviour: null,
    perSecond: null,
    kill: async () => {
      server.closeAllConnections()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
  return origin
}

/** Writes at the origin's rate, and counts. */
async function pour(origin: Origin, response: ServerResponse, body: Uint8Array): Promise<void> {
  const slice = 64 * 1024
  for (let at = 0; at < body.length && !response.destroyed; at += slice) {
    const piece = body.subarray(at, at + slice)
    origin.sent += piece.length
    if (!response.write(piece)) {
      const settled = new AbortController()
      const { signal } = settled
      await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })])
      settled.abort()
    }
    if (origin.perSecond !== null) {
      const pauseMs = (piece.length / origin.perSecond) * 1_000
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
  response.end()
}

/** Bytes that nothing can guess. */
export const noise = (length: number): Uint8Array => new Uint8Array(randomBytes(length))
