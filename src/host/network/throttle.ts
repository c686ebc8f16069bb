/** Says what repeats at most once a minute for each subject: a stranger that knocks all night fills no disk. */

const QUIET_MS = 60_000
/** Subjects remembered; the oldest is forgotten first. */
const SUBJECTS_MAX = 1_024

export class Throttle {
  readonly #said = new Map<string, number>()

  /** @param now monotonic milliseconds. */
  mayTell(subject: string, now: number): boolean {
    const last = this.#said.get(subject)
    if (last !== undefined && now - last < QUIET_MS) return false
    this.#said.delete(subject)
    this.#said.set(subject, now)
    if (this.#said.size > SUBJECTS_MAX) this.#said.delete([...this.#said.keys()][0] ?? '')
    return true
  }
}
