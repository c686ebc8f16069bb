/** Problems that are worth telling only when they last: most obstacles of a start go by themselves. */
import type { HostProblem } from '../../core/orders.ts'
import { ANSWER_PATIENCE_MS, LEADER_PATIENCE_MS, PATIENCE_MS } from './timing.ts'

/** How long, by code; others are told at once. */
const PATIENCE: Readonly<Record<string, number>> = {
  'datastore.address-missing': PATIENCE_MS,
  'datastore.no-member-reachable': PATIENCE_MS,
  'datastore.change-refused': LEADER_PATIENCE_MS,
  'datastore.no-quorum': LEADER_PATIENCE_MS,
  'datastore.not-answering': ANSWER_PATIENCE_MS,
  'k3s.interface-missing': PATIENCE_MS,
  'k3s.no-server': PATIENCE_MS,
  'k3s.no-agent-secret': PATIENCE_MS,
  'k3s.server-unreachable': PATIENCE_MS,
  'k3s.learner-waits': LEADER_PATIENCE_MS,
  'k3s.not-ready': ANSWER_PATIENCE_MS,
}

export class Lasting {
  /** Since when each problem is there; monotonic milliseconds. */
  #since: ReadonlyMap<string, number> = new Map()

  /** @returns those among the problems of now that have been there long enough */
  of(problems: readonly HostProblem[]): HostProblem[] {
    const now = performance.now()
    this.#since = new Map(problems.map(({ code }) => [code, this.#since.get(code) ?? now]))
    return problems.filter(({ code }) => now - (this.#since.get(code) ?? now) >= (PATIENCE[code] ?? 0))
  }
}
