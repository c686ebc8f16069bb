/**
 * One peer that is followed for one artefact: what it says of itself, what it claims to hold, and what it was asked
 * for. Asks for no more than the peer delivers in a moment, so that beats on the same connection are not behind
 * much (the idea of LEDBAT, RFC 6817: the window follows the delay). Whatever comes unasked is a breach.
 */
import type { Stream } from '@libp2p/interface'
import { type Millis, millis, type NodeId } from '../../core/ids.ts'
import { Budget } from '../network/budget.ts'
import { CHUNK_BYTES_MAX } from './chunker.ts'
import {
  bytesOfDigest,
  digestOfBytes,
  REPLY_BYTES_MAX,
  type Reply,
  type Request,
  readReply,
  type Said,
} from './protocol.ts'
import { CHUNKS_PER_SEGMENT, digestOf, hasBit, readSegment, type Segment } from './segments.ts'
import { ProtocolBreach, Wire } from './wire.ts'

/** Delay that is aimed at, of a chunk from asking to having: a tenth of what makes a node count as silent. */
const DELAY_MS = 250
const WINDOW_MIN = CHUNK_BYTES_MAX
const WINDOW_BEGIN = 512 * 1024
const WINDOW_MAX = 2 * 1024 * 1024
/** Asked, and nothing came for this long: the peer is stuck, or wants us to be. */
const STALL_MS = 10_000
const LISTS_MAX = 16
/** Frames that come unasked: a segment for each 2 MiB, a state now and then, and all it has at the beginning. */
const UNASKED: ReadonlySet<Reply['k']> = new Set(['state', 'holds', 'void'])
const TALK_PER_SECOND = 200
const TALK_BURST = 1_000
/** What a peer says it has got must show in what it holds, or it is no progress. */
const UNSHOWN_MAX = 16 * 1024 * 1024
const STEP = 64 * 1024

interface Asked {
  readonly at: number
  readonly segment: Segment
  readonly buffer: Buffer
  received: number
}

export interface LinkPorts {
  onSaid(): void
  onClaims(indexes: readonly number[]): void
  onSegment(index: number, segment: Segment): void
  /** @param digest of the segment for which it was asked. */
  onChunk(index: number, chunk: number, digest: string, bytes: Uint8Array): void
  /** Once. A {@link ProtocolBreach}: the peer is to blame. */
  onEnd(reason: Error): void
}

export class Link {
  readonly peer: NodeId
  readonly claims = new Map<number, string>()
  said: Said | null = null
  progressAt: Millis | null = null
  readonly #wire: Wire
  readonly #ports: LinkPorts
  readonly #asked = new Map<number, Asked>()
  readonly #lists = new Set<number>()
  readonly #talk = new Budget(TALK_PER_SECOND, TALK_BURST, performance.now())
  #window = WINDOW_BEGIN
  #outstanding = 0
  #heardAt = performance.now()
  #bytes = 0
  #shown = 0

  constructor(peer: NodeId, artefact: string, stream: Stream, ports: LinkPorts) {
    this.peer = peer
    this.#ports = ports
    this.#wire = new Wire(stream, {
      frameMax: REPLY_BYTES_MAX,
      onFrame: (value) => this.#heard(readReply(value)),
      onEnd: (reason) => ports.onEnd(reason),
    })
    this.#send({ k: 'follow', artefact: bytesOfDigest(artefact) })
  }

  /** Bytes that may be asked for now. */
  get free(): number {
    return this.#window - this.#outstanding
  }

  get isIdle(): boolean {
    return this.#outstanding === 0
  }

  /** A big share of the window is free: asking in small pieces would cost more than it brings. */
  get isHungry(): boolean {
    return this.#outstanding <= this.#window / 2
  }

  get mayList(): boolean {
    return this.#lists.size < LISTS_MAX
  }

  askList(index: number): void {
    this.#lists.add(index)
    this.#begin()
    this.#send({ k: 'list', index })
  }

  isListing(index: number): boolean {
    return this.#lists.has(index)
  }

  take(index: number, segment: Segment, mask: number): void {
    this.#begin()
    const at = performance.now()
    for (const [i, { length }] of segment.chunks.entries()) {
      if (!hasBit(mask, i)) continue
      this.#asked.set(keyOf(index, i), { at, segment, buffer: Buffer.allocUnsafe(length), received: 0 })
      this.#outstanding += length
    }
    this.#send({ k: 'take', index, mask })
  }

  /** What was asked for so long ago and is not there yet, as masks by segment. */
  outstanding(sinceMs = 0): Map<number, number> {
    const masks = new Map<number, number>()
    const before = performance.now() - sinceMs
    for (const [key, { at }] of this.#asked) {
      if (at > before) continue
      const index = Math.floor(key / CHUNKS_PER_SEGMENT)
      masks.set(index, ((masks.get(index) ?? 0) | (1 << (key % CHUNKS_PER_SEGMENT))) >>> 0)
    }
    return masks
  }

  /** Ends it where the peer owes something for too long. */
  tick(): void {
    const owes = this.#outstanding > 0 || this.#lists.size > 0
    if (owes && performance.now() - this.#heardAt > STALL_MS) this.end(new Error('the peer is too slow'))
  }

  end(reason: Error): void {
    this.#wire.end(reason)
  }

  /** The clock of what it owes starts with the first debt. */
  #begin(): void {
    if (this.#outstanding === 0 && this.#lists.size <= 1) this.#heardAt = performance.now()
  }

  #send(request: Request): void {
    this.#wire.send(request).catch((error: unknown) => {
      this.end(error instanceof Error ? error : new Error(String(error)))
    })
  }

  #heard(reply: Reply): void {
    if (UNASKED.has(reply.k) && !this.#talk.take(1, performance.now()))
      throw new ProtocolBreach('talks too much')
    if (reply.k === 'state') this.#heardState(reply)
    else if (reply.k === 'holds') this.#heardHolds(reply.segments)
    else if (reply.k === 'void') this.#heardVoid()
    else if (reply.k === 'list') this.#heardList(reply.index, reply.bytes)
    else if (reply.k === 'data') this.#heardData(reply)
    else this.#heardGone(reply)
  }

  #heardVoid(): void {
    this.claims.clear()
    this.#ports.onClaims([])
  }

  #heardState({ k: _, ...said }: Extract<Reply, { k: 'state' }>): void {
    const begins = said.asks && this.said?.asks !== true
    const grew = said.bytes >= this.#bytes + STEP && said.bytes <= this.#shown + UNSHOWN_MAX
    if (begins || grew) this.#progressed()
    this.#bytes = Math.max(this.#bytes, said.bytes)
    this.said = said
    this.#ports.onSaid()
  }

  #heardHolds(segments: readonly (readonly [number, Uint8Array])[]): void {
    const before = this.claims.size
    for (const [index, digest] of segments) this.claims.set(index, digestOfBytes(digest))
    if (this.claims.size > before) {
      this.#shown = this.#bytes
      this.#progressed()
    }
    this.#ports.onClaims(segments.map(([index]) => index))
  }

  #heardList(index: number, bytes: Uint8Array): void {
    if (!this.#lists.delete(index)) throw new ProtocolBreach('a list that nobody asked for')
    this.#heardAt = performance.now()
    const claimed = this.claims.get(index)
    if (claimed === undefined) return
    const segment = readSegment(bytes)
    if (digestOf(bytes) !== claimed) throw new ProtocolBreach('a list that is not what it claimed')
    this.#ports.onSegment(index, segment)
  }

  #heardData({ index, chunk, at, bytes }: Extract<Reply, { k: 'data' }>): void {
    const key = keyOf(index, chunk)
    const asked = this.#asked.get(key)
    if (asked === undefined) throw new ProtocolBreach('data that nobody asked for')
    if (at !== asked.received || at + bytes.length > asked.buffer.length)
      throw new ProtocolBreach('data out of order')
    asked.buffer.set(bytes, at)
    asked.received += bytes.length
    if (asked.received < asked.buffer.length) return
    const now = performance.now()
    this.#heardAt = now
    this.#release(key, asked)
    const delay = now - asked.at
    if (delay < DELAY_MS) this.#window = Math.min(WINDOW_MAX, this.#window + asked.buffer.length)
    else if (delay > 2 * DELAY_MS) this.#window = Math.max(WINDOW_MIN, Math.round(this.#window * 0.7))
    this.#ports.onChunk(index, chunk, asked.segment.digest, asked.buffer)
  }

  #heardGone({ index, mask }: Extract<Reply, { k: 'gone' }>): void {
    if (mask === 0 && !this.#lists.delete(index)) throw new ProtocolBreach('misses what nobody asked for')
    for (let chunk = 0; chunk < CHUNKS_PER_SEGMENT; chunk++) {
      if (!hasBit(mask, chunk)) continue
      const asked = this.#asked.get(keyOf(index, chunk))
      if (asked === undefined) throw new ProtocolBreach('misses what nobody asked for')
      this.#release(keyOf(index, chunk), asked)
    }
    this.claims.delete(index)
    this.#ports.onClaims([index])
  }

  #release(key: number, { buffer }: Asked): void {
    this.#asked.delete(key)
    this.#outstanding -= buffer.length
  }

  #progressed(): void {
    this.progressAt = millis(Math.round(performance.now()))
  }
}

const keyOf = (index: number, chunk: number): number => index * CHUNKS_PER_SEGMENT + chunk
