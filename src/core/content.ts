/**
 * Artefacts: large files that every node needs (binaries, images), named by their SHA-256. Decides who asks an
 * artefact's origin, so that it is asked about once whatever the number of nodes. Reads what a node knows of
 * itself and heard from its peers about one artefact; emits only the decision. The host fetches, from the origin
 * when it is its turn, else from peers.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { z } from 'zod'
import { compareText, type Millis, millis, type NodeId } from './ids.ts'
import { CONTENT_SETTLE_MS, CONTENT_STALL_MS, CONTENT_TURN_MS } from './timing.ts'

/** Larger than any image of an operating system; a size beyond it is a mistake or a lie. */
export const ARTEFACT_BYTES_MAX = 16 * 1024 ** 3

export const artefactSchema = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hexadecimal is needed'),
  /** Null where nobody said. */
  size: z.number().int().min(0).max(ARTEFACT_BYTES_MAX).nullable(),
  /** http, https or file; null where a peer or a local path has it. */
  url: z.string().max(2_048).nullable(),
  /** For people. */
  name: z.string().min(1).max(128),
})
export type Artefact = Readonly<z.infer<typeof artefactSchema>>

/** Another member, as heard by this node about one artefact. */
export interface Seeker {
  readonly id: NodeId
  /** It needs the artefact, and does not have all of it. Null: it has not said yet. */
  readonly wants: boolean | null
  /** It says that it is asking the origin. */
  readonly asks: boolean
  /** It asked, and the origin gave it nothing good. */
  readonly failed: boolean
  /** When what it holds last grew, or it was first heard to ask; null before. */
  readonly progressAt: Millis | null
}

export interface OriginView {
  readonly sha256: string
  readonly self: NodeId
  readonly now: Millis
  /** Since when this node wants the artefact. */
  readonly since: Millis
  /** Whether this node is asking the origin now. */
  readonly asks: boolean
  /** Not before this, after the origin gave this node nothing good. */
  readonly failedUntil: Millis | null
  /** Members that are alive, without this node. */
  readonly others: readonly Seeker[]
  /** Whether all that this node lacks is held by somebody in sight. */
  readonly isHeld: boolean
}

export type OriginTurn =
  | { readonly kind: 'ask' }
  /** Look again then, or when something changed. A node that asks stops. */
  | { readonly kind: 'wait'; readonly until: Millis; readonly why: string }

/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998): everyone computes the same order, each artefact has another
 * one, and who goes or comes changes nothing between the others.
 */
export function originOrder(artefact: string, nodes: readonly NodeId[]): NodeId[] {
  const score = (id: NodeId): string => bytesToHex(sha256(utf8ToBytes(`muster origin ${artefact} ${id}`)))
  return nodes
    .map((id) => ({ id, score: score(id) }))
    .sort((a, b) => compareText(a.score, b.score) || compareText(a.id, b.id))
    .map(({ id }) => id)
}

/**
 * The first in the order among those who want the artefact asks; the others follow it. One that asks and shows
 * no progress for {@link CONTENT_STALL_MS} counts no more, and each next in the order waits one turn longer.
 * Of two that ask at once, because they did not know of each other, the later in the order stops.
 */
export function originTurn(view: OriginView): OriginTurn {
  const { self, now, others, since, failedUntil } = view
  const wait = (until: number, why: string): OriginTurn => ({ kind: 'wait', until: millis(until), why })

  if (view.isHeld) return wait(now + CONTENT_TURN_MS, 'peers have what is missing')
  if (failedUntil !== null && failedUntil > now) return wait(failedUntil, 'the origin failed')
  if (!view.asks && since + CONTENT_SETTLE_MS > now && others.some(({ wants }) => wants === null)) {
    return wait(since + CONTENT_SETTLE_MS, 'others have not said yet what they have')
  }

  const wanting = others.filter(({ wants }) => wants === true)
  const order = originOrder(view.sha256, [self, ...wanting.map(({ id }) => id)])
  const place = order.indexOf(self)
  const busy = wanting.filter(
    ({ asks, progressAt }) => asks && progressAt !== null && now - progressAt < CONTENT_STALL_MS,
  )
  const before = busy.filter(({ id }) => order.indexOf(id) < place)
  const [asking] = view.asks ? before : busy
  if (asking !== undefined) {
    return wait((asking.progressAt ?? now) + CONTENT_STALL_MS, `${asking.id} asks the origin`)
  }
  if (view.asks) return { kind: 'ask' }

  // Only who could still ask is waited for: not who failed, nor who stalled while asking.
  const able = new Set(wanting.filter(({ asks, failed }) => !asks && !failed).map(({ id }) => id))
  const turns = order.slice(0, place).filter((id) => able.has(id)).length
  const quietSince = Math.max(since, ...wanting.map(({ progressAt }) => progressAt ?? since))
  const at = turns === 0 ? now : quietSince + turns * CONTENT_TURN_MS
  return at <= now ? { kind: 'ask' } : wait(at, 'another node is first in the order')
}
