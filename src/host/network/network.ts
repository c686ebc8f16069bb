/**
 * The network: a libp2p node in the private swarm of the token. Finds peers by mDNS, DHT, written and
 * remembered addresses, all at once; keeps connected; carries messages. It decides nothing about the cluster.
 */
import type { Multiaddr } from '@multiformats/multiaddr'
import { type NodeId, nodeId } from '../../core/ids.ts'
import type { HostProblem } from '../../core/orders.ts'
import { dialable, parseAddress, withoutPeerId } from './addresses.ts'
import { type Channels, startChannels } from './channels.ts'
import { type Connections, watchConnections } from './connections.ts'
import { type RecordRules, startDhtClient } from './dht.ts'
import { DhtStore } from './dht-store.ts'
import { listenError } from './listen-error.ts'
import { privateNetwork } from './pnet.ts'
import type { NetworkPorts } from './ports.ts'
import { watchProblems } from './problems.ts'
import { type Redial, startRedial } from './redial.ts'
import { SHUN_MS, Shunned } from './shunned.ts'
import { watchStrangers } from './strangers.ts'
import { type Streams, streamsOf } from './streams.ts'
import { createSwarm } from './swarm.ts'
import { type Known, Targets } from './targets.ts'

export type { RecordRules } from './dht.ts'
export type { NetworkPorts } from './ports.ts'
export type { Known } from './targets.ts'

export interface NetworkOptions extends NetworkPorts {
  /** Ed25519 identity, libp2p's protobuf form. Secret. */
  readonly privateKey: Uint8Array
  /** 32 bytes derived from the token. Secret. */
  readonly psk: Uint8Array
  /** mDNS service name, derived from the token. */
  readonly mdnsTag: string
  /** `ip`, `ip:port` or multiaddr. */
  readonly listen: readonly string[]
  /** As people write them: see {@link parseAddress}. */
  readonly peers: readonly string[]
  /** What {@link Network.known} said in a former run. */
  readonly remembered: readonly Known[]
  readonly mdns: boolean
  readonly dht: boolean
  /** Prefix of the mesh: its addresses are never told, never dialled. Null where there is no mesh. */
  readonly excludedCidr: string | null
  readonly rules: RecordRules
}

export interface Network {
  readonly id: NodeId
  /** Own addresses that others can dial, without the peer ID. */
  addresses(): Multiaddr[]
  connected(): NodeId[]
  /** Best effort, in order for each peer, never throws. A peer that is not connected is dialled. */
  send(to: NodeId, bytes: Uint8Array): void
  /** The core learnt where a peer is, and wants to talk to it. */
  dial(peer: NodeId, addresses: readonly string[]): void
  /** All peers that are kept out from now on, whether they dial or are dialled: connections to them end. */
  bar(peers: readonly NodeId[]): void
  /** Puts a value into the DHT, again and again until some peer took it; a newer one takes its place. */
  publish(key: string, value: Uint8Array): void
  /** Several peers' answers; empty where nobody knows. */
  lookup(key: string, signal?: AbortSignal): Promise<Uint8Array[]>
  /** Peers that were really reached, to be remembered on disk. */
  known(): Known[]
  /** For what is no message: bulk, on streams of its own beside them. */
  readonly streams: Streams
  problems(): HostProblem[]
  stop(): Promise<void>
}

/** @throws NetworkError where an address is malformed or cannot be listened on. */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const listen = options.listen.map((text) => parseAddress(text))
  const written = options.peers.map((text) => ({ text, address: parseAddress(text) }))

  const strangers = watchStrangers(options)
  const shunned = new Shunned()
  const store = new DhtStore()
  const multicastListener = {
    onPeer: (peer: string, addresses: readonly string[]) => redial.learn(peer, addresses, { answered: true }),
    isLonely: () => connections.peers().length === 0,
  }
  const swarm = await createSwarm({
    privateKey: options.privateKey,
    protector: strangers.watch(privateNetwork(options.psk)),
    listen,
    excludedCidr: options.excludedCidr,
    shunned,
    store,
    rules: options.dht ? options.rules : null,
    multicast: options.mdns ? { tag: options.mdnsTag, listener: multicastListener } : null,
    log: options.log,
    count: options.count,
  })
  store.keepPeer(swarm.peerId)

  const connections: Connections = watchConnections(swarm, {
    opened: (peer, connection) => {
      redial.connected(peer)
      channels.connected(peer)
      options.onConnected(nodeId(peer), [withoutPeerId(connection.remoteAddr).toString()])
    },
    closed: (peer) => {
      redial.disconnected(peer)
      channels.disconnected(peer)
      options.onDisconnected(nodeId(peer))
    },
  })
  const targets = new Targets(swarm.peerId.toString(), connections.has, options.excludedCidr)
  const redial: Redial = startRedial(swarm, connections, targets, options)
  const shun = (peer: string, reason: Error): void => {
    shunned.add(peer, performance.now())
    redial.postpone(peer, SHUN_MS)
    connections.abort(peer, reason)
  }
  const channels: Channels = await startChannels({
    node: swarm,
    connections,
    ports: options,
    wanted: redial.want,
    shun,
  })
  const stopParts = (): void => {
    redial.stop()
    channels.stop()
    connections.stop()
  }

  swarm.addEventListener('connection:open', ({ detail }) => strangers.admitted(detail))
  swarm.addEventListener('peer:discovery', ({ detail }) => {
    redial.learn(detail.id.toString(), detail.multiaddrs.map(String))
  })
  swarm.addEventListener('peer:identify', ({ detail }) => {
    redial.learn(detail.peerId.toString(), dialable(detail.listenAddrs, options.excludedCidr).map(String))
  })

  try {
    await swarm.start()
  } catch (error) {
    stopParts()
    throw listenError(error, listen)
  }
  for (const { text, address } of written) targets.write(text, address)
  for (const known of options.remembered) redial.remember(known)

  const addresses = (): Multiaddr[] =>
    dialable(swarm.getMultiaddrs(), options.excludedCidr).map((address) => withoutPeerId(address))
  const multicast = swarm.services.multicast ?? null
  const problems = watchProblems({ addresses, multicast, redial, onAddresses: options.onAddresses })
  swarm.addEventListener('self:peer:update', problems.look)
  const dht = swarm.services.dht ? startDhtClient(swarm.services.dht, store, options) : null
  await multicast?.begin()
  problems.look()

  return {
    id: nodeId(swarm.peerId.toString()),
    addresses,
    connected: () => connections.peers().map(nodeId),
    send: channels.send,
    dial: (peer, texts) => {
      redial.learn(peer, texts)
      redial.want(peer)
    },
    bar: (peers) => {
      shunned.bar(peers)
      for (const peer of peers) connections.abort(peer, new Error('revoked'))
    },
    publish: (key, value) => dht?.publish(key, value),
    lookup: async (key, signal) => (dht === null ? [] : await dht.lookup(key, signal)),
    known: () => targets.known(),
    streams: streamsOf(swarm, connections),
    problems: problems.all,
    stop: async () => {
      stopParts()
      problems.stop()
      dht?.stop()
      await multicast?.end()
      await swarm.stop()
    },
  }
}
