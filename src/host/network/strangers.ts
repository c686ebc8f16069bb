/**
 * Whoever connects and cannot complete the handshake holds another token or none: it learns nothing, and here
 * it is counted. libp2p itself says nothing about it.
 */
import type { Connection, ConnectionProtector } from '@libp2p/interface'
import { isMultiaddr } from '@multiformats/multiaddr'
import { ipOf } from './addresses.ts'
import type { NetworkPorts } from './ports.ts'
import { Throttle } from './throttle.ts'

export interface Strangers {
  /** Wraps the protector, through which every connection passes first. */
  watch(make: () => ConnectionProtector): () => ConnectionProtector
  /** This one has completed its handshake. */
  admitted(connection: Connection): void
}

export function watchStrangers(ports: Pick<NetworkPorts, 'log' | 'count'>): Strangers {
  // A raw connection and the one made of it share this object and nothing else.
  const admitted = new WeakSet<object>()
  const throttle = new Throttle()
  return {
    watch: (make) => () => {
      const protector = make()
      return {
        protect: async (connection, options) => {
          if (connection.direction === 'inbound') {
            connection.addEventListener('close', () => {
              if (admitted.has(connection.timeline)) return
              ports.count('network.stranger')
              const ip = remoteIp(connection)
              if (throttle.mayTell(ip, performance.now())) ports.log('info', 'network.stranger', { ip })
            })
          }
          return await protector.protect(connection, options)
        },
      }
    },
    admitted: (connection) => {
      admitted.add(connection.timeline)
    },
  }
}

/** libp2p's type for what is protected does not name it. */
function remoteIp(connection: object): string {
  const address = 'remoteAddr' in connection ? connection.remoteAddr : null
  return (isMultiaddr(address) ? ipOf(address) : null) ?? 'unknown'
}
