/** Asks every host for its status again and again, and tells what changed and when. */
import type { StatusDocument } from '../../src/core/status.ts'
import type { Host } from './host.ts'
import { until } from './until.ts'
import type { View } from './view.ts'

export interface Change {
  readonly host: Host
  /** Null where it did not answer before. */
  readonly before: StatusDocument | null
  /** Null where it stopped answering. */
  readonly after: StatusDocument | null
  /** Since the watch began, milliseconds. */
  readonly atMs: number
}

export class Watch {
  readonly #hosts: () => readonly Host[]
  readonly #everyMs: number
  readonly #latest = new Map<number, StatusDocument>()
  readonly #listeners: ((change: Change) => void)[] = []
  #startedAt = performance.now()
  readonly #timers = new Set<NodeJS.Timeout>()
  #stopped = false

  constructor(hosts: () => readonly Host[], everyMs = 100) {
    this.#hosts = hosts
    this.#everyMs = everyMs
  }

  start(): void {
    this.#startedAt = performance.now()
    for (const host of this.#hosts()) void this.#follow(host)
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  get view(): View {
    return this.#latest
  }

  elapsedMs(): number {
    return Math.round(performance.now() - this.#startedAt)
  }

  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener)
  }

  /** Waits until the view fulfils `test`; returns the time since the watch began, milliseconds. */
  async until(what: string, test: (view: View) => boolean, timeoutMs: number): Promise<number> {
    await until(what, () => test(this.#latest), {
      timeoutMs,
      everyMs: Math.max(10, this.#everyMs / 4),
      describe: () => describeView(this.#latest),
    })
    return this.elapsedMs()
  }

  /** Each host at its own pace: one that hangs must not keep news of the others. */
  async #follow(host: Host): Promise<void> {
    await this.#look(host)
    if (this.#stopped) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#follow(host)
    }, this.#everyMs)
    this.#timers.add(timer)
  }

  async #look(host: Host): Promise<void> {
    // A machine that is losing power this moment has no socket to ask.
    const after = await host.status().catch(() => null)
    if (this.#stopped) return
    const before = this.#latest.get(host.index) ?? null
    if (after === null) this.#latest.delete(host.index)
    else this.#latest.set(host.index, after)
    if (before === null && after === null) return
    const change: Change = { host, before, after, atMs: this.elapsedMs() }
    for (const listener of this.#listeners) listener(change)
  }
}

/** One line per host: enough to see in an error message where it got stuck. */
export function describeView(view: View): string {
  const lines = [...view.values()].map(({ self, cluster, nodes, distribution, waitingFor, problems }) => {
    const paths = nodes.map((node) => `${node.name}:${node.path}`).join(' ')
    const rest = [...waitingFor, ...problems.map((problem) => `! ${problem.code}: ${problem.message}`)]
    return [
      `${self.name} ${self.stage} ${self.role} ${self.address ?? '-'}`,
      `${cluster.state} ${cluster.id?.slice(0, 8) ?? '-'} term ${cluster.term} index ${cluster.planIndex ?? '-'}`,
      paths,
      `${distribution.kind} ${distribution.members.map((m) => `${m.name}:${m.voter}/${m.healthy}`).join(' ')}`,
      ...rest,
    ].join(' | ')
  })
  return `\n${lines.join('\n')}`
}
