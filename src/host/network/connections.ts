/**
 * One connection for each pair. Two machines that find each other at the same moment dial each other, and libp2p
 * keeps both connections: twice the memory, and two ways that can die apart. Both sides pick the same one; the
 * other is closed.
 */
import type { Connection, Libp2p } from '@libp2p/interface'

/** Connections that came within this of each other were dialled at the same moment. */
const SIMULTANEOUS_MS = 3_000
/** The smaller ID closes what is too much, after messages under way have arrived … */
const CLOSE_AFTER_MS = 500
/** … and the other only when that did not happen. */
const CLOSE_BACKUP_MS = 3_000

export interface Connections {
  /** The connection that both sides use; null where there is none. */
  to(peer: string): Connection | null
  has(peer: string): boolean
  peers(): string[]
  /** Ends all connections with a peer at once, without waiting for what is under way. */
  abort(peer: string, reason: Error): void
  stop(): void
}

interface Watcher {
  /** The first connection with this peer is there. */
  opened(peer: string, connection: Connection): void
  /** The last one is gone. */
  closed(peer: string): void
}

export function watchConnections(node: Libp2p, watcher: Watcher): Connections {
  const self = node.peerId.toString()
  const open = new Map<string, Connection[]>()
  const timers = new Set<NodeJS.Timeout>()

  node.addEventListener('connection:open', ({ detail: connection }) => {
    const peer = connection.remotePeer.toString()
    const known = open.get(peer) ?? []
    open.set(peer, [...known, connection])
    if (known.length === 0) watcher.opened(peer, connection)
    else closeSpareSoon(peer)
  })
  node.addEventListener('connection:close', ({ detail: connection }) => {
    const peer = connection.remotePeer.toString()
    const rest = (open.get(peer) ?? []).filter((other) => other !== connection)
    if (rest.length > 0) {
      open.set(peer, rest)
    } else if (open.delete(peer)) {
      watcher.closed(peer)
    }
  })

  const closeSpareSoon = (peer: string): void => {
    const timer = setTimeout(
      () => {
        timers.delete(timer)
        const all = open.get(peer) ?? []
        const kept = preferred(self, peer, all)
        for (const connection of all) if (connection !== kept) void close(connection)
      },
      self < peer ? CLOSE_AFTER_MS : CLOSE_BACKUP_MS,
    )
    timers.add(timer)
  }

  return {
    to: (peer) => preferred(self, peer, open.get(peer) ?? []),
    has: (peer) => open.has(peer),
    peers: () => [...open.keys()],
    abort: (peer, reason) => {
      for (const connection of open.get(peer) ?? []) connection.abort(reason)
    },
    stop: () => {
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

async function close(connection: Connection): Promise<void> {
  try {
    await connection.close()
  } catch (error) {
    connection.abort(error instanceof Error ? error : new Error(String(error)))
  }
}

/**
 * Which of several connections both sides keep. Of two that were dialled at the same moment, the one that the
 * smaller ID dialled. Else the newest: nobody dials whom it is connected to, so the older one is dead over there.
 */
export function preferred<C extends Pick<Connection, 'status' | 'direction' | 'timeline'>>(
  self: string,
  peer: string,
  connections: readonly C[],
): C | null {
  const usable = connections
    .filter((connection) => connection.status === 'open')
    .sort((a, b) => b.timeline.open - a.timeline.open)
  const newest = usable[0]
  if (newest === undefined) return null
  const smaller = self < peer ? 'outbound' : 'inbound'
  const together = usable.filter(
    (connection) => newest.timeline.open - connection.timeline.open < SIMULTANEOUS_MS,
  )
  return together.find((connection) => connection.direction === smaller) ?? newest
}
