/**
 * Follows the path to one peer from poll to poll: whether it is direct, and which endpoint to try. Pure. Ages
 * are counted on the monotonic clock from when a handshake was first seen, because WireGuard stamps it with the
 * wall clock, which may jump.
 */

import { CANDIDATE_MS, DIRECT_MS } from './timing.ts'
import type { DumpPeer } from './wg.ts'

export interface PathState {
  /** Endpoints as they were last ordered, usable ones only, most promising first. */
  readonly candidates: readonly string[]
  /** The one that was last given to WireGuard, null when none was. */
  readonly tried: string | null
  /** When it was given; milliseconds, monotonic, as all times here. -Infinity while the path is direct. */
  readonly triedAt: number
  /** WireGuard's stamp of the newest handshake, null before any. */
  readonly stampS: number | null
  /** When that handshake happened. */
  readonly handshakeAt: number
  /** When this was written. */
  readonly at: number
}

export interface PathStep {
  readonly state: PathState
  readonly direct: boolean
  /** Endpoint to give to WireGuard now, null to leave it the one that it has. */
  readonly endpoint: string | null
}

/**
 * The next step of a path. `before` is null for a peer that was not followed yet, `seen` null for one that
 * the interface does not have yet. A direct path keeps the endpoint that WireGuard found, for it roams with its
 * peer; unless it is one that the peer named before and now withdrew: the peer moved away from there. A path
 * that is not direct tries each candidate for {@link CANDIDATE_MS} and then the next, round and round.
 */
export function follow(
  before: PathState | null,
  candidates: readonly string[],
  seen: DumpPeer | null,
  now: number,
  wallMs: number,
): PathStep {
  const handshake = handshakeOf(before, seen, now, wallMs)
  const direct = handshake.stampS !== null && now - handshake.handshakeAt < DIRECT_MS
  const used = seen?.endpoint ?? null
  const endpoint = direct
    ? withdrawn(before, candidates, used)
      ? (candidates[0] ?? null)
      : null
    : nextCandidate(before, candidates, seen, now)
  return {
    direct,
    endpoint,
    state: {
      candidates,
      ...handshake,
      at: now,
      // A direct path that is lost has been silent for long: its endpoint had its time.
      ...(endpoint !== null
        ? { tried: endpoint, triedAt: now }
        : direct
          ? { tried: used, triedAt: Number.NEGATIVE_INFINITY }
          : { tried: before?.tried ?? used, triedAt: before?.triedAt ?? now }),
    },
  }
}

/** When the newest handshake was, on the monotonic clock. */
function handshakeOf(before: PathState | null, seen: DumpPeer | null, now: number, wallMs: number) {
  const stampS = seen?.handshakeS ?? null
  if (stampS === null) return { stampS, handshakeAt: 0 }
  if (before !== null && before.stampS === stampS) return { stampS, handshakeAt: before.handshakeAt }
  // A stamp that changed is younger than the previous look, whatever the wall clock says. Of the first one
  // seen nothing better is known than the wall clock.
  const oldest = before === null ? Number.POSITIVE_INFINITY : now - before.at
  return { stampS, handshakeAt: now - Math.min(Math.max(wallMs - stampS * 1_000, 0), oldest) }
}

const withdrawn = (
  before: PathState | null,
  candidates: readonly string[],
  endpoint: string | null,
): boolean =>
  endpoint !== null && before?.candidates.includes(endpoint) === true && !candidates.includes(endpoint)

function nextCandidate(
  before: PathState | null,
  candidates: readonly string[],
  seen: DumpPeer | null,
  now: number,
): string | null {
  const first = candidates[0]
  if (first === undefined) return null
  if (seen === null || seen.endpoint === null) return first
  // A first look at an interface of a previous run: what it tries gets its time like any other.
  if (before === null) return null
  if (withdrawn(before, candidates, before.tried)) return first
  if (now - before.triedAt < CANDIDATE_MS) return null
  const next = candidates[(candidates.indexOf(before.tried ?? '') + 1) % candidates.length] ?? first
  return next === seen.endpoint && next === before.tried ? null : next
}
