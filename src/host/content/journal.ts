/**
 * The file that remembers a copy's segments. It grows by records and is never rewritten: of two records for one
 * place the later counts, and what a power cut left of a record is no record. Whether the chunks themselves are on
 * the disk is not written down: their digests say it.
 *
 *     index (4 bytes, big-endian) ‖ length (2) ‖ SHA-256 of index, length and bytes (32) ‖ bytes
 */
import { createHash } from 'node:crypto'
import { readSegment, SEGMENT_BYTES_MAX, SEGMENTS_MAX, type Segment } from './segments.ts'

const HEAD_BYTES = 38

export function journalRecord(index: number, { bytes }: Segment): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(index)
  head.writeUInt16BE(bytes.length, 4)
  sumOf(head, bytes).copy(head, 6)
  return Buffer.concat([head, bytes])
}

/** The segments, and how many bytes of the file are whole records. */
export function readJournal(file: Uint8Array): { segments: Map<number, Segment>; length: number } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const segments = new Map<number, Segment>()
  let at = 0
  while (at + HEAD_BYTES <= bytes.length) {
    const head = bytes.subarray(at, at + HEAD_BYTES)
    const [index, length] = [head.readUInt32BE(), head.readUInt16BE(4)]
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)
    if (length > SEGMENT_BYTES_MAX || body.length !== length || index >= SEGMENTS_MAX) break
    if (!head.subarray(6).equals(sumOf(head, body))) break
    segments.set(index, readSegment(body))
    at += HEAD_BYTES + length
  }
  return { segments, length: at }
}

const sumOf = (head: Buffer, body: Uint8Array): Buffer =>
  createHash('sha256').update(head.subarray(0, 6)).update(body).digest()
