/**
 * The server through which this machine joins or runs. One that answers stays; one that left the plan, or answers no
 * more, is replaced by the first that does. Never the machine itself.
 */
import { TARGET_MS } from '../timing.ts'
import { answersPing } from './api.ts'
import { type K3sOrder, serverUrl } from './configuration.ts'

/** While nobody answers, somebody soon may. */
const SILENT_MS = 5_000

export class Target {
  #current: string | null = null
  /** Addresses that answered when they were asked last. */
  #answering: ReadonlySet<string> = new Set()
  #asked: { readonly at: number; readonly of: string } | null = null
  #silent: readonly string[] = []

  /** Names of those that did not answer when they were asked last. */
  get silent(): readonly string[] {
    return this.#silent
  }

  answers(address: string): boolean {
    return this.#answering.has(address)
  }

  /**
   * @param last the one that k3s was started with
   * @param isWell everything works here: no need to ask often
   * @returns an address; null where there is nobody else, or nobody else is to be asked
   */
  async choose(order: K3sOrder, last: string | null, isWell: boolean, now: number): Promise<string | null> {
    const addresses = order.members
      .map(({ address }) => address)
      .filter((address) => address !== order.self.address)
    if (order.action === 'initialise' || addresses.length === 0) {
      this.#silent = []
      return null
    }
    const current =
      [this.#current, last].find((address) => address !== null && addresses.includes(address)) ?? null
    const of = addresses.join()
    const patienceMs = isWell || this.#silent.length === 0 ? TARGET_MS : SILENT_MS
    if (this.#asked === null || this.#asked.of !== of || now - this.#asked.at >= patienceMs) {
      this.#asked = { at: now, of }
      const asked = await Promise.all(
        addresses.map(async (address) => ((await answersPing(serverUrl(address))) ? [address] : [])),
      )
      this.#answering = new Set(asked.flat())
      this.#silent = order.members.filter(({ address }) => !this.answers(address)).map(({ name }) => name)
    }
    this.#current =
      current !== null && this.answers(current)
        ? current
        : (addresses.find((address) => this.answers(address)) ?? current ?? addresses[0] ?? null)
    return this.#current
  }
}
