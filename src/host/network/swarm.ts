/** The libp2p node: what it is made of, and its limits. */
import { noise } from '@chainsafe/libp2p-noise'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import type { ConnectionGater, ConnectionProtector, Libp2p } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { dialable, ipOf, isWithin } from './addresses.ts'
import { musterDht, type RecordRules } from './dht.ts'
import type { DhtStore } from './dht-store.ts'
import { frugalYamux } from './frugal-yamux.ts'
import { type Multicast, multicastDiscovery } from './multicast.ts'
import type { NetworkPorts } from './ports.ts'
import type { Shunned } from './shunned.ts'

const CONNECTION_LIMITS = {
  /** Inbound ones included; beyond it libp2p closes those that have done least. */
  maxConnections: 300,
  // A whole rack that boots at once must get in: libp2p's own limits are 5 a second and 10 pending.
  inboundConnectionThreshold: 100,
  maxIncomingPendingConnections: 100,
  /** A stranger's handshake ends here; its garbage may leave us waiting for more. */
  inboundUpgradeTimeout: 5_000,
  /** Six round trips over a bad satellite link; then the peer's next address has its turn. */
  addressDialTimeout: 4_000,
  // Ours is the only redialling, and ours is the order of addresses.
  reconnectRetries: 0,
  addressSorter: (): 0 => 0,
} as const

export interface SwarmOptions {
  readonly privateKey: Uint8Array
  readonly protector: () => ConnectionProtector
  readonly listen: readonly Multiaddr[]
  readonly excludedCidr: string | null
  readonly shunned: Shunned
  readonly store: DhtStore
  /** Null where there shall be no DHT. */
  readonly rules: RecordRules | null
  /** Null where there shall be no mDNS. */
  readonly multicast: {
    readonly tag: string
    readonly listener: Parameters<typeof multicastDiscovery>[1]
  } | null
  readonly log: NetworkPorts['log']
  readonly count: NetworkPorts['count']
}

interface Services extends Record<string, unknown> {
  readonly identify: Identify
  /** The DHT looks with it whether a peer new to its table is there; nothing else pings. */
  readonly ping: Ping
  // libp2p leaves out a service whose factory gave null.
  readonly dht?: KadDHT | null
  readonly multicast?: Multicast | null
}

export type Swarm = Libp2p<Services>

/** Not yet started. */
export async function createSwarm(options: SwarmOptions): Promise<Swarm> {
  const { multicast, rules, excludedCidr } = options
  return await createLibp2p<Services>({
    start: false,
    privateKey: privateKeyFromProtobuf(options.privateKey),
    addresses: {
      listen: options.listen.map(String),
      announceFilter: (addresses) => dialable(addresses, excludedCidr),
    },
    datastore: options.store,
    transports: [tcp()],
    connectionProtector: options.protector,
    connectionEncrypters: [noise()],
    streamMuxers: [frugalYamux()],
    connectionManager: CONNECTION_LIMITS,
    connectionMonitor: { enabled: false },
    connectionGater: gater(options.shunned, excludedCidr),
    services: {
      identify: identify(),
      ping: ping(),
      dht: rules === null ? () => null : musterDht(rules, options),
      multicast: multicast === null ? () => null : multicastDiscovery(multicast.tag, multicast.listener),
    },
  })
}

/** What libp2p itself dials, for the DHT, obeys the same rules as our own dials. */
function gater(shunned: Shunned, excludedCidr: string | null): ConnectionGater {
  const isMesh = (address: Multiaddr): boolean => {
    const ip = ipOf(address)
    return ip !== null && excludedCidr !== null && isWithin(ip, excludedCidr)
  }
  const isShunned = (peer: { toString(): string }): boolean => shunned.has(peer.toString(), performance.now())
  return {
    denyDialPeer: isShunned,
    // A written address names nobody: who is there turns out in the handshake.
    denyOutboundEncryptedConnection: isShunned,
    denyInboundEncryptedConnection: isShunned,
    denyDialMultiaddr: isMesh,
    filterMultiaddrForPeer: (_peer, address) => !isMesh(address),
  }
}
