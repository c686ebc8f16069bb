/** Brings what an origin gives into a copy, from one segment on to the end, through broken connections. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ARTEFACT_BYTES_MAX, type Artefact } from '../../core/content.ts'
import type { Copy } from './copy.ts'
import { wrongSize } from './errors.ts'
import { type Built, ListBuilder } from './list-builder.ts'
import { OriginFault, type OriginOptions, openOrigin, originError } from './origin.ts'
import type { Pace } from './pace.ts'

/** Tries that bring nothing, one after the other, before another node may try. */
const TRIES_MAX = 4
const BACKOFF_MS = 500

export interface OriginFetch {
  readonly artefact: Artefact
  readonly url: string
  readonly copy: Copy
  /** Where it begins: an index of a segment, and its offset. */
  readonly index: number
  readonly offset: number
  readonly options: OriginOptions
  readonly pace: Pace
  readonly signal: AbortSignal
  /** The size is known: throws where there is no space for it. */
  onSize(size: number | null): Promise<void>
  onBytes(count: number): void
  /** The segment is the origin's; its chunks follow. */
  onSegment(index: number): void
}

/** @throws ContentError where the origin gives nothing good, or the disk takes nothing. */
export async function fetchFromOrigin(fetch: OriginFetch): Promise<void> {
  const { artefact, url, options, pace, signal } = fetch
  let { index, offset } = fetch
  let failures = 0
  for (;;) {
    const builder = new ListBuilder(offset)
    let end = offset
    try {
      const { size, pieces } = await openOrigin(url, offset, options, signal)
      if (artefact.size !== null && size !== null && size !== artefact.size)
        throw wrongSize(artefact, url, size)
      await fetch.onSize(size)
      for await (const piece of pieces) {
        signal.throwIfAborted()
        end += piece.length
        if (end > (artefact.size ?? ARTEFACT_BYTES_MAX)) throw wrongSize(artefact, url, end)
        fetch.onBytes(piece.length)
        for (const built of builder.push(piece)) index = await take(fetch, index, built)
        await pace.spend(piece.length)
      }
      for (const built of builder.end()) index = await take(fetch, index, built)
      return
    } catch (error) {
      if (signal.aborted || !(error instanceof OriginFault)) throw error
      failures = builder.offset > offset ? 1 : failures + 1
      offset = builder.offset
      if (error.isFinal || failures >= TRIES_MAX) throw originError(artefact.name, url, error)
      await sleep(BACKOFF_MS * 2 ** failures, undefined, { signal })
    }
  }
}

async function take(
  { copy, onSegment }: OriginFetch,
  index: number,
  { segment, chunks }: Built,
): Promise<number> {
  if (copy.segment(index)?.digest !== segment.digest) await copy.adopt(index, segment)
  onSegment(index)
  for (const [chunk, bytes] of chunks.entries()) await copy.write(index, chunk, bytes)
  return index + 1
}
