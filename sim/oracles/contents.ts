/** Names for contents, made here and not by the core: two values are one when their encodings are. */
import { encode } from '@ipld/dag-cbor'
import type { Digest } from '../../src/core/ids.ts'
import { sha256 } from '../crypto.ts'

const known = new WeakMap<object, Digest>()

export function contentOf(value: object): Digest {
  const cached = known.get(value)
  if (cached !== undefined) return cached
  const hashed = sha256(encode(value))
  known.set(value, hashed)
  return hashed
}

/** The first characters, for people. */
export const short = (text: string): string => text.slice(0, 8)
