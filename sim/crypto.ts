/**
 * The core's cryptography in the simulator. Symbolic: a signature is a tag over key and bytes, which only who
 * was handed the key's own port can make, at a hundredth of the cost. Real: the production port, with keys
 * made from the seed.
 */
import { hash } from 'node:crypto'
import { generateKeyPairFromSeed, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { x25519 } from '@noble/curves/ed25519.js'
import { bytesOf, type Statement, sameBytes } from '../src/core/codec.ts'
import type { Crypto } from '../src/core/crypto.ts'
import { type Digest, digest, type NodeId, nodeId } from '../src/core/ids.ts'
import { Secret } from '../src/core/secret.ts'
import { createCrypto } from '../src/host/crypto.ts'
import { type Content, contentOf, hexOf, scrambled } from './content.ts'
import type { Random } from './random.ts'

/** Who a simulated machine is, until it is wiped. */
export interface Keys {
  readonly id: NodeId
  readonly crypto: Crypto
  readonly sealKey: Uint8Array
  readonly wireguardKey: Uint8Array
}

/** Makes the keys of one run's identities; `word` begins the ID where IDs are free. */
export type Keymaker = (word: string, random: Random) => Promise<Keys> | Keys

export const sha256 = (bytes: Uint8Array): Digest => digest(hash('sha256', bytes, 'hex'))

export function randomBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = random.below(256)
  return bytes
}

/** Keys of which nobody can use another's: the tags' secrets never leave this closure. */
export function symbolicKeymaker(): Keymaker {
  const secrets = new Map<NodeId, readonly number[]>()

  const tag = (signer: NodeId, said: Statement | Uint8Array): Uint8Array => {
    const result = new Uint8Array(16)
    const secret = secrets.get(signer)
    if (secret === undefined) return result
    const { high, low } = saidBy(said)
    for (let i = 0; i < 4; i++) {
      const word = scrambled(scrambled((i < 2 ? high : low) ^ (secret[i] ?? 0)) ^ (i < 2 ? low : high))
      for (let j = 0; j < 4; j++) result[4 * i + j] = word >>> (8 * j)
    }
    return result
  }

  return (word, random) => {
    const id = nodeId(`${word}${random.word().toString(36)}${random.word().toString(36)}`)
    const sealKey = randomBytes(random, 32)
    secrets.set(id, [random.word(), random.word(), random.word(), random.word()])
    const crypto: Crypto = {
      hash: symbolicHash,
      sign: (said) => tag(id, said),
      verify: (signer, said, signature) => secrets.has(signer) && sameBytes(tag(signer, said), signature),
      seal: (key, context, plaintext) => Uint8Array.from([...key, ...contextTag(context), ...plaintext]),
      open: (context, sealed) =>
        sameBytes(sealed.subarray(0, 40), Uint8Array.from([...sealKey, ...contextTag(context)]))
          ? sealed.slice(40)
          : null,
    }
    return { id, crypto, sealKey, wireguardKey: randomBytes(random, 32) }
  }
}

/** A statement is made anew each time: only what it is about is worth remembering. */
const saidBy = (said: Statement | Uint8Array): Content =>
  contentOf(said instanceof Uint8Array ? said : [said.label, said.parts])

/** Of what is drawn from (a rank, a secret, a run's entropy) the real one; of documents, what they say. */
const symbolicHash = (said: Statement | Uint8Array): Digest =>
  said instanceof Uint8Array ||
  said.parts.every((part) => typeof part !== 'object' || part instanceof Uint8Array)
    ? sha256(bytesOf(said))
    : digest(hexOf(saidBy(said)).repeat(4))

const contextTag = (context: string): Uint8Array =>
  hash('sha256', new TextEncoder().encode(context), 'buffer').subarray(0, 8)

/** Production cryptography: about a hundred times slower, and exactly what runs. */
export const realKeymaker: Keymaker = async (_word, random) => {
  const key = await generateKeyPairFromSeed('Ed25519', randomBytes(random, 32))
  const secret = randomBytes(random, 32)
  const sealKey = x25519.getPublicKey(secret)
  const id = nodeId(peerIdFromPrivateKey(key).toString())
  const wireguardKey = randomBytes(random, 32)
  const crypto = createCrypto({
    id,
    privateKeyProtobuf: new Secret(privateKeyToProtobuf(key)),
    sealKey: { publicKey: sealKey, privateKey: new Secret(secret) },
    wireguard: { publicKey: wireguardKey, privateKey: new Secret(secret) },
  })
  return { id, crypto, sealKey, wireguardKey }
}
