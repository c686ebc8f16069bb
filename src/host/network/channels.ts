/**
 * Messages between two peers: one long-lived stream each way, length-prefixed frames, in order, best effort.
 * Bounded on both sides: a queue to a slow peer drops its oldest frames, a peer that floods is cut short, a
 * frame beyond the limit ends its stream.
 */
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { decode, encode } from 'it-length-prefixed'
import { pipe } from 'it-pipe'
import { MESSAGE_BYTES_MAX } from '../../core/protocol.ts'
import type { NetworkPorts } from './network.ts'

export const MESSAGE_PROTOCOL = '/muster/1'

/** Frames waiting for one peer. Beyond it the oldest go: newer ones say more. */
const QUEUE_MAX = 256
/** A peer that takes nothing for this long is gone, whatever its connection says. */
const STALL_MS = 5_000
/** Opening a stream to a live peer takes milliseconds. */
const OPEN_TIMEOUT_MS = 5_000
/** Messages of one peer: a joining rack needs tens per second, a flood sends thousands. */
const RATE_PER_SECOND = 500
const RATE_BURST = 1_000
/** Streams that one peer may have open towards us: one, and one that replaces it. */
const INBOUND_STREAMS_MAX = 4

interface Outbox {
  readonly queue: Uint8Array[]
  pumping: boolean
  stream: Stream | null
}

export interface Channels {
  send(peer: PeerId, bytes: Uint8Array): void
  forget(peer: string): void
}

export async function startChannels(node: Libp2p, ports: NetworkPorts): Promise<Channels> {
  const outboxes = new Map<string, Outbox>()
  const budgets = new Map<string, { tokens: number; at: number }>()

  const withinBudget = (peer: string): boolean => {
    const now = performance.now()
    const budget = budgets.get(peer) ?? { tokens: RATE_BURST, at: now }
    budget.tokens = Math.min(RATE_BURST, budget.tokens + ((now - budget.at) / 1_000) * RATE_PER_SECOND)
    budget.at = now
    budgets.set(peer, budget)
    if (budget.tokens < 1) return false
    budget.tokens -= 1
    return true
  }

  const receive = async (stream: Stream, connection: Connection): Promise<void> => {
    const from = connection.remotePeer.toString()
    try {
      await pipe(
        stream,
        (source) => decode(source, { maxDataLength: MESSAGE_BYTES_MAX }),
        async (frames) => {
          for await (const frame of frames) {
            if (withinBudget(from)) ports.onMessage(from, frame.subarray())
            else ports.count('network.message.flood')
          }
        },
      )
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error))
      if (reason.name === 'InvalidDataLengthError' || reason.name === 'InvalidDataLengthLengthError') {
        ports.count('network.frame.oversized')
        ports.log('warn', 'network.frame.oversized', { from, limit: MESSAGE_BYTES_MAX })
        // Whoever breaks the framing on purpose has to connect again for each try.
        connection.abort(reason)
      }
      stream.abort(reason)
    }
  }
  await node.handle(MESSAGE_PROTOCOL, receive, {
    maxInboundStreams: INBOUND_STREAMS_MAX,
    maxOutboundStreams: INBOUND_STREAMS_MAX,
    runOnLimitedConnection: true,
  })

  const open = async (peer: PeerId): Promise<Stream> => {
    const connection = node.getConnections(peer)[0]
    if (connection === undefined) throw new Error('not connected')
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS)
    const stream = await connection.newStream(MESSAGE_PROTOCOL, { signal, runOnLimitedConnection: true })
    stream.addEventListener('close', () => {
      const outbox = outboxes.get(peer.toString())
      if (outbox?.stream === stream) outbox.stream = null
    })
    return stream
  }

  const pump = async (peer: PeerId, outbox: Outbox): Promise<void> => {
    outbox.pumping = true
    try {
      while (outbox.queue.length > 0) {
        outbox.stream ??= await open(peer)
        const bytes = outbox.queue.shift()
        if (bytes === undefined) break
        if (!outbox.stream.send(encode.single(bytes))) await drained(outbox.stream)
      }
    } catch (error) {
      ports.count('network.send.failed')
      const stalled = error instanceof StalledError
      outbox.stream?.abort(error instanceof Error ? error : new Error(String(error)))
      outbox.stream = null
      outbox.queue.length = 0
      if (stalled) {
        // A connection that silently died is replaced: closing it lets the redialling begin.
        for (const connection of node.getConnections(peer)) connection.abort(error)
      }
    } finally {
      outbox.pumping = false
    }
  }

  return {
    send: (peer, bytes) => {
      const key = peer.toString()
      const outbox = outboxes.get(key) ?? { queue: [], pumping: false, stream: null }
      outboxes.set(key, outbox)
      if (outbox.queue.length >= QUEUE_MAX) {
        outbox.queue.shift()
        ports.count('network.queue.dropped')
      }
      outbox.queue.push(bytes)
      if (!outbox.pumping) void pump(peer, outbox)
    },
    forget: (peer) => {
      outboxes.delete(peer)
      budgets.delete(peer)
    },
  }
}

class StalledError extends Error {
  override readonly name = 'StalledError'
}

/**
 * Waits until the stream takes data again. `stream.onDrain()` resolves at once after its first use, and going
 * on then buffers without bound; the event is the truth.
 */
function drained(stream: Stream): Promise<void> {
  if (!stream.writableNeedsDrain) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const end = (error?: Error): void => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      clearTimeout(timer)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onDrain = (): void => end()
    const onClose = (): void => end(new Error('stream closed'))
    const timer = setTimeout(() => end(new StalledError('the peer takes nothing')), STALL_MS)
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}
