import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { keyText, wireguardKeys, wireguardPublicKey } from '../../../src/host/mesh/keys.ts'

const random = fc.uint8Array({ minLength: 32, maxLength: 32 })

it('a private key is clamped as RFC 7748 §5 says, and its random bytes are left alone', () => {
  fc.assert(
    fc.property(random, (bytes) => {
      const before = Uint8Array.from(bytes)
      const { privateKey } = wireguardKeys(bytes)
      expect((privateKey[0] ?? 0) & 7).toBe(0)
      expect((privateKey[31] ?? 0) & 0xc0).toBe(0x40)
      expect(privateKey.subarray(1, 31)).toEqual(bytes.subarray(1, 31))
      expect(bytes).toEqual(before)
    }),
  )
})

it('wg derives the same public key', () => {
  fc.assert(
    fc.property(random, (bytes) => {
      const { privateKey, publicKey } = wireguardKeys(bytes)
      const text = execFileSync('wg', ['pubkey'], { input: `${keyText(privateKey)}\n`, encoding: 'utf8' })
      expect(keyText(publicKey)).toBe(text.trim())
    }),
    { numRuns: 10 },
  )
})

it('fewer random bytes are refused', () => {
  expect(() => wireguardKeys(new Uint8Array(16))).toThrow(RangeError)
  expect(wireguardPublicKey(wireguardKeys(new Uint8Array(32)).privateKey)).toHaveLength(32)
})
