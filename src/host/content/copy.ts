/**
 * One artefact on this disk, whole or in part: which segments are known, which chunks are there. Every chunk is
 * checked against its digest before it is written; what is written may be served at once. A copy that was cut
 * short by a crash goes on where its bytes agree with its list, so nothing but the end needs to be synced.
 */

import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { journalRecord } from './journal.ts'
import { digestOf, fullMask, hasBit, type Segment } from './segments.ts'

const READ_BYTES = 1024 * 1024

interface Held {
  segment: Segment
  /** Chunks that are on the disk. */
  mask: number
}

export class Copy {
  readonly sha256: string
  #file: FileHandle
  #journal: FileHandle | null
  readonly #held = new Map<number, Held>()
  readonly #full: number[] = []
  readonly #watchers = new Set<() => void>()
  #writes: Promise<void> = Promise.resolve()
  #bytes = 0
  /** While its sum is taken, and from then on where that was right, nothing of it changes. */
  #isSealed = false

  /** @param journal null where the file is whole, and its list is only being made or read. */
  constructor(sha256: string, file: FileHandle, journal: FileHandle | null) {
    this.sha256 = sha256
    this.#file = file
    this.#journal = journal
  }

  get file(): FileHandle {
    return this.#file
  }

  /** Of chunks that are there. */
  get bytes(): number {
    return this.#bytes
  }

  /** Indexes of the segments that are all there, in the order in which they became so; one may stand twice. */
  get full(): readonly number[] {
    return this.#full
  }

  segment(index: number): Segment | undefined {
    return this.#held.get(index)?.segment
  }

  indexes(): number[] {
    return [...this.#held.keys()]
  }

  /** Chunks of the segment that are not there, as a mask; 0 where the segment is not known. */
  missing(index: number): number {
    const held = this.#held.get(index)
    return held === undefined ? 0 : (fullMask(held.segment) & ~held.mask) >>> 0
  }

  isFull(index: number): boolean {
    return this.#held.has(index) && this.missing(index) === 0
  }

  /** Segments from the first on without a gap. */
  contiguous(): { readonly count: number; readonly end: number; readonly last: boolean } {
    let [count, end, last] = [0, 0, false]
    for (let next = this.segment(0); next !== undefined && next.offset === end; next = this.segment(count)) {
      count += 1
      end += next.length
      last = next.last
      if (last) break
    }
    return { count, end, last }
  }

  isComplete(): boolean {
    const { count, last } = this.contiguous()
    if (!last) return false
    for (let index = 0; index < count; index++) if (!this.isFull(index)) return false
    return true
  }

  /** Takes the segment into the list, in the place of another one where there is one. */
  async adopt(index: number, segment: Segment, mask = 0): Promise<void> {
    if (this.#isSealed) return
    const before = this.#held.get(index)
    if (before !== undefined) this.#bytes -= maskBytes(before.segment, before.mask)
    this.#held.set(index, { segment, mask })
    this.#bytes += maskBytes(segment, mask)
    this.#grown(index)
    await this.#journal?.appendFile(journalRecord(index, segment))
  }

  /** As read from the journal: what of it is on the disk is looked at. */
  async recover(segments: ReadonlyMap<number, Segment>): Promise<void> {
    for (const [index, segment] of segments) {
      const mask = await this.#maskOnDisk(segment)
      this.#held.set(index, { segment, mask })
      this.#bytes += maskBytes(segment, mask)
      this.#grown(index)
    }
  }

  /** Looks at all chunks again: a wrong list or a bad disk may have spoilt some. Answers how many bytes are lost. */
  async recheck(): Promise<number> {
    await this.#writes
    const before = this.#bytes
    for (const held of this.#held.values()) {
      const lost = held.mask & ~(await this.#maskOnDisk(held.segment))
      held.mask = (held.mask & ~lost) >>> 0
      this.#bytes -= maskBytes(held.segment, lost)
    }
    return before - this.#bytes
  }

  /** Takes a segment out of the list. What the journal says of it counts again after a restart. */
  forget(index: number): void {
    const held = this.#held.get(index)
    if (held === undefined) return
    this.#bytes -= maskBytes(held.segment, held.mask)
    this.#held.delete(index)
  }

  /**
   * Writes a chunk where its bytes are what the list says.
   * @returns false where they are not: nothing was written.
   */
  async write(index: number, chunk: number, bytes: Uint8Array): Promise<boolean> {
    const held = this.#held.get(index)
    const entry = held?.segment.chunks[chunk]
    if (held === undefined || entry === undefined) return false
    if (bytes.length !== entry.length || digestOf(bytes) !== entry.digest) return false
    if (hasBit(held.mask, chunk)) return true
    // One write after the other: what was asked for a segment since replaced must not land on its successor.
    const isCurrent = (): boolean =>
      !this.#isSealed && this.#held.get(index) === held && !hasBit(held.mask, chunk)
    const written = this.#writes.then(async () => {
      if (isCurrent()) await writeAll(this.file, bytes, entry.offset)
    })
    this.#writes = written.catch(() => undefined)
    await written
    if (!isCurrent()) return true
    held.mask = (held.mask | (1 << chunk)) >>> 0
    this.#bytes += entry.length
    this.#grown(index)
    return true
  }

  /** Null where it is not there (any more). Whoever gets it checks it. */
  async read(index: number, chunk: number): Promise<Uint8Array | null> {
    const held = this.#held.get(index)
    const entry = held?.segment.chunks[chunk]
    if (held === undefined || entry === undefined || !hasBit(held.mask, chunk)) return null
    return await this.#readAt(entry.offset, entry.length)
  }

  /** Calls back when a segment became full; the answer ends that. */
  watch(onGrowth: () => void): () => void {
    this.#watchers.add(onGrowth)
    return () => this.#watchers.delete(onGrowth)
  }

  /** Cuts off what lies beyond the end, puts all on the disk, and reads it again: the SHA-256 of the whole. */
  async seal(): Promise<string> {
    this.#isSealed = true
    await this.#writes
    await this.file.truncate(this.contiguous().end)
    await this.file.sync()
    return await sumOfFile(this.file)
  }

  /** Its sum is wrong: it may change again. */
  unseal(): void {
    this.#isSealed = false
  }

  /** From now on it is read through this handle. A program that somebody may write to cannot be started. */
  async reopen(file: FileHandle): Promise<void> {
    const [before, journal] = [this.#file, this.#journal]
    this.#file = file
    this.#journal = null
    await before.close()
    await journal?.close()
  }

  /** The whole list in order, as its journal would be. */
  list(): Uint8Array {
    const { count } = this.contiguous()
    const records = Array.from({ length: count }, (_, index) => {
      const segment = this.segment(index)
      return segment === undefined ? new Uint8Array() : journalRecord(index, segment)
    })
    return Buffer.concat(records)
  }

  async close(): Promise<void> {
    this.#watchers.clear()
    await this.#journal?.close()
    await this.file.close()
  }

  #grown(index: number): void {
    if (!this.isFull(index)) return
    this.#full.push(index)
    for (const watcher of [...this.#watchers]) watcher()
  }

  async #maskOnDisk({ chunks }: Segment): Promise<number> {
    let mask = 0
    for (const [i, chunk] of chunks.entries()) {
      const bytes = await this.#readAt(chunk.offset, chunk.length)
      if (bytes !== null && digestOf(bytes) === chunk.digest) mask |= 1 << i
    }
    return mask >>> 0
  }

  async #readAt(offset: number, length: number): Promise<Uint8Array | null> {
    const bytes = Buffer.allocUnsafe(length)
    const { bytesRead } = await this.file.read(bytes, 0, length, offset)
    return bytesRead === length ? bytes : null
  }
}

const maskBytes = ({ chunks }: Segment, mask: number): number =>
  chunks.reduce((sum, chunk, i) => sum + (hasBit(mask, i) ? chunk.length : 0), 0)

/** The file's bytes from its beginning, in pieces that are good until the next one is asked for. */
export async function* piecesOf(file: FileHandle, from = 0): AsyncGenerator<Uint8Array> {
  const buffers = [Buffer.allocUnsafe(READ_BYTES), Buffer.allocUnsafe(READ_BYTES)] as const
  let at = from
  // The next piece is read while the caller works on this one.
  let next = file.read(buffers[0], 0, READ_BYTES, at)
  try {
    for (let turn = 1; ; turn++) {
      const { bytesRead, buffer } = await next
      if (bytesRead === 0) return
      at += bytesRead
      next = file.read(turn % 2 === 0 ? buffers[0] : buffers[1], 0, READ_BYTES, at)
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await next.catch(() => undefined)
  }
}

export async function sumOfFile(file: FileHandle): Promise<string> {
  const sum = createHash('sha256')
  for await (const piece of piecesOf(file)) sum.update(piece)
  return sum.digest('hex')
}

export async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done)
    done += bytesWritten
  }
}
