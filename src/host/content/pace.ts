/** A rate that is kept on average: what is a little too fast waits. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Budget } from '../network/budget.ts'

/** Half a second's worth may go at once. */
const BURST_S = 0.5

export class Pace {
  readonly #budget: Budget | null

  /** @param perSecond null: as fast as it goes. */
  constructor(perSecond: number | null) {
    this.#budget = perSecond === null ? null : new Budget(perSecond, perSecond * BURST_S, performance.now())
  }

  async spend(bytes: number): Promise<void> {
    const debtMs = this.#budget?.spend(bytes, performance.now()) ?? 0
    if (debtMs > 0) await sleep(debtMs)
  }
}
