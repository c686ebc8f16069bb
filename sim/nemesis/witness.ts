/**
 * Watches from outside whether a rule breaks while faults are played: reads what every daemon logs and what its
 * status says, remembers it, and names what can never be. It asks no daemon whether all is well.
 */
import type { StatusDocument } from '../../src/core/status.ts'

/** One line of a daemon's log. */
export interface Logged {
  readonly event: string
  readonly [field: string]: unknown
}

export const RULES = {
  genesis: 'one genesis on all hosts and in all logs',
  address: 'an address belongs to one node, for ever',
  leader: 'one leader in a term',
  plan: 'a certified plan never changes, and no node goes back',
  acts: 'acts one at a time, each with one holder',
  ownHand: 'never two servers down by our own hand',
} as const
export type Rule = keyof typeof RULES

export class Witness {
  readonly #faults = new Map<Rule, Set<string>>()
  readonly #counts = new Map<string, number>()
  readonly #geneses = new Map<string, string>()
  readonly #addressOf = new Map<string, string>()
  readonly #ownerOf = new Map<string, string>()
  readonly #leaders = new Map<number, string>()
  /** By index: term and cause of the plan that was certified there. */
  readonly #plans = new Map<number, string>()
  /** By host: who it is now, and the last index that it held as that. */
  readonly #nodes = new Map<string, { readonly id: string; index: number }>()
  readonly #holders = new Map<number, string>()
  readonly #ended = new Set<number>()
  #act: { readonly kind: string; readonly attempt: number } | null = null
  /** Hosts whose daemon ended its member of the datastore and did not start it again. */
  readonly #down = new Set<string>()

  faults(rule: Rule): string[] {
    return [...(this.#faults.get(rule) ?? [])]
  }

  /** How often an event was logged, over all hosts. */
  count(event: string): number {
    return this.#counts.get(event) ?? 0
  }

  /** The genesis that everyone who held one held; null while nobody did. */
  get genesis(): string | null {
    return [...this.#geneses.keys()][0] ?? null
  }

  get addresses(): number {
    return this.#ownerOf.size
  }

  /** Terms in which somebody led. */
  get leaders(): number {
    return this.#leaders.size
  }

  /** The lines that all hosts logged since the last look; `at` is the same moment for all of them. */
  lines(news: readonly { readonly host: string; readonly line: Logged }[]): void {
    // Within one look nobody knows the order between hosts: what ends counts before what begins.
    for (const { host, line } of news) {
      const { event, attempt } = line
      if ((event === 'act.done' || event === 'act.given-up') && typeof attempt === 'number')
        this.#ended.add(attempt)
      if (event === 'datastore.started' || event === 'datastore.adopted') this.#down.delete(host)
    }
    for (const { host, line } of news) this.#line(host, line)
  }

  #line(host: string, line: Logged): void {
    const { event, id, term, index, leader, genesis, act, attempt } = line
    const name = event === 'problem.appeared' && typeof line.code === 'string' ? kindOf(line.code) : event
    this.#counts.set(name, this.count(name) + 1)
    switch (event) {
      case 'node.started':
        if (typeof id === 'string' && this.#nodes.get(host)?.id !== id)
          this.#nodes.set(host, { id, index: -1 })
        return
      case 'cluster.founded':
      case 'cluster.joined':
        if (typeof genesis === 'string') this.#holdsGenesis(host, genesis)
        return
      case 'leader.elected':
      case 'leader.followed':
        if (typeof leader === 'string' && typeof term === 'number') this.#leads(host, leader, term)
        return
      case 'plan.certified':
        if (typeof term === 'number' && typeof index === 'number')
          this.#certified(host, index, `term ${term}, ${String(line.cause)}`)
        return
      case 'act.permitted':
        if (typeof act === 'string' && typeof attempt === 'number') this.#permitted(host, act, attempt)
        return
      case 'datastore.ending':
        this.#down.add(host)
        if (this.#down.size > 1)
          this.#fault('ownHand', `ended by their own daemons at once: ${[...this.#down].sort().join(', ')}`)
        return
      default:
    }
  }

  status(host: string, { cluster, self, nodes }: StatusDocument): void {
    if (cluster.id !== null) this.#holdsGenesis(host, cluster.id)
    const all = [...nodes.map(({ id, address }) => ({ id, address })), self]
    for (const { id, address } of all) {
      if (address === null) continue
      const before = this.#addressOf.get(id) ?? address
      if (before !== address) this.#fault('address', `${id} has ${address} on ${host}, and had ${before}`)
      const owner = this.#ownerOf.get(address) ?? id
      if (owner !== id) this.#fault('address', `${address} is ${id}'s on ${host}, and was ${owner}'s`)
      this.#addressOf.set(id, before)
      this.#ownerOf.set(address, owner)
    }
  }

  #fault(rule: Rule, text: string): void {
    this.#faults.set(rule, (this.#faults.get(rule) ?? new Set()).add(text))
  }

  #holdsGenesis(host: string, genesis: string): void {
    if (!this.#geneses.has(genesis)) this.#geneses.set(genesis, host)
    if (this.#geneses.size > 1)
      this.#fault('genesis', [...this.#geneses].map(([id, first]) => `${id} first on ${first}`).join('; '))
  }

  #leads(host: string, leader: string, term: number): void {
    const known = this.#leaders.get(term) ?? leader
    this.#leaders.set(term, known)
    if (known !== leader)
      this.#fault('leader', `term ${term}: ${host} knows ${leader}, another host knew ${known}`)
  }

  #certified(host: string, index: number, what: string): void {
    const known = this.#plans.get(index) ?? what
    this.#plans.set(index, known)
    if (known !== what) this.#fault('plan', `index ${index}: ${host} holds ${what}, another held ${known}`)
    const node = this.#nodes.get(host)
    if (node === undefined) return
    if (index < node.index) this.#fault('plan', `${host} went back from index ${node.index} to ${index}`)
    node.index = Math.max(node.index, index)
  }

  #permitted(host: string, kind: string, attempt: number): void {
    const id = this.#nodes.get(host)?.id ?? host
    const holder = this.#holders.get(attempt) ?? id
    this.#holders.set(attempt, holder)
    if (holder !== id) this.#fault('acts', `attempt ${attempt} was permitted to ${holder} and to ${id}`)
    const open = this.#act
    if (open === null || attempt > open.attempt) {
      // A dead initialiser's turn goes to the next one, whose epoch voids what it made.
      const isNextEpoch = open?.kind === 'initialise' && kind === 'initialise'
      if (open !== null && !this.#ended.has(open.attempt) && !isNextEpoch)
        this.#fault('acts', `attempt ${attempt} (${kind}) began on ${host} before ${open.attempt} had ended`)
      this.#act = { kind, attempt }
    } else if (attempt < open.attempt)
      this.#fault('acts', `attempt ${attempt} was permitted on ${host} after attempt ${open.attempt}`)
  }
}

/** Without the name of the node that a problem is about. */
const kindOf = (code: string): string => `problem.appeared ${code.split('.').slice(0, 2).join('.')}`
