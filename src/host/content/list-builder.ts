/** Makes the list of bytes that come in order: a file's, or an origin's. */
import { setImmediate as breathe } from 'node:timers/promises'
import { Chunker } from './chunker.ts'
import { type Copy, piecesOf } from './copy.ts'
import { CHUNKS_PER_SEGMENT, digestOf, makeSegment, type Segment } from './segments.ts'

export interface Built {
  readonly segment: Segment
  /** The bytes of its chunks. */
  readonly chunks: readonly Uint8Array[]
}

/** Gathers chunks into segments, from the start of a segment on. */
export class ListBuilder {
  readonly #chunker = new Chunker()
  #chunks: Uint8Array[] = []
  #offset: number
  #isBegun = false

  /** @param offset where the bytes begin, within the whole. */
  constructor(offset: number) {
    this.#offset = offset
  }

  /** How many bytes came that are in no finished segment yet, and where they begin. */
  get offset(): number {
    return this.#offset
  }

  /** The last chunk waits for the next one, or for the end: only then it is known whether it is the last. */
  push(bytes: Uint8Array): Built[] {
    const built: Built[] = []
    for (const chunk of this.#chunker.push(bytes)) {
      if (this.#chunks.length === CHUNKS_PER_SEGMENT) built.push(this.#finish(false))
      this.#chunks.push(chunk)
    }
    return built
  }

  end(): Built[] {
    const rest = this.#chunker.end()
    const built: Built[] = []
    if (rest !== null) {
      if (this.#chunks.length === CHUNKS_PER_SEGMENT) built.push(this.#finish(false))
      this.#chunks.push(rest)
    }
    if (this.#chunks.length > 0 || !this.#isBegun) built.push(this.#finish(true))
    return built
  }

  #finish(last: boolean): Built {
    const chunks = this.#chunks
    const entries = chunks.map((chunk) => ({ digest: digestOf(chunk), length: chunk.length }))
    const segment = makeSegment(this.#offset, last, entries)
    this.#chunks = []
    this.#offset += segment.length
    this.#isBegun = true
    return { segment, chunks }
  }
}

/**
 * Fills in the list of a whole copy, without hurry.
 * @returns false where it was told to stop before the end.
 */
export async function buildList(copy: Copy, isStopped: () => boolean): Promise<boolean> {
  const builder = new ListBuilder(0)
  let index = 0
  const take = async (all: readonly Built[]): Promise<void> => {
    for (const { segment } of all) {
      await copy.adopt(index, segment, 0xffffffff)
      index += 1
    }
  }
  for await (const piece of piecesOf(copy.file)) {
    if (isStopped()) return false
    await take(builder.push(piece))
    await breathe()
  }
  await take(builder.end())
  return true
}
