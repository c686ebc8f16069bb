import { generateKeyPair, generateKeyPairFromSeed, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nodeId } from '../../src/core/ids.ts'
import { Secret } from '../../src/core/secret.ts'
import { createCrypto } from '../../src/host/crypto.ts'
import type { Identity } from '../../src/host/identity.ts'

async function identityFrom(fill: number): Promise<Identity> {
  const key = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(fill))
  const seal = new Uint8Array(32).fill(fill + 100)
  return {
    id: nodeId(peerIdFromPrivateKey(key).toString()),
    privateKeyProtobuf: new Secret(privateKeyToProtobuf(key)),
    sealKey: { publicKey: x25519.getPublicKey(seal), privateKey: new Secret(seal) },
    wireguard: { publicKey: new Uint8Array(32), privateKey: new Secret(new Uint8Array(32)) },
  }
}

const alice = await identityFrom(1)
const bob = await identityFrom(2)
const asAlice = createCrypto(alice)
const asBob = createCrypto(bob)
const bytes = () => fc.uint8Array({ maxLength: 300 })
const entropy = () => fc.uint8Array({ minLength: 32, maxLength: 32 })

const flip = (value: Uint8Array, bit: number): Uint8Array =>
  value.map((byte, index) => (index === (bit >> 3) % value.length ? byte ^ (1 << (bit & 7)) : byte))

describe('signatures', () => {
  it('are believed from their signer, over their bytes, and else from nobody', () => {
    fc.assert(
      fc.property(bytes(), bytes(), fc.nat(), (message, other, bit) => {
        const signature = asAlice.sign(message)
        expect(asBob.verify(alice.id, message, signature)).toBe(true)
        expect(asBob.verify(bob.id, message, signature)).toBe(false)
        expect(asBob.verify(alice.id, message, flip(signature, bit))).toBe(false)
        fc.pre(Buffer.compare(message, other) !== 0)
        expect(asBob.verify(alice.id, other, signature)).toBe(false)
      }),
      { numRuns: 60 },
    )
  })

  it('are deterministic and those of libp2p', async () => {
    const message = new TextEncoder().encode('muster')
    const key = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(1))
    expect(Buffer.from(asAlice.sign(message)).toString('hex')).toBe(
      Buffer.from(await key.sign(message)).toString('hex'),
    )
    expect(await key.publicKey.verify(message, asAlice.sign(message))).toBe(true)
  })

  it('of malformed signers and lengths are false, never a throw', async () => {
    const message = Uint8Array.from([1, 2, 3])
    const signature = asAlice.sign(message)
    const secp = peerIdFromPrivateKey(await generateKeyPair('secp256k1')).toString()
    const strange = [
      '',
      'x',
      '0OIl',
      'z'.repeat(128),
      `1${alice.id}`,
      `${alice.id} `,
      secp,
      alice.id.slice(0, -1),
      'ü',
    ]
    for (const id of strange) expect(asBob.verify(nodeId(id), message, signature), id).toBe(false)
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 128 }), (id, junk) => {
        expect(asBob.verify(nodeId(id), message, signature)).toBe(false)
        expect(asBob.verify(alice.id, message, junk)).toBe(false)
      }),
      { numRuns: 200 },
    )
  })
})

describe('hashes', () => {
  it('are SHA-256 in hexadecimal', () => {
    expect(asAlice.hash(new TextEncoder().encode('abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
  })
})

describe('what is sealed', () => {
  it('opens for its addressee with its context', () => {
    fc.assert(
      fc.property(bytes(), fc.string(), entropy(), (plaintext, context, random) => {
        const sealed = asAlice.seal(bob.sealKey.publicKey, context, plaintext, random)
        expect(asBob.open(context, sealed)).toEqual(Uint8Array.from(plaintext))
        expect(sealed).toEqual(asAlice.seal(bob.sealKey.publicKey, context, plaintext, random))
      }),
      { numRuns: 60 },
    )
  })

  it('opens for nobody else, in no other context, and not when a bit is flipped or a byte is missing', () => {
    fc.assert(
      fc.property(
        bytes(),
        fc.string(),
        fc.string(),
        entropy(),
        fc.nat(),
        (plaintext, context, other, random, bit) => {
          const sealed = asAlice.seal(bob.sealKey.publicKey, context, plaintext, random)
          expect(asAlice.open(context, sealed)).toBeNull()
          // The highest bit of an X25519 public key carries nothing (RFC 7748), but it is in the salt.
          expect(asBob.open(context, flip(sealed, bit))).toBeNull()
          expect(asBob.open(context, sealed.subarray(1))).toBeNull()
          expect(asBob.open(context, sealed.subarray(0, -1))).toBeNull()
          fc.pre(context !== other)
          expect(asBob.open(other, sealed)).toBeNull()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('is null for any junk', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (junk) => {
        expect(asBob.open('context', junk)).toBeNull()
      }),
    )
  })

  it('is empty for a key that a liar made up, because anyone could open it', () => {
    const order8 = Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex')
    for (const key of [
      new Uint8Array(32),
      Uint8Array.of(1, ...new Uint8Array(31)),
      order8,
      new Uint8Array(31),
    ]) {
      expect(asAlice.seal(key, 'context', Uint8Array.of(1), new Uint8Array(32))).toHaveLength(0)
    }
  })

  it('has one form for ever, which another library opens too', () => {
    const sealed = asAlice.seal(
      bob.sealKey.publicKey,
      'golden',
      new TextEncoder().encode('the same on every machine'),
      new Uint8Array(32).fill(7),
    )
    expect(Buffer.from(sealed).toString('hex')).toBe(
      'e6b5eedc3663b8909c71abd0737c8241a60edb46d23fb06c830bec20b5fd774ea1360c8fecdd31a52c5234a37534f79a0a5236c70b846d7c8dd6b20a71f81e88dc934ef9dea0877a15',
    )
    const ephemeral = sealed.subarray(0, 32)
    const shared = x25519.getSharedSecret(bob.sealKey.privateKey.reveal(), ephemeral)
    const salt = concatBytes(ephemeral, bob.sealKey.publicKey)
    const okm = hkdf(sha256, shared, salt, utf8ToBytes('muster seal 1'), 44)
    const cipher = chacha20poly1305(okm.subarray(0, 32), okm.subarray(32), utf8ToBytes('golden'))
    expect(new TextDecoder().decode(cipher.decrypt(sealed.subarray(32)))).toBe('the same on every machine')
  })
})
