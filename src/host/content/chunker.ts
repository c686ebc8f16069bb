/**
 * Cuts bytes into chunks at places that the content itself decides, so that two versions of a file share the
 * chunks of what they have in common, wherever it moved. FastCDC (Xia et al., USENIX ATC 2016): a gear hash over
 * the last 32 bytes, no look at the first bytes of a chunk, and a stricter mask before the usual size than after
 * it. Sizes as casync's: smaller ones cost more list than they save, larger ones find fewer.
 *
 * Where a chunk ends depends on its own bytes alone, so that cutting can begin at the start of any chunk. All nodes
 * must cut alike to find each other's chunks; a node that does not only finds less.
 */
import { hash } from 'node:crypto'

export const CHUNK_BYTES_MIN = 16 * 1024
export const CHUNK_BYTES_MAX = 256 * 1024
const CHUNK_BYTES_USUAL = 64 * 1024

/** The highest bits know most of the window. Two bits more than the usual size has, and two bits less. */
const MASK_BEFORE = ~0 << (32 - 18)
const MASK_AFTER = ~0 << (32 - 14)

const GEAR = Int32Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(hash('sha256', `muster gear ${byte}`, 'hex'), 'hex').readInt32BE(),
)

export class Chunker {
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES_MAX)
  #length = 0
  #looked = CHUNK_BYTES_MIN
  #hash = 0

  /** What is left is the last chunk; null where nothing is. */
  end(): Uint8Array | null {
    return this.#length === 0 ? null : this.#take(this.#length)
  }

  /** The chunks that end within these bytes. Each is the caller's own. */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    for (let taken = 0; taken < bytes.length; ) {
      const space = CHUNK_BYTES_MAX - this.#length
      const piece = bytes.subarray(taken, taken + space)
      this.#buffer.set(piece, this.#length)
      this.#length += piece.length
      taken += piece.length
      for (let end = this.#cut(); end !== null; end = this.#cut()) yield this.#take(end)
    }
  }

  #cut(): number | null {
    const buffer = this.#buffer
    const length = this.#length
    const usual = Math.min(length, CHUNK_BYTES_USUAL)
    let looked = this.#looked
    let hashed = this.#hash
    for (; looked < usual; looked++) {
      hashed = ((hashed << 1) + gearOf(buffer, looked)) | 0
      if ((hashed & MASK_BEFORE) === 0) return looked + 1
    }
    for (; looked < length; looked++) {
      hashed = ((hashed << 1) + gearOf(buffer, looked)) | 0
      if ((hashed & MASK_AFTER) === 0) return looked + 1
    }
    this.#looked = looked
    this.#hash = hashed
    return length === CHUNK_BYTES_MAX ? length : null
  }

  #take(end: number): Uint8Array {
    const chunk = new Uint8Array(this.#buffer.subarray(0, end))
    this.#buffer.copyWithin(0, end, this.#length)
    this.#length -= end
    this.#looked = CHUNK_BYTES_MIN
    this.#hash = 0
    return chunk
  }
}

/** Both indexes are within bounds: the table has an entry for every byte. */
const gearOf = (buffer: Buffer, index: number): number => GEAR[buffer[index] ?? 0] ?? 0
