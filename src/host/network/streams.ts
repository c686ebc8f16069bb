/**
 * Streams of other protocols over the connections that messages use. Who opens one bounds what it keeps of it,
 * and is fair to the messages: they share the connection's queue.
 */
import type { Libp2p, Stream } from '@libp2p/interface'
import { type NodeId, nodeId } from '../../core/ids.ts'
import type { Connections } from './connections.ts'

export interface Streams {
  /** Takes the protocol's streams from now on, at most so many at once from each peer. */
  handle(
    protocol: string,
    streamsMax: number,
    onStream: (from: NodeId, stream: Stream) => void,
  ): Promise<void>
  /** @throws where the peer is not connected, does not speak the protocol, or has too many streams open. */
  open(to: NodeId, protocol: string, streamsMax: number, signal: AbortSignal): Promise<Stream>
}

export function streamsOf(node: Libp2p, connections: Pick<Connections, 'to'>): Streams {
  return {
    handle: async (protocol, streamsMax, onStream) => {
      const limits = { maxInboundStreams: streamsMax, maxOutboundStreams: streamsMax, force: true } as const
      await node.handle(
        protocol,
        (stream, { remotePeer }) => onStream(nodeId(remotePeer.toString()), stream),
        limits,
      )
    },
    open: async (to, protocol, streamsMax, signal) => {
      const connection = connections.to(to)
      if (connection === null) throw new Error('the peer is not connected')
      return await connection.newStream(protocol, { signal, maxOutboundStreams: streamsMax })
    },
  }
}
