/** Cutting, listing and remembering, without any disk or network. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Chunker } from '../../../src/host/content/chunker.ts'
import { journalRecord, readJournal } from '../../../src/host/content/journal.ts'
import { ListBuilder } from '../../../src/host/content/list-builder.ts'
import {
  CHUNKS_PER_SEGMENT,
  digestOf,
  readSegment,
  type Segment,
} from '../../../src/host/content/segments.ts'

/** The same bytes for the same seed (xorshift32). */
function bytesOf(seed: number, length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let x = seed | 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer, 0, length)
}

function chunksOf(bytes: Uint8Array, pieces: readonly number[] = [bytes.length]): Uint8Array[] {
  const chunker = new Chunker()
  const chunks: Uint8Array[] = []
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const length = pieces[turn % pieces.length] ?? bytes.length
    chunks.push(...chunker.push(bytes.subarray(at, at + length)))
    at += length
  }
  const rest = chunker.end()
  return rest === null ? chunks : [...chunks, rest]
}

function listOf(bytes: Uint8Array): Segment[] {
  const builder = new ListBuilder(0)
  return [...builder.push(bytes), ...builder.end()].map(({ segment }) => segment)
}

const digests = (chunks: readonly Uint8Array[]): string[] => chunks.map(digestOf)
const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 })
const lengths = fc.integer({ min: 0, max: 3_000_000 })

describe('chunks', () => {
  it('are the bytes, in their order, within their bounds, however the bytes come', () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(seeds, lengths, pieces, (seed, length, sizes) => {
        const bytes = bytesOf(seed, length)
        const chunks = chunksOf(bytes, sizes)
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
        expect(digests(chunks)).toEqual(digests(chunksOf(bytes)))
        for (const [i, chunk] of chunks.entries()) {
          expect(chunk.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX)
          if (i < chunks.length - 1) expect(chunk.length).toBeGreaterThan(CHUNK_BYTES_MIN)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('are found again from the start of any of them on', () => {
    const bytes = bytesOf(7, 2_000_000)
    const all = chunksOf(bytes)
    for (let i = 0, at = 0; i < all.length; at += all[i]?.length ?? 0, i++) {
      expect(digests(chunksOf(bytes.subarray(at)))).toEqual(digests(all.slice(i)))
    }
  })

  it('of two versions are the same but around what was put in, taken out or changed', () => {
    const before = bytesOf(11, 8_000_000)
    const versions = {
      inserted: Buffer.concat([before.subarray(0, 3_000_000), bytesOf(5, 999), before.subarray(3_000_000)]),
      removed: Buffer.concat([before.subarray(0, 3_000_000), before.subarray(3_000_777)]),
      changed: Buffer.concat([before.subarray(0, 3_000_000), bytesOf(9, 50), before.subarray(3_000_050)]),
    }
    const known = new Set(digests(chunksOf(before)))
    for (const after of Object.values(versions)) {
      const fresh = chunksOf(after).filter((chunk) => !known.has(digestOf(chunk)))
      expect(fresh.length).toBeGreaterThan(0)
      expect(fresh.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(4 * CHUNK_BYTES_MAX)
    }
  })

  it('of which nothing is to be told apart end at the most that a chunk may have', () => {
    const sizes = chunksOf(new Uint8Array(3 * CHUNK_BYTES_MAX + 5)).map(({ length }) => length)
    expect(new Set(sizes.slice(0, -1)).size).toBe(1)
    expect(sizes.reduce((sum, length) => sum + length, 0)).toBe(3 * CHUNK_BYTES_MAX + 5)
  })
})

describe('a list', () => {
  it('covers the bytes without a gap, ends with the last segment, and is read as it was written', () => {
    fc.assert(
      fc.property(seeds, lengths, (seed, length) => {
        const list = listOf(bytesOf(seed, length))
        let end = 0
        for (const [i, segment] of list.entries()) {
          expect(segment.offset).toBe(end)
          expect(segment.last).toBe(i === list.length - 1)
          expect(readSegment(segment.bytes)).toEqual(segment)
          end += segment.length
        }
        expect(end).toBe(length)
      }),
      { numRuns: 30 },
    )
  })

  it('of nothing is one empty segment', () => {
    expect(listOf(new Uint8Array()).map(({ length, last }) => [length, last])).toEqual([[0, true]])
  })

  it('from a peer is refused where it is out of bounds', () => {
    const [first] = listOf(bytesOf(3, 4_000_000))
    if (first === undefined) throw new Error('there is a first')
    expect(first.chunks).toHaveLength(CHUNKS_PER_SEGMENT)
    const spoilt = (change: (bytes: Buffer) => Uint8Array): (() => Segment) => {
      const bytes = Buffer.from(first.bytes)
      return () => readSegment(change(bytes))
    }
    const write = (change: (bytes: Buffer) => void) =>
      spoilt((bytes) => {
        change(bytes)
        return bytes
      })
    expect(write(() => undefined)).not.toThrow()
    expect(spoilt((bytes) => bytes.subarray(0, -1))).toThrow(RangeError)
    expect(spoilt((bytes) => bytes.subarray(0, -36))).toThrow(RangeError)
    expect(spoilt((bytes) => Buffer.concat([bytes, bytes.subarray(-36)]))).toThrow(RangeError)
    expect(write((bytes) => bytes.writeUInt8(2, 8))).toThrow(RangeError)
    expect(write((bytes) => bytes.writeBigUInt64BE(2n ** 60n))).toThrow(RangeError)
    expect(write((bytes) => bytes.writeUInt32BE(0, 9 + 32))).toThrow(RangeError)
    expect(write((bytes) => bytes.writeUInt32BE(CHUNK_BYTES_MAX + 1, 9 + 32))).toThrow(RangeError)
  })
})

describe('a journal', () => {
  const list = listOf(bytesOf(21, 7_000_000))
  const records = list.map((segment, index) => journalRecord(index, segment))
  const whole = Buffer.concat(records)

  it('gives back what was written; of two records for one place the later', () => {
    const [first, second] = list
    if (first === undefined || second === undefined) throw new Error('there are two')
    expect(readJournal(whole)).toEqual({ segments: new Map(list.entries()), length: whole.length })
    const again = readJournal(Buffer.concat([whole, journalRecord(0, second)]))
    expect(again.segments.get(0)).toEqual(second)
  })

  it('that was cut anywhere gives the records that are whole, and says where they end', () => {
    const ends = records.map((_, i) => Buffer.concat(records.slice(0, i + 1)).length)
    for (let cut = 0; cut <= whole.length; cut += 17) {
      const { segments, length } = readJournal(whole.subarray(0, cut))
      const kept = ends.filter((end) => end <= cut)
      expect([segments.size, length]).toEqual([kept.length, kept.at(-1) ?? 0])
    }
  })

  it('with a flipped bit anywhere believes nothing from there on', () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(7), (at, bit) => {
        const bytes = Buffer.from(whole)
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
        const { segments, length } = readJournal(bytes)
        expect(length).toBeLessThanOrEqual(at)
        for (const [index, segment] of segments) expect(segment).toEqual(list[index])
      }),
    )
  })
})
