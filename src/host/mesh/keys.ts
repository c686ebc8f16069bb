/** WireGuard's keys: X25519 (RFC 7748). */
import { x25519PublicKey } from '../crypto.ts'

export interface WireguardKeys {
  /** 32 bytes, clamped as `wg genkey` does. Secret. */
  readonly privateKey: Uint8Array
  /** 32 bytes. */
  readonly publicKey: Uint8Array
}

/** The key pair that 32 fresh random bytes make. The argument is not kept or changed. */
export function wireguardKeys(random: Uint8Array): WireguardKeys {
  if (random.length !== 32) throw new RangeError(`32 random bytes are needed, not ${random.length}`)
  const privateKey = Uint8Array.from(random, (byte, index) =>
    index === 0 ? byte & 0xf8 : index === 31 ? (byte & 0x7f) | 0x40 : byte,
  )
  return { privateKey, publicKey: wireguardPublicKey(privateKey) }
}

export const wireguardPublicKey = (privateKey: Uint8Array): Uint8Array => x25519PublicKey(privateKey)

/** The form that `wg` reads and prints. */
export function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString('base64')
}
