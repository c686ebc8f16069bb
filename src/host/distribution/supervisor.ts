/**
 * Keeps one etcd running while somebody wants it: finds the one of an earlier daemon, starts a new one no more
 * often than the back-off allows, and says why the last one ended.
 */
import type { LogFields } from '../../core/events.ts'
import { assertNever } from '../../core/ids.ts'
import type { HostProblem } from '../../core/orders.ts'
import type { EtcdLog, LastWords } from './etcd-log.ts'
import { type EtcdProcess, findEtcd, startEtcd } from './etcd-process.ts'
import { addressMissing, keepsFailing, noSpace, portTaken } from './problems.ts'
import { END_GRACE_MS, FAILURES_SHOWN, RESTART_MAX_MS, RESTART_MIN_MS, STABLE_MS } from './timing.ts'

export interface SupervisorOptions {
  readonly binary: string
  /** The etcd data directory: what makes a process ours. */
  readonly dataDirectory: string
  /** Named where a port or address is in the way. */
  readonly listens: { readonly clientPort: number; readonly peerPort: number }
  readonly log: EtcdLog
  /** The process ended, or may have. */
  onExit(): void
  note(level: 'info' | 'warn', event: string, fields: LogFields): void
}

export class Supervisor {
  readonly #options: SupervisorOptions
  #process: EtcdProcess | null = null
  #failures = 0
  #failure: HostProblem | null = null
  #restartAt = 0
  #wasRemoved = false

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** What runs, as of the last {@link notice}. */
  get process(): EtcdProcess | null {
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
    const { binary, dataDirectory, log, onExit, note } = this.#options
    this.#process = await findEtcd(binary, dataDirectory, log, onExit)
    if (this.#process === null) return false
    note('info', 'datastore.adopted', { pid: this.#process.pid })
    return true
  }

  async start(args: readonly string[]): Promise<void> {
    const { binary, log, onExit, note } = this.#options
    this.#process = await startEtcd(binary, args, log, onExit)
    note('info', 'datastore.started', { pid: this.#process.pid, failures: this.#failures })
  }

  /** Sees whether it ended, and why. @returns whether it did since the last look. */
  notice(now: number): boolean {
    if (this.#process === null || this.#process.isRunning()) return false
    const { logOffset, since } = this.#process
    const how = this.#process.howItEnded()
    const words = this.#options.log.lastWords(logOffset)
    this.#process = null
    this.#failures = now - since > STABLE_MS ? 1 : this.#failures + 1
    this.#restartAt = now + Math.min(RESTART_MIN_MS * 2 ** (this.#failures - 1), RESTART_MAX_MS)
    this.#wasRemoved = words.cause === 'removed'
    this.#failure = this.#failureOf(how, words)
    this.#options.note('warn', 'datastore.exited', { how, said: words.text, failures: this.#failures })
    return true
  }

  /** Ends it as ordered; its data stays. */
  async end(why: string): Promise<void> {
    if (this.#process === null) return
    this.#options.note('info', 'datastore.ending', { pid: this.#process.pid, why })
    await this.#process.end(END_GRACE_MS)
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

  #failureOf(how: string, words: LastWords): HostProblem | null {
    const { clientPort, peerPort } = this.#options.listens
    switch (words.cause) {
      case 'port-taken':
        return portTaken('this machine', words.text.includes(`:${clientPort}`) ? clientPort : peerPort)
          .problem
      case 'address-missing':
        return addressMissing(/tcp (\S+):\d+/.exec(words.text)?.[1] ?? 'it was given').problem
      case 'no-space':
        return noSpace(words.text).problem
      case 'removed':
        return null
      case 'other':
        return this.#failures < FAILURES_SHOWN ? null : keepsFailing(this.#failures, how, words.text).problem
      default:
        return assertNever(words.cause)
    }
  }
}
