/** Networks inside the test's own process, on loopback and free ports; and peers that do not keep the rules. */
import { createServer } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { NodeId } from '../../../src/core/ids.ts'
import { MESSAGE_PROTOCOL } from '../../../src/host/network/channels.ts'
import { type Network, type NetworkOptions, startNetwork } from '../../../src/host/network/network.ts'
import { privateNetwork } from '../../../src/host/network/pnet.ts'

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
export const bytes = (words: string): Uint8Array => new TextEncoder().encode(words)
export const newKey = async (): Promise<Uint8Array> => privateKeyToProtobuf(await generateKeyPair('Ed25519'))

/** One byte, repeated: the token. */
const OUR_TOKEN = 7
export const pskOf = (token: number): Uint8Array => new Uint8Array(32).fill(token)

export interface Peer {
  readonly network: Network
  readonly id: NodeId
  /** Where it listens, as a person would write it. */
  readonly address: string
  readonly received: { readonly from: NodeId; readonly bytes: Uint8Array }[]
  readonly log: { readonly level: string; readonly event: string }[]
  /** How often something was counted, whatever its labels. */
  count(name: string): number
}

export interface Peers {
  start(options?: Partial<NetworkOptions> & { readonly token?: number }): Promise<Peer>
  /** A libp2p node made of the original parts, which speaks muster's protocol as badly as the test wants. */
  stranger(options?: {
    readonly token?: number
    /** @libp2p/pnet in place of our own: good for a few small frames. */
    readonly original?: boolean
    readonly onStream?: (stream: Stream) => void
  }): Promise<Stranger>
  end(): Promise<void>
}

export interface Stranger {
  readonly node: Libp2p
  connect(to: Peer): Promise<Connection>
  stream(to: Peer): Promise<Stream>
}

export function makePeers(): Peers {
  const ends: (() => Promise<void>)[] = []
  return {
    async start({ token = OUR_TOKEN, ...options } = {}) {
      const received: Peer['received'] = []
      const log: Peer['log'] = []
      const counts = new Map<string, number>()
      const network = await startNetwork({
        privateKey: await newKey(),
        psk: pskOf(token),
        mdnsTag: `_test${token}._udp.local`,
        listen: ['127.0.0.1:0'],
        peers: [],
        remembered: [],
        mdns: false,
        dht: false,
        excludedCidr: null,
        rules: { fault: () => null, newest: () => 0 },
        onMessage: (from, message) => received.push({ from, bytes: message }),
        onConnected: () => undefined,
        onDisconnected: () => undefined,
        onAddresses: () => undefined,
        log: (level, event) => log.push({ level, event }),
        count: (name) => counts.set(name, (counts.get(name) ?? 0) + 1),
        ...options,
      })
      ends.push(() => network.stop())
      const port = network.addresses()[0]?.getComponents()[1]?.value
      return {
        network,
        id: network.id,
        address: `127.0.0.1:${port}`,
        received,
        log,
        count: (name) => counts.get(name) ?? 0,
      }
    },
    async stranger({ token = OUR_TOKEN, original = false, onStream = () => undefined } = {}) {
      const hex = Buffer.from(pskOf(token)).toString('hex')
      const node = await createLibp2p({
        addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [yamux()],
        connectionProtector: original
          ? preSharedKey({ psk: bytes(`/key/swarm/psk/1.0.0/\n/base16/\n${hex}\n`) })
          : privateNetwork(pskOf(token)),
        services: { identify: identify() },
      })
      await node.handle(MESSAGE_PROTOCOL, onStream)
      ends.push(async () => node.stop())
      const connect = (to: Peer): Promise<Connection> =>
        node.dial(multiaddr(to.network.addresses()[0]?.toString() ?? ''))
      return {
        node,
        connect,
        stream: async (to) => (await connect(to)).newStream(MESSAGE_PROTOCOL),
      }
    },
    async end() {
      await Promise.all(ends.splice(0).map((end) => end()))
    },
  }
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
