/**
 * Messages between two peers: one long-lived stream each way, length-prefixed frames, in order, best effort.
 * Bounded on both sides: a queue to a slow peer drops its oldest frames, a peer that floods is slowed and cut
 * short, a frame beyond the limit ends the connection. An empty frame is no message: see {@link Liveness}.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { decode, encode } from 'it-length-prefixed'
import { pipe } from 'it-pipe'
import { nodeId } from '../../core/ids.ts'
import { MESSAGE_BYTES_MAX } from '../../core/protocol.ts'
import { Budget } from './budget.ts'
import type { Connections } from './connections.ts'
import { drained, SilentError } from './drained.ts'
import { Liveness } from './liveness.ts'
import { Outbox } from './outbox.ts'
import type { NetworkPorts } from './ports.ts'
import { Throttle } from './throttle.ts'

export const MESSAGE_PROTOCOL = '/muster/1'

/** A stream that takes nothing for this long leads nowhere, whatever its connection says. */
const STALL_MS = 5_000
/** Opening a stream to a live peer takes milliseconds. */
const OPEN_TIMEOUT_MS = 5_000
/** Messages of one peer: a joining rack needs tens per second, a flood sends thousands. */
const MESSAGES_PER_SECOND = 500
const MESSAGES_BURST = 1_000
/** Bytes of one peer: records of a thousand nodes fit into the burst; beyond it the peer is slowed down. */
const BYTES_PER_SECOND = 8 * 1024 * 1024
const BYTES_BURST = 16 * 1024 * 1024
/** Streams that one peer may have open towards us: one, and those that it is just leaving. */
const INBOUND_STREAMS_MAX = 4
const TICK_MS = 1_000
const EMPTY = new Uint8Array(0)

interface Channel {
  readonly outbox: Outbox
  pumping: boolean
  open: { readonly stream: Stream; readonly connection: Connection } | null
}

interface Allowance {
  readonly messages: Budget
  readonly bytes: Budget
}

export interface Channels {
  send(peer: string, bytes: Uint8Array): void
  connected(peer: string): void
  disconnected(peer: string): void
  stop(): void
}

interface Surroundings {
  readonly node: Libp2p
  readonly connections: Connections
  readonly ports: Pick<NetworkPorts, 'onMessage' | 'log' | 'count'>
  /** Frames wait for a peer that is not connected. */
  readonly wanted: (peer: string) => void
  /** The peer broke the framing. */
  readonly shun: (peer: string, reason: Error) => void
}

export async function startChannels({
  node,
  connections,
  ports,
  wanted,
  shun,
}: Surroundings): Promise<Channels> {
  const channels = new Map<string, Channel>()
  const allowances = new Map<string, Allowance>()
  const liveness = new Liveness()
  const throttle = new Throttle()

  const warn = (event: string, peer: string, fields: Readonly<Record<string, number>> = {}): void => {
    ports.count(event)
    if (throttle.mayTell(`${event} ${peer}`, performance.now())) ports.log('warn', event, { peer, ...fields })
  }

  const allowanceOf = (peer: string): Allowance => {
    const now = performance.now()
    const allowance = allowances.get(peer) ?? {
      messages: new Budget(MESSAGES_PER_SECOND, MESSAGES_BURST, now),
      bytes: new Budget(BYTES_PER_SECOND, BYTES_BURST, now),
    }
    allowances.set(peer, allowance)
    return allowance
  }

  const accept = (peer: string, bytes: Uint8Array, allowance: Allowance): void => {
    const now = performance.now()
    liveness.heard(peer, bytes.length === 0, now)
    if (!allowance.messages.take(1, now)) {
      warn('network.message.flood', peer, { perSecond: MESSAGES_PER_SECOND })
    } else if (bytes.length > 0) {
      hand(peer, bytes)
    }
  }

  const hand = (peer: string, bytes: Uint8Array): void => {
    try {
      ports.onMessage(nodeId(peer), bytes)
    } catch (error) {
      // A fault of our own: the peer's stream must not suffer from it.
      ports.count('network.handler.failed')
      ports.log('error', 'network.handler.failed', { peer, message: asError(error).message })
    }
  }

  const receive = async (stream: Stream, connection: Connection): Promise<void> => {
    const peer = connection.remotePeer.toString()
    const allowance = allowanceOf(peer)
    try {
      await pipe(
        stream,
        (source) => paced(stream, source, allowance.bytes),
        (source) => decode(source, { maxDataLength: MESSAGE_BYTES_MAX }),
        async (frames) => {
          for await (const frame of frames) accept(peer, frame.subarray(), allowance)
        },
      )
      await stream.close({ signal: AbortSignal.timeout(OPEN_TIMEOUT_MS) })
    } catch (error) {
      const reason = asError(error)
      stream.abort(reason)
      if (reason.name === 'InvalidDataLengthError') {
        warn('network.frame.oversized', peer, { limit: MESSAGE_BYTES_MAX })
        shun(peer, reason)
      } else if (FRAMING_ERRORS.has(reason.name)) {
        warn('network.frame.malformed', peer)
        shun(peer, reason)
      }
    }
  }
  await node.handle(MESSAGE_PROTOCOL, receive, {
    maxInboundStreams: INBOUND_STREAMS_MAX,
    maxOutboundStreams: INBOUND_STREAMS_MAX,
  })

  const streamOf = async (channel: Channel, connection: Connection): Promise<Stream> => {
    const { open } = channel
    if (open?.connection === connection && open.stream.status === 'open') return open.stream
    channel.open = null
    // The other end of this pair keeps another connection: what was written before still arrives.
    open?.stream.close({ signal: AbortSignal.timeout(OPEN_TIMEOUT_MS) }).catch(() => undefined)
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS)
    const stream = await connection.newStream(MESSAGE_PROTOCOL, { signal }).catch((error: unknown) => {
      throw signal.aborted ? new SilentError('the peer answers no stream') : error
    })
    channel.open = { stream, connection }
    return stream
  }

  const expire = ({ outbox }: Channel): void => {
    const expired = outbox.expire(performance.now())
    for (let i = 0; i < expired; i++) ports.count('network.queue.expired')
  }

  /** Whatever the connection says: closing it lets the redialling begin. */
  const endSilent = (peer: string, reason: SilentError): void => {
    warn('network.connection.silent', peer)
    connections.abort(peer, reason)
  }

  const pump = async (peer: string, channel: Channel): Promise<void> => {
    const { outbox } = channel
    channel.pumping = true
    let connection: Connection | null = null
    try {
      for (;;) {
        expire(channel)
        connection = connections.to(peer)
        if (outbox.size === 0 || connection === null) return
        const stream = await streamOf(channel, connection)
        const bytes = outbox.take()
        if (bytes === undefined) return
        liveness.said(peer, bytes.length === 0, performance.now())
        if (!stream.send(encode.single(bytes))) await drained(stream, STALL_MS)
      }
    } catch (error) {
      const reason = asError(error)
      ports.count('network.send.failed')
      ports.log('debug', 'network.send.failed', { peer, message: reason.message })
      channel.open?.stream.abort(reason)
      channel.open = null
      if (reason instanceof SilentError) {
        endSilent(peer, reason)
      } else if (connection?.status === 'open') {
        // A peer that is there and takes no stream will not take the next frame either.
        while (outbox.take() !== undefined) ports.count('network.queue.dropped')
      }
    } finally {
      channel.pumping = false
    }
  }

  const send = (peer: string, bytes: Uint8Array): void => {
    const channel = channels.get(peer) ?? { outbox: new Outbox(), pumping: false, open: null }
    channels.set(peer, channel)
    const dropped = channel.outbox.add(bytes, performance.now())
    for (let i = 0; i < dropped; i++) ports.count('network.queue.dropped')
    if (!connections.has(peer)) wanted(peer)
    else if (!channel.pumping) void pump(peer, channel)
  }

  let tickedAt = performance.now()
  const tick = (): void => {
    const now = performance.now()
    const late = now - tickedAt - TICK_MS
    tickedAt = now
    if (late > TICK_MS) liveness.slept(late)
    for (const peer of liveness.dead(now)) endSilent(peer, new SilentError('the peer does not answer'))
    for (const peer of liveness.owed(now)) send(peer, EMPTY)
    for (const [peer, channel] of channels) {
      expire(channel)
      if (channel.outbox.size === 0 && !connections.has(peer)) channels.delete(peer)
    }
    for (const [peer, { messages, bytes }] of allowances) {
      if (!connections.has(peer) && messages.isFull(now) && bytes.isFull(now)) allowances.delete(peer)
    }
  }
  const ticking = setInterval(tick, TICK_MS)

  return {
    send: (peer, bytes) => {
      if (bytes.length > 0 && bytes.length <= MESSAGE_BYTES_MAX) send(peer, bytes)
      else warn('network.message.unsendable', peer, { bytes: bytes.length, limit: MESSAGE_BYTES_MAX })
    },
    connected: (peer) => {
      liveness.begin(peer, performance.now())
      const channel = channels.get(peer)
      if (channel !== undefined && !channel.pumping) void pump(peer, channel)
    },
    disconnected: (peer) => {
      liveness.end(peer)
      const channel = channels.get(peer)
      if (channel !== undefined) channel.open = null
    },
    stop: () => clearInterval(ticking),
  }
}

/** The peer speaks no frames at all. */
const FRAMING_ERRORS = new Set([
  'InvalidDataLengthLengthError',
  'InvalidMessageLengthError',
  'UnexpectedEOFError',
])

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

/**
 * Passes on what arrives, and stops reading while the peer is over its budget: the stream's window then fills
 * and the peer has to wait. Reading without that has no bound (`for await` on a stream has no backpressure).
 */
async function* paced<T extends { readonly byteLength: number }>(
  stream: Stream,
  source: AsyncIterable<T>,
  budget: Budget,
): AsyncGenerator<T> {
  for await (const piece of source) {
    yield piece
    const debtMs = budget.spend(piece.byteLength, performance.now())
    if (debtMs === 0 || stream.status !== 'open' || stream.readStatus !== 'readable') continue
    stream.pause()
    await new Promise((resolve) => setTimeout(resolve, debtMs))
    if (stream.status === 'open') stream.resume()
  }
}
