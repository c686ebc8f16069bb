/**
 * The list of an artefact's chunks, as a tree of digests: the digest of a chunk, and the digest of a segment, which
 * is the list of 32 chunks in a row (2 MiB or so) with its place. Segments are what nodes tell each other they
 * have; one is known by its digest before its list is, so that lists of several nodes can be compared and a wrong
 * one is noticed at once. All of it stays a hint until the SHA-256 of the whole is right.
 *
 *     offset (8 bytes, big-endian) ‖ 1 where it is the last (1) ‖ for each chunk: SHA-256 (32) ‖ length (4)
 */
import { hash } from 'node:crypto'
import { ARTEFACT_BYTES_MAX } from '../../core/content.ts'
import { CHUNK_BYTES_MAX } from './chunker.ts'

/** Bits of a mask; the origin's fetcher is followed at this distance. */
export const CHUNKS_PER_SEGMENT = 32
const HEAD_BYTES = 9
const ENTRY_BYTES = 36
export const SEGMENT_BYTES_MAX = HEAD_BYTES + CHUNKS_PER_SEGMENT * ENTRY_BYTES
/** Most segments of an artefact: no chunk but the last of all is shorter than the chunker's least. */
export const SEGMENTS_MAX = ARTEFACT_BYTES_MAX / (CHUNKS_PER_SEGMENT * 16 * 1024)

export interface Chunk {
  /** SHA-256, lower-case hexadecimal, as everywhere here. */
  readonly digest: string
  readonly length: number
  /** Within the whole. */
  readonly offset: number
}

export interface Segment {
  readonly digest: string
  readonly offset: number
  readonly length: number
  readonly last: boolean
  readonly chunks: readonly Chunk[]
  /** What is hashed and sent. */
  readonly bytes: Uint8Array
}

export const digestOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')

export function makeSegment(
  offset: number,
  last: boolean,
  entries: readonly { readonly digest: string; readonly length: number }[],
): Segment {
  const bytes = Buffer.alloc(HEAD_BYTES + entries.length * ENTRY_BYTES)
  bytes.writeBigUInt64BE(BigInt(offset))
  bytes.writeUInt8(last ? 1 : 0, 8)
  for (const [i, { digest, length }] of entries.entries()) {
    const at = HEAD_BYTES + i * ENTRY_BYTES
    bytes.write(digest, at, 'hex')
    bytes.writeUInt32BE(length, at + 32)
  }
  return readSegment(bytes)
}

/** @throws RangeError where the bytes are no segment within bounds. */
export function readSegment(bytes: Uint8Array): Segment {
  const view = Buffer.from(bytes)
  const count = (view.length - HEAD_BYTES) / ENTRY_BYTES
  if (!Number.isInteger(count) || count < 0 || count > CHUNKS_PER_SEGMENT) throw refusal('its length')
  const offset = Number(view.readBigUInt64BE())
  const flag = view.readUInt8(8)
  if (offset > ARTEFACT_BYTES_MAX) throw refusal('its offset')
  if (flag > 1) throw refusal('its flag')
  const last = flag === 1
  // Only the last one may be short, and only the one of an empty file may be empty.
  if (count < CHUNKS_PER_SEGMENT && !last) throw refusal('its number of chunks')
  if (count === 0 && offset !== 0) throw refusal('its number of chunks')
  const chunks: Chunk[] = []
  let end = offset
  for (let i = 0; i < count; i++) {
    const at = HEAD_BYTES + i * ENTRY_BYTES
    const length = view.readUInt32BE(at + 32)
    if (length === 0 || length > CHUNK_BYTES_MAX) throw refusal('the length of a chunk')
    chunks.push({ digest: view.toString('hex', at, at + 32), length, offset: end })
    end += length
  }
  if (end > ARTEFACT_BYTES_MAX) throw refusal('its end')
  return { digest: digestOf(view), offset, length: end - offset, last, chunks, bytes: view }
}

const refusal = (what: string): RangeError => new RangeError(`no segment: ${what} is out of bounds`)

/** All chunks of the segment, as a mask. */
export const fullMask = ({ chunks }: Segment): number =>
  chunks.length === 32 ? 0xffffffff : 2 ** chunks.length - 1

export const hasBit = (mask: number, bit: number): boolean => ((mask >>> bit) & 1) === 1
