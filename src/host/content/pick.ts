/**
 * What is asked of whom: of a segment's lists the one that most peers claim, of the missing chunks the rarest
 * first, so that what only one node has is soon with several.
 */
import type { Copy } from './copy.ts'
import type { Link } from './link.ts'
import { hasBit } from './segments.ts'

/** Segments looked at for one request: enough to find a rare one, also among thousands. */
const LOOKED_AT_MAX = 64

type Claims = Pick<Link, 'claims'>

/** The digest that most peers claim for a segment; of equals the one that is kept already. Null: nobody claims any. */
export function claimedDigest(links: Iterable<Claims>, index: number, kept: string | null): string | null {
  const votes = new Map<string, number>()
  for (const { claims } of links) {
    const digest = claims.get(index)
    if (digest !== undefined) votes.set(digest, (votes.get(digest) ?? 0) + 1)
  }
  let best: string | null = null
  for (const [digest, count] of votes) {
    const most = best === null ? 0 : (votes.get(best) ?? 0)
    if (count > most || (count === most && digest === kept)) best = digest
  }
  return best
}

export interface Choice {
  readonly index: number
  readonly mask: number
}

interface Given {
  readonly copy: Copy
  /** Indexes of segments that are known and not full. */
  readonly wanted: readonly number[]
  /** Chunks that are on their way, as masks by segment. */
  readonly coming: ReadonlyMap<number, number>
  readonly links: readonly Claims[]
  readonly link: Claims
  /** Bytes that may be asked for. */
  readonly free: number
  /** From 0 up to 1, without it. */
  readonly random: number
}

/** At least one chunk, and no more than is free beyond it. Null where the peer has nothing that is needed. */
export function pickChunks({ copy, wanted, coming, links, link, free, random }: Given): Choice | null {
  const first = Math.floor(random * wanted.length)
  let best: { index: number; missing: number; rarity: number } | null = null
  let looked = 0
  for (let i = 0; i < wanted.length && looked < LOOKED_AT_MAX; i++) {
    const index = wanted[(first + i) % wanted.length] ?? 0
    const digest = copy.segment(index)?.digest
    if (digest === undefined || link.claims.get(index) !== digest) continue
    const missing = (copy.missing(index) & ~(coming.get(index) ?? 0)) >>> 0
    if (missing === 0) continue
    looked += 1
    const rarity = links.filter(({ claims }) => claims.get(index) === digest).length
    if (best === null || rarity < best.rarity) best = { index, missing, rarity }
  }
  if (best === null) return null
  let [mask, bytes] = [0, 0]
  for (const [chunk, { length }] of (copy.segment(best.index)?.chunks ?? []).entries()) {
    if (!hasBit(best.missing, chunk)) continue
    if (mask !== 0 && bytes + length > free) break
    mask |= 1 << chunk
    bytes += length
  }
  return { index: best.index, mask: mask >>> 0 }
}
