/** Peers that are kept out for a moment: they broke the protocol, or the core put them off. */

/** Long enough to make flooding pointless, short enough for an honest peer with a bug to be usable. */
export const SHUN_MS = 10_000

export class Shunned {
  readonly #until = new Map<string, number>()

  /** @param now monotonic milliseconds, as everywhere here. */
  add(peer: string, now: number): void {
    for (const [other, until] of this.#until) if (until <= now) this.#until.delete(other)
    this.#until.set(peer, now + SHUN_MS)
  }

  has(peer: string, now: number): boolean {
    return (this.#until.get(peer) ?? 0) > now
  }
}
