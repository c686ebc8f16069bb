/** The one encoding of what is hashed, signed, stored and sent: DAG-CBOR, one byte string for one value. */
import { decode as decodeCbor, encode as encodeCbor } from '@ipld/dag-cbor'
import type { Crypto } from './crypto.ts'
import { compareText, type Digest } from './ids.ts'

export const encode = (value: unknown): Uint8Array => encodeCbor(value)

/** @throws whatever the decoder throws on malformed bytes; callers parse the result with a schema. */
export const decode = (bytes: Uint8Array): unknown => decodeCbor(bytes)

/**
 * What is signed or hashed always begins with a label, so that no signature serves two purposes. It is encoded
 * by who needs the bytes: symbolic cryptography can tell two statements apart without.
 */
export interface Statement {
  readonly label: string
  readonly parts: readonly unknown[]
}

export const statement = (label: string, ...parts: readonly unknown[]): Statement => ({ label, parts })

export const bytesOf = (said: Statement | Uint8Array): Uint8Array =>
  said instanceof Uint8Array ? said : encodeCbor([`muster ${said.label}`, ...said.parts])

export const hashOf = (crypto: Crypto, label: string, value: unknown): Digest =>
  crypto.hash(statement(label, value))

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** A copy in the order of a text key. */
export function sortedBy<T>(items: Iterable<T>, key: (item: T) => string): T[] {
  return [...items].sort((a, b) => compareText(key(a), key(b)))
}
