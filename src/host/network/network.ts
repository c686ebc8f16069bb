/**
 * The network: a libp2p node in the private swarm of the token. Finds peers by mDNS, DHT, written and
 * remembered addresses, all at once; keeps connected; carries messages. It decides nothing about the cluster.
 */
import { noise } from '@chainsafe/libp2p-noise'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import type { PeerId } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { LogFields } from '../../core/events.ts'
import { type NodeId, nodeId } from '../../core/ids.ts'
import type { HostProblem } from '../../core/orders.ts'
import { dialable, parseAddress } from './addresses.ts'
import { startChannels } from './channels.ts'
import { lookUp, musterDht, Publisher, type RecordRules } from './dht.ts'
import { NetworkError } from './errors.ts'
import { multicastDiscovery, multicastProblem, type Restartable, startAsking } from './multicast.ts'
import { startRedial } from './redial.ts'

/** A whole rack that boots at once must get in: libp2p's own limits are 5 a second and 10 pending. */
const CONNECTION_LIMITS = {
  maxConnections: 300,
  inboundConnectionThreshold: 100,
  maxIncomingPendingConnections: 100,
  // Ours is the only redialling.
  reconnectRetries: 0,
} as const
const PSK_TIMEOUT_MS = 5_000
const MULTICAST_CHECK_MS = 30_000
/** A written address that fails for less is just a machine that boots later. */
const FAILING_NOTICE_MS = 10_000

/** What the network tells and whom. */
export interface NetworkPorts {
  onMessage(from: string, bytes: Uint8Array): void
  onConnected(peer: NodeId): void
  onDisconnected(peer: NodeId): void
  /** Own addresses that others can dial, without the peer ID. */
  onAddresses(addresses: readonly Multiaddr[]): void
  log(level: 'debug' | 'info' | 'warn', event: string, fields: LogFields): void
  count(name: string): void
}

export interface NetworkOptions extends NetworkPorts {
  /** Ed25519 identity, libp2p's protobuf form. Secret. */
  readonly privateKey: Uint8Array
  /** 32 bytes derived from the token. Secret. */
  readonly psk: Uint8Array
  readonly mdnsTag: string
  /** `ip`, `ip:port` or multiaddr. */
  readonly listen: readonly string[]
  readonly peers: readonly string[]
  /** Multiaddrs of former days. */
  readonly remembered: readonly { readonly id: string; readonly addresses: readonly string[] }[]
  readonly mdns: boolean
  readonly dht: boolean
  /** Prefix of the mesh: its addresses are never told, never dialled. Null where there is no mesh. */
  readonly excludedCidr: string | null
  readonly rules: RecordRules
}

export interface Network {
  readonly id: NodeId
  connected(): NodeId[]
  /** Best effort, in order for each peer; nothing happens where the peer is not connected. */
  send(to: NodeId, bytes: Uint8Array): void
  dial(peer: NodeId, addresses: readonly string[]): void
  publish(key: string, value: Uint8Array): void
  lookup(key: string): Promise<Uint8Array[]>
  known(): { readonly id: string; readonly addresses: readonly string[] }[]
  problems(): HostProblem[]
  stop(): Promise<void>
}

/** @throws NetworkError where an address is malformed or cannot be listened on. */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const listen = options.listen.map((text) => parseAddress(text))
  const configured = options.peers.map((text) => parseAddress(text))
  const node = await createNode(options, listen)
  const channels = await startChannels(node, options)
  const redial = startRedial(node, configured, options.excludedCidr, options)

  node.addEventListener('peer:connect', ({ detail }) => {
    const peer = detail.toString()
    redial.connected(peer)
    options.onConnected(nodeId(peer))
  })
  node.addEventListener('peer:disconnect', ({ detail }) => {
    const peer = detail.toString()
    channels.forget(peer)
    redial.disconnected(peer)
    options.onDisconnected(nodeId(peer))
  })
  node.addEventListener('peer:discovery', ({ detail }) => {
    redial.learn(detail.id.toString(), detail.multiaddrs.map(String))
  })
  node.addEventListener('peer:identify', ({ detail }) => {
    redial.learn(detail.peerId.toString(), dialable(detail.listenAddrs, options.excludedCidr).map(String))
  })
  let told = ''
  const tellAddresses = (): void => {
    const addresses = dialable(node.getMultiaddrs(), options.excludedCidr).map((address) =>
      address.decapsulateCode(P2P_CODE),
    )
    const text = addresses.join()
    if (text === told) return
    told = text
    options.onAddresses(addresses)
  }
  node.addEventListener('self:peer:update', tellAddresses)

  try {
    await node.start()
  } catch (error) {
    redial.stop()
    throw listenError(error, options.listen)
  }
  tellAddresses()
  for (const { id, addresses } of options.remembered) redial.learn(id, addresses)

  // libp2p leaves out a service whose factory gave null.
  const dht = node.services.dht ?? null
  const asked = node.services.multicast ?? null
  const publisher = dht === null ? null : new Publisher(dht, options.log)
  const stopAsking = asked === null ? null : startAsking(asked, () => node.getPeers().length === 0)
  let multicast: HostProblem | null = null
  const checkMulticast = async (): Promise<void> => {
    multicast = options.mdns ? await multicastProblem() : null
    // Interfaces that came or went show in libp2p's own list only when somebody asks.
    tellAddresses()
  }
  await checkMulticast()
  const checking = setInterval(() => void checkMulticast(), MULTICAST_CHECK_MS)

  const idOf = (peer: NodeId): PeerId => peerIdFromString(peer)
  return {
    id: nodeId(node.peerId.toString()),
    connected: () => node.getPeers().map((peer) => nodeId(peer.toString())),
    send: (to, bytes) => channels.send(idOf(to), bytes),
    dial: (peer, addresses) => redial.learn(peer, addresses),
    publish: (key, value) => publisher?.publish(key, value),
    lookup: async (key) => (dht === null ? [] : await lookUp(dht, key)),
    known: () => redial.known(),
    problems: () => [
      ...(multicast === null ? [] : [multicast]),
      ...redial
        .failing()
        .filter((target) => target.sinceMs > FAILING_NOTICE_MS)
        .map(
          (target): HostProblem => ({
            code: `network.peer-unreachable.${target.address}`,
            severity: 'warning',
            message: `the peer ${target.address} cannot be reached: ${target.error}`,
            hint: 'check the address under muster.discovery.peers, that muster runs there, and that it has the same token',
          }),
        ),
    ],
    stop: async () => {
      clearInterval(checking)
      stopAsking?.()
      publisher?.stop()
      redial.stop()
      await node.stop()
    },
  }
}

/** Code of /p2p in a multiaddr. */
const P2P_CODE = 421

interface Services extends Record<string, unknown> {
  readonly identify: Identify
  /** kad-dht asks for it; nothing here pings. */
  readonly ping: Ping
  readonly dht: KadDHT | null
  readonly multicast: Restartable | null
}

function listenError(error: unknown, listen: readonly string[]): unknown {
  const text = `${error instanceof Error ? `${error.message} ${String(error.cause ?? '')}` : error}`
  if (text.includes('EADDRINUSE')) {
    return new NetworkError(
      'MUSTER_E_PORT_TAKEN',
      `cannot listen on ${listen.join(', ')}: the port is taken by another program`,
      'is muster running already? else choose another under muster.discovery.listen or with --listen',
    )
  }
  return new NetworkError(
    'MUSTER_E_LISTEN',
    `cannot listen on ${listen.join(', ')}: ${text}`,
    'check muster.discovery.listen: the address must be one of this machine’s own',
  )
}

function createNode(options: NetworkOptions, listen: readonly Multiaddr[]) {
  const psk = `/key/swarm/psk/1.0.0/\n/base16/\n${Buffer.from(options.psk).toString('hex')}\n`
  return createLibp2p<Services>({
    start: false,
    privateKey: privateKeyFromProtobuf(options.privateKey),
    addresses: {
      listen: listen.map(String),
      announceFilter: (addresses) => dialable(addresses, options.excludedCidr),
    },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionProtector: preSharedKey({ psk: new TextEncoder().encode(psk), timeout: PSK_TIMEOUT_MS }),
    connectionManager: CONNECTION_LIMITS,
    // The core's beats tell who is alive.
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: options.dht ? musterDht(options.rules, options.count) : () => null,
      multicast: options.mdns ? multicastDiscovery(options.mdnsTag) : () => null,
    },
  })
}
