/** From what was seen in one turn to DistributionFacts, and whether they are news. */
import { isDeepStrictEqual } from 'node:util'
import type { DistributionFacts, DistributionOrder, HostProblem } from '../../core/orders.ts'
import { dataDirectory, probe } from './data.ts'
import type { DetachedProcess } from './detached.ts'
import { urlOf } from './etcd-flags.ts'
import { Lasting } from './lasting.ts'
import { asideOf, type DataProbe } from './marker.ts'
import { hostOf } from './membership.ts'
import type { Observation, ObservedMember } from './observe.ts'
import { movedAside, noQuorum, notAnswering, spaceAlarm } from './problems.ts'

/** What one turn found. */
export interface Findings {
  readonly disk: DataProbe
  readonly process: DetachedProcess | null
  readonly version: string | null
  readonly observed: Observation
  readonly order: DistributionOrder | null
  readonly problems: readonly HostProblem[]
}

/** What only a Kubernetes can tell. */
const NO_API = { nodes: [], revision: null, prepared: null, snapshot: null } as const

export class DatastoreFacts {
  readonly #directory: string
  readonly #peerPort: number
  readonly #lasting = new Lasting()
  #current: DistributionFacts

  constructor(options: { readonly directory: string; readonly peerPort: number }) {
    this.#directory = options.directory
    this.#peerPort = options.peerPort
    this.#current = {
      version: null,
      ...probe(options.directory),
      running: false,
      healthy: false,
      voter: false,
      ready: false,
      clusterId: null,
      members: [],
      ...NO_API,
      problems: this.#aside(),
    }
  }

  get current(): DistributionFacts {
    return this.#current
  }

  /** @returns the new facts, null where they are the old ones. */
  update(findings: Findings): DistributionFacts | null {
    const { disk, process, version, observed, order } = findings
    const voter = observed.standing === 'voter'
    const recorded = order?.kind === 'etcd' ? order.clusterId : null
    const isExpected = recorded === null || recorded === observed.clusterId
    const healthy = voter && observed.reads && isExpected
    const facts: DistributionFacts = {
      version,
      ...disk,
      ...NO_API,
      running: process !== null,
      healthy,
      voter,
      ready: healthy,
      clusterId: observed.clusterId,
      members: observed.members.map((member) => ({
        name: this.#nameOf(member, order),
        voter: !member.isLearner,
        healthy: member.isHealthy,
      })),
      problems: this.#lasting.of([...findings.problems, ...this.#seen(findings), ...this.#aside()]),
    }
    if (isDeepStrictEqual(facts, this.#current)) return null
    this.#current = facts
    return facts
  }

  #seen({ process, observed, order, problems }: Findings): HostProblem[] {
    if (process === null || order?.kind !== 'etcd' || problems.length > 0) return []
    if (!observed.answers) return [notAnswering()]
    if (observed.isFull) return [spaceAlarm()]
    if (observed.standing === 'voter' && !observed.reads) {
      const silent = observed.members.filter((member) => !member.isHealthy)
      return [noQuorum(silent.map((member) => this.#nameOf(member, order)))]
    }
    return []
  }

  #aside(): HostProblem[] {
    const paths = asideOf(dataDirectory(this.#directory))
    return paths.length > 0 ? [movedAside(paths)] : []
  }

  /** An etcd that never started has no name: then the plan's, else its address. */
  #nameOf(member: ObservedMember, order: DistributionOrder | null): string {
    if (member.name !== '') return member.name
    const known = order?.kind === 'etcd' ? [order.self, ...order.members] : []
    const found = known.find(({ address }) => member.peerUrls.includes(urlOf(address, this.#peerPort)))
    const [url] = member.peerUrls
    return found?.name ?? (url === undefined ? member.id : hostOf(url))
  }
}
