/** From what was seen in one turn to DistributionFacts, and whether they are news. */
import { isDeepStrictEqual } from 'node:util'
import type { DistributionFacts, DistributionOrder, HostProblem } from '../../../core/orders.ts'
import { Lasting } from '../lasting.ts'
import { asideOf } from '../marker.ts'
import { movedAside, noQuorum, spaceAlarm } from '../problems.ts'
import { isSaid } from './arguments.ts'
import type { K3sOrder } from './configuration.ts'
import { probe } from './data.ts'
import type { Observation } from './observe.ts'
import type { Places } from './places.ts'
import { notReady } from './problems.ts'
import { readSnapshot, readStarted } from './started.ts'

/** What one turn found. */
export interface Findings {
  readonly order: DistributionOrder | null
  readonly isRunning: boolean
  readonly observed: Observation
  /** Revision of what is prepared; null while it is not. */
  readonly prepared: number | null
  /** Names of members that did not answer when they were asked last. */
  readonly silent: readonly string[]
  readonly problems: readonly HostProblem[]
}

export class K3sFacts {
  readonly #places: Places
  readonly #lasting = new Lasting()
  #current: DistributionFacts

  constructor(places: Places) {
    this.#places = places
    this.#current = {
      version: null,
      ...probe(places.server),
      running: false,
      healthy: false,
      voter: false,
      ready: false,
      clusterId: null,
      members: [],
      nodes: [],
      revision: readStarted(places.state)?.revision ?? null,
      prepared: null,
      snapshot: readSnapshot(places.state),
      problems: this.#aside(),
    }
  }

  get current(): DistributionFacts {
    return this.#current
  }

  /** @returns the new facts, null where they are the old ones. */
  update(findings: Findings): DistributionFacts | null {
    const { order, isRunning, observed, prepared, problems } = findings
    const k3s = order?.kind === 'k3s' ? order : null
    const started = readStarted(this.#places.state)
    const facts: DistributionFacts = {
      version: observed.version ?? (isRunning ? (started?.k3s ?? null) : null),
      ...probe(this.#places.server),
      running: isRunning,
      healthy: k3s !== null && isHealthy(k3s, observed),
      voter: observed.standing === 'voter',
      ready: k3s !== null && isReady(k3s, observed),
      clusterId: observed.clusterId,
      members: observed.members.map(({ node, isLearner, isHealthy: healthy }) => ({
        name: node,
        voter: !isLearner,
        healthy,
      })),
      nodes:
        k3s?.role === 'server'
          ? observed.nodes.map(({ name, ready, version }) => ({ name, ready, version }))
          : [],
      revision: started?.revision ?? null,
      prepared,
      snapshot: readSnapshot(this.#places.state),
      problems: this.#lasting.of([...problems, ...seen(findings), ...this.#aside()]),
    }
    if (isDeepStrictEqual(facts, this.#current)) return null
    this.#current = facts
    return facts
  }

  #aside(): HostProblem[] {
    const paths = asideOf(this.#places.server)
    return paths.length > 0 ? [movedAside(paths)] : []
  }
}

/**
 * The datastore's member here is a voter that reads through its quorum. While it initialises or joins that is not
 * enough: others can come in only through a supervisor and an API server that are ready.
 */
export function isHealthy(order: K3sOrder, observed: Observation): boolean {
  const { standing, reads, clusterId, apiReady } = observed
  const isExpected = order.clusterId === null || order.clusterId === clusterId
  const isOpen = order.action === 'run' || (apiReady && clusterId !== null)
  return order.role === 'server' && standing === 'voter' && reads && isExpected && isOpen
}

/** A server without a kubelet has no Node, and is ready without. */
export function isReady(order: K3sOrder, observed: Observation): boolean {
  const { self, apiReady } = observed
  if (order.role === 'agent') return self?.ready ?? false
  const isNode = self?.ready && (order.settings.external || self.isVoter)
  return (
    isHealthy(order, observed) && apiReady && (isNode || isSaid(order.settings.server.args, 'disable-agent'))
  )
}

function seen({ order, isRunning, observed, silent, problems }: Findings): HostProblem[] {
  if (order?.kind !== 'k3s' || order.action === 'stop') return []
  const isMember = order.role === 'server' && order.action === 'run' && !order.settings.external
  // Without its quorum k3s ends and is started again: who is silent then says more than its last words.
  const isCut = isMember && silent.length > order.members.length / 2
  if (isMember && !observed.reads && (isCut || observed.standing === 'voter')) {
    const down = observed.members.filter((member) => !member.isHealthy && member.node !== order.self.name)
    return [noQuorum(down.length > 0 ? down.map(({ node }) => node) : silent)]
  }
  if (!isRunning || problems.length > 0 || isReady(order, observed)) return []
  if (observed.isFull) return [spaceAlarm()]
  return [notReady(whatLacks(order, observed))]
}

function whatLacks(order: K3sOrder, observed: Observation): string {
  const { self } = observed
  if (order.role === 'agent') return self === null ? 'no server knows its Node yet' : 'its Node is not ready'
  if (observed.standing === 'unknown') return 'its datastore does not answer'
  if (observed.standing === 'learner') return 'its member of the datastore is still a learner'
  if (!observed.apiReady) return 'its API server is not ready'
  if (self === null) return 'the API server knows no Node of this machine yet'
  return self.ready ? 'its Node does not say that its datastore member votes' : 'its Node is not ready'
}
