/** What is no message: frames beyond the limit, bytes that are no frames, and far too many of them. */
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { encode } from 'it-length-prefixed'
import { encodeMessage, MESSAGE_BYTES_MAX } from '../../../src/core/protocol.ts'
import { DEFAULT_PORT } from '../../../src/host/network/addresses.ts'
import { MESSAGE_PROTOCOL } from '../../../src/host/network/channels.ts'
import { DhtStore } from '../../../src/host/network/dht-store.ts'
import { privateNetwork } from '../../../src/host/network/pnet.ts'
import { Shunned } from '../../../src/host/network/shunned.ts'
import { createSwarm } from '../../../src/host/network/swarm.ts'

/** More than the burst that a peer may send. */
const FLOOD = 3_000

/** Each by an identity of its own, for whoever does that is kept out for a while. */
export async function breakFrames(peer: string, psk: Uint8Array): Promise<void> {
  const small = encode.single(encodeMessage({ kind: 'genesis.pull' })).subarray()
  const attacks = [
    encode.single(new Uint8Array(2 * MESSAGE_BYTES_MAX), { maxDataLength: 4 * MESSAGE_BYTES_MAX }).subarray(),
    // A length that never ends.
    new Uint8Array(64).fill(0xff),
    Buffer.concat(Array<Uint8Array>(FLOOD).fill(small)),
  ]
  for (const bytes of attacks) await attack(peer, psk, bytes)
}

async function attack(peer: string, psk: Uint8Array, bytes: Uint8Array): Promise<void> {
  const swarm = await createSwarm({
    privateKey: privateKeyToProtobuf(await generateKeyPair('Ed25519')),
    protector: privateNetwork(psk),
    listen: [],
    excludedCidr: null,
    shunned: new Shunned(),
    store: new DhtStore(),
    rules: null,
    multicast: null,
    log: () => undefined,
    count: () => undefined,
  })
  await swarm.start()
  try {
    const stream = await swarm.dialProtocol(multiaddr(`/ip4/${peer}/tcp/${DEFAULT_PORT}`), MESSAGE_PROTOCOL)
    stream.send(bytes)
    // Until the other end has had enough, or has read it all.
    await stream.close({ signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
  } finally {
    await swarm.stop()
  }
}
