/** Peers that are kept out: for a moment, since they broke the protocol; for good, since the plan revoked them. */

/** Long enough to make flooding pointless, short enough for an honest peer with a bug to be usable. */
export const SHUN_MS = 10_000

export class Shunned {
  readonly #until = new Map<string, number>()
  #barred: ReadonlySet<string> = new Set()

  /** @param now monotonic milliseconds, as everywhere here. */
  add(peer: string, now: number): void {
    for (const [other, until] of this.#until) if (until <= now) this.#until.delete(other)
    this.#until.set(peer, now + SHUN_MS)
  }

  /** @param peers all that are kept out for good: who is no longer among them may come again. */
  bar(peers: readonly string[]): void {
    this.#barred = new Set(peers)
  }

  has(peer: string, now: number): boolean {
    return this.#barred.has(peer) || (this.#until.get(peer) ?? 0) > now
  }
}
