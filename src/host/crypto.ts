/**
 * The real cryptography behind the core's port: Ed25519, SHA-256, and sealing to an X25519 key. All of it is
 * OpenSSL's, by node:crypto.
 *
 * Sealed bytes, version 1: ephemeral public key (32) ‖ ChaCha20-Poly1305 ciphertext with tag (16). Key and nonce
 * are HKDF-SHA-256 of the shared secret, salted with both public keys; the context is authenticated beside the
 * ciphertext. The ephemeral key makes each key single-use.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hash,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { base58btc } from 'multiformats/bases/base58'
import { bytesOf } from '../core/codec.ts'
import type { Crypto } from '../core/crypto.ts'
import { digest, type NodeId } from '../core/ids.ts'
import type { Identity } from './identity.ts'

/** The crypto port in the name of this identity. */
export function createCrypto(identity: Identity): Crypto {
  const signingKey = ed25519PrivateKey(privateKeyFromProtobuf(identity.privateKeyProtobuf.reveal()).raw)
  const { publicKey: ownSealKey } = identity.sealKey
  const openingKey = x25519PrivateKey(identity.sealKey.privateKey.reveal())
  const keyOf = rememberedKeys()

  return {
    hash: (said) => digest(hash('sha256', bytesOf(said), 'hex')),
    sign: (said) => sign(null, bytesOf(said), signingKey),
    verify(signer, said, signature) {
      if (signature.length !== SIGNATURE_LENGTH) return false
      const key = keyOf(signer)
      return key !== null && verify(null, bytesOf(said), key, signature)
    },
    seal: (sealKey, context, plaintext, entropy) => seal(sealKey, context, plaintext, entropy),
    open: (context, sealed) => open(openingKey, ownSealKey, context, sealed),
  }
}

const SIGNATURE_LENGTH = 64
const KEY_LENGTH = 32
const NONCE_LENGTH = 12
const TAG_LENGTH = 16
/** Twice the largest mesh: the nodes of one network never displace each other. */
const KEYS_MAX = 2_048
/** Identity multihash of libp2p's protobuf {type: Ed25519, data: 32 bytes}. */
const PEER_ID_PREFIX = Buffer.from('002408011220', 'hex')
/** A base58 text of 38 bytes is at most this long; decoding costs the square of the length. */
const PEER_ID_TEXT_MAX = 52

/** The public keys of peer IDs, null for malformed ones; the least recently used is forgotten first. */
function rememberedKeys(): (id: NodeId) => KeyObject | null {
  const keys = new Map<NodeId, KeyObject>()
  return (id) => {
    const known = keys.get(id)
    const key = known ?? publicKeyOf(id)
    if (key === null) return null
    keys.delete(id)
    keys.set(id, key)
    if (known === undefined && keys.size > KEYS_MAX) {
      for (const oldest of keys.keys()) {
        keys.delete(oldest)
        break
      }
    }
    return key
  }
}

/** The Ed25519 key that a peer ID is made of; null for anything else, a key in another spelling included. */
export function publicKeyOf(id: NodeId): KeyObject | null {
  if (id.length > PEER_ID_TEXT_MAX) return null
  try {
    const bytes = Buffer.from(base58btc.baseDecode(id))
    const key = bytes.subarray(PEER_ID_PREFIX.length)
    if (!bytes.subarray(0, PEER_ID_PREFIX.length).equals(PEER_ID_PREFIX) || key.length !== KEY_LENGTH)
      return null
    return publicKey('Ed25519', key)
  } catch {
    return null
  }
}

/**
 * Seals for the holder of the X25519 key. For a key with which there is no shared secret (not 32 bytes, or a
 * point of small order, which a liar may put into its record) the answer is empty, and nobody can open that.
 */
export function seal(
  sealKey: Uint8Array,
  context: string,
  plaintext: Uint8Array,
  entropy: Uint8Array,
): Uint8Array {
  if (entropy.length !== KEY_LENGTH) throw new RangeError(`entropy is 32 bytes, not ${entropy.length}`)
  const ephemeral = x25519PrivateKey(
    Buffer.from(hkdfSync('sha256', entropy, '', 'muster seal ephemeral 1', 32)),
  )
  const ephemeralPublic = rawPublicKey(ephemeral)
  const keys = agree(ephemeral, sealKey, ephemeralPublic, sealKey)
  if (keys === null) return new Uint8Array()
  const cipher = createCipheriv('chacha20-poly1305', keys.key, keys.nonce, { authTagLength: TAG_LENGTH })
  cipher.setAAD(Buffer.from(context, 'utf8'), { plaintextLength: plaintext.length })
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return new Uint8Array(Buffer.concat([ephemeralPublic, ciphertext, cipher.getAuthTag()]))
}

function open(
  ownKey: KeyObject,
  ownPublic: Uint8Array,
  context: string,
  sealed: Uint8Array,
): Uint8Array | null {
  if (sealed.length < KEY_LENGTH + TAG_LENGTH) return null
  const ephemeralPublic = sealed.subarray(0, KEY_LENGTH)
  const keys = agree(ownKey, ephemeralPublic, ephemeralPublic, ownPublic)
  if (keys === null) return null
  const cipher = createDecipheriv('chacha20-poly1305', keys.key, keys.nonce, { authTagLength: TAG_LENGTH })
  const ciphertext = sealed.subarray(KEY_LENGTH, sealed.length - TAG_LENGTH)
  cipher.setAAD(Buffer.from(context, 'utf8'), { plaintextLength: ciphertext.length })
  cipher.setAuthTag(sealed.subarray(sealed.length - TAG_LENGTH))
  try {
    return new Uint8Array(Buffer.concat([cipher.update(ciphertext), cipher.final()]))
  } catch {
    return null
  }
}

/** Key and nonce that both sides compute; null where the other's key has no shared secret with any. */
function agree(
  own: KeyObject,
  other: Uint8Array,
  ephemeral: Uint8Array,
  recipient: Uint8Array,
): { readonly key: Uint8Array; readonly nonce: Uint8Array } | null {
  if (other.length !== KEY_LENGTH) return null
  let shared: Uint8Array
  try {
    shared = diffieHellman({ privateKey: own, publicKey: publicKey('X25519', other) })
  } catch {
    return null
  }
  const salt = Buffer.concat([ephemeral, recipient])
  const okm = Buffer.from(hkdfSync('sha256', shared, salt, 'muster seal 1', KEY_LENGTH + NONCE_LENGTH))
  return { key: okm.subarray(0, KEY_LENGTH), nonce: okm.subarray(KEY_LENGTH) }
}

type Curve = 'Ed25519' | 'X25519'

const publicKey = (crv: Curve, raw: Uint8Array): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv, x: Buffer.from(raw).toString('base64url') }, format: 'jwk' })

const rawPublicKey = (key: KeyObject): Uint8Array =>
  Buffer.from(String(createPublicKey(key).export({ format: 'jwk' }).x), 'base64url')

/** `raw` is libp2p's: seed and public key, 64 bytes. */
const ed25519PrivateKey = (raw: Uint8Array): KeyObject => pkcs8('70', raw.subarray(0, KEY_LENGTH))

const x25519PrivateKey = (raw: Uint8Array): KeyObject => pkcs8('6e', raw)

/** By OpenSSL: in JavaScript the first one of a process takes 20 ms of CPU. `raw` is any 32 bytes (RFC 7748 §5). */
export const x25519PublicKey = (raw: Uint8Array): Uint8Array =>
  new Uint8Array(rawPublicKey(x25519PrivateKey(raw)))

/** RFC 8410: the private key alone, in the envelope that OpenSSL wants; `curve` ends the OID 1.3.101.x. */
const pkcs8 = (curve: '6e' | '70', raw: Uint8Array): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from(`302e020100300506032b65${curve}04220420`, 'hex'), raw]),
    format: 'der',
    type: 'pkcs8',
  })
