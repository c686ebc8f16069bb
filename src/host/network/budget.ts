/** How much a peer may send: a bucket that fills at a steady rate up to a burst. */

export class Budget {
  readonly #perSecond: number
  readonly #burst: number
  #level: number
  #at: number

  /** @param now monotonic milliseconds, here and in all methods. */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#level = burst
    this.#at = now
  }

  /** Takes the amount where there is enough; else takes nothing. */
  take(amount: number, now: number): boolean {
    this.#fill(now)
    if (this.#level < amount) return false
    this.#level -= amount
    return true
  }

  /**
   * Takes the amount in any case.
   * @returns milliseconds until the debt is paid, 0 without debt.
   */
  spend(amount: number, now: number): number {
    this.#fill(now)
    this.#level -= amount
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level / this.#perSecond) * 1_000)
  }

  /** Nothing is remembered by a full bucket: it may be forgotten. */
  isFull(now: number): boolean {
    this.#fill(now)
    return this.#level >= this.#burst
  }

  #fill(now: number): void {
    this.#level = Math.min(this.#burst, this.#level + ((now - this.#at) / 1_000) * this.#perSecond)
    this.#at = now
  }
}
