/**
 * The cryptography port. Real (host/crypto.ts) in production and in a share of the simulator's seeds,
 * symbolic and unforgeable in the rest. Every call is synchronous and deterministic in its arguments.
 */
import type { Statement } from './codec.ts'
import type { Digest, NodeId } from './ids.ts'

export interface Crypto {
  /** SHA-256 of the bytes, or of the encoded statement. */
  hash(said: Statement | Uint8Array): Digest
  /** Signature of this node's identity key (Ed25519, RFC 8032) over the bytes, or over the encoded statement. */
  sign(said: Statement | Uint8Array): Uint8Array
  /** Whether `signature` is `signer`'s over it. A malformed ID or signature is false, never a throw. */
  verify(signer: NodeId, said: Statement | Uint8Array, signature: Uint8Array): boolean
  /**
   * Encrypts for the holder of the X25519 key `sealKey` (the record's), bound to `context`.
   * `entropy` (32 bytes) must never be used for two plaintexts.
   */
  seal(sealKey: Uint8Array, context: string, plaintext: Uint8Array, entropy: Uint8Array): Uint8Array
  /** Opens what was sealed for this node with the same context; null where it was not. */
  open(context: string, sealed: Uint8Array): Uint8Array | null
}
