/**
 * Keeps one detached process running while somebody wants it: finds the one of an earlier daemon, starts a new one
 * no more often than the back-off allows, and says why the last one ended.
 */
import type { LogFields } from '../../core/events.ts'
import type { HostProblem } from '../../core/orders.ts'
import type { DetachedProcess, OnExit } from './detached.ts'
import { END_GRACE_MS, RESTART_MAX_MS, RESTART_MIN_MS, STABLE_MS } from './timing.ts'

/** Why a process ended, as far as can be told. */
export interface Autopsy {
  /** Its last words, one line. */
  readonly said: string
  /** The cluster has removed this member for good. */
  readonly wasRemoved: boolean
  /** What to tell people, null where it is not worth saying yet. */
  readonly failure: HostProblem | null
}

export interface Supervised {
  /** The process that an earlier daemon left running, null where there is none. */
  find(onExit: OnExit): Promise<DetachedProcess | null>
  start(args: readonly string[], onExit: OnExit): Promise<DetachedProcess>
  /** @param failures how often in a row it has ended */
  autopsy(ended: DetachedProcess, failures: number): Autopsy
  /** The process ended, or may have. */
  onExit(): void
  note(level: 'info' | 'warn', event: string, fields: LogFields): void
}

export class Supervisor {
  readonly #supervised: Supervised
  readonly #graceMs: number
  #process: DetachedProcess | null = null
  #failures = 0
  #failure: HostProblem | null = null
  #restartAt = 0
  #wasRemoved = false

  constructor(supervised: Supervised, graceMs = END_GRACE_MS) {
    this.#supervised = supervised
    this.#graceMs = graceMs
  }

  /** What runs, as of the last {@link notice}. */
  get process(): DetachedProcess | null {
    return this.#process
  }

  /** Why it does not stay up, once that is worth saying. */
  get failure(): HostProblem | null {
    return this.#failure
  }

  /** Its last exit was because the cluster has removed this member for good. */
  get wasRemoved(): boolean {
    return this.#wasRemoved
  }

  /** Monotonic milliseconds before which it is not to be started. */
  get restartAt(): number {
    return this.#restartAt
  }

  /** Takes over what an earlier daemon left running. @returns whether there is something. */
  async adopt(): Promise<boolean> {
    this.#process = await this.#supervised.find(this.#supervised.onExit)
    if (this.#process === null) return false
    this.#supervised.note('info', 'datastore.adopted', { pid: this.#process.pid })
    return true
  }

  async start(args: readonly string[]): Promise<void> {
    this.#process = await this.#supervised.start(args, this.#supervised.onExit)
    this.#supervised.note('info', 'datastore.started', { pid: this.#process.pid, failures: this.#failures })
  }

  /** Sees whether it ended, and why. @returns whether it did since the last look. */
  notice(now: number): boolean {
    const ended = this.#process
    if (ended === null || ended.isRunning()) return false
    this.#process = null
    this.#failures = now - ended.since > STABLE_MS ? 1 : this.#failures + 1
    this.#restartAt = now + Math.min(RESTART_MIN_MS * 2 ** (this.#failures - 1), RESTART_MAX_MS)
    const { said, wasRemoved, failure } = this.#supervised.autopsy(ended, this.#failures)
    this.#wasRemoved = wasRemoved
    this.#failure = failure
    this.#supervised.note('warn', 'datastore.exited', {
      how: ended.howItEnded(),
      said,
      failures: this.#failures,
    })
    return true
  }

  /** Ends it as ordered; its data stays. */
  async end(why: string): Promise<void> {
    if (this.#process === null) return
    this.#supervised.note('info', 'datastore.ending', { pid: this.#process.pid, why })
    await this.#process.end(this.#graceMs)
    this.#process = null
    this.forgive()
  }

  /** What failed is over, or something else is wanted now. */
  forgive(): void {
    this.#failures = 0
    this.#failure = null
    this.#restartAt = 0
    this.#wasRemoved = false
  }
}
