/**
 * Clearing away who left: the Node (k3s then removes the etcd member), the node password, so that a reinstalled
 * machine may have the name again, and where there is no kubelet and so no Node, the member itself. Every server
 * does it; each step looks at what is true first. A voter of a node that is in the plan is never touched.
 */
import type { K3sApi } from './api.ts'
import type { K3sOrder } from './configuration.ts'
import type { K3sEtcd } from './etcd-grpc.ts'
import type { Observation, ObservedMember } from './observe.ts'

export interface Cleared {
  readonly event: 'node.deleted' | 'datastore.removed' | 'datastore.evicted'
  readonly name: string
}

export interface Reach {
  readonly api: K3sApi
  /** Null where the datastore is somewhere else. */
  readonly etcd: { readonly client: K3sEtcd; readonly url: string } | null
}

export class Departed {
  /** How long a member is left to k3s to remove, and a learner to become a voter; milliseconds. */
  readonly #patience: { readonly removalMs: number; readonly evictMs: number }
  /** Since when each member is seen that should not be there, by member ID; monotonic milliseconds. */
  #seen: ReadonlyMap<string, number> = new Map()
  /** Names whose password secret was deleted since they last had a Node. */
  readonly #withoutPassword = new Set<string>()

  constructor(patience: { readonly removalMs: number; readonly evictMs: number }) {
    this.#patience = patience
  }

  async clear(order: K3sOrder, observed: Observation, reach: Reach, now: number): Promise<Cleared[]> {
    // Not `servers`: until it is gone, the plan still has who is being removed among them.
    const present = new Set([order.self, ...order.members].map(({ name }) => name))
    const gone = order.gone.filter((name) => !present.has(name))
    for (const name of this.#withoutPassword) if (!gone.includes(name)) this.#withoutPassword.delete(name)
    const cleared: Cleared[] = []
    for (const name of gone) {
      if (observed.nodes.some((node) => node.name === name)) {
        this.#withoutPassword.delete(name)
        if (await reach.api.deleteNode(name)) cleared.push({ event: 'node.deleted', name })
      }
      if (this.#withoutPassword.has(name)) continue
      await reach.api.deleteNodePassword(name)
      this.#withoutPassword.add(name)
    }
    return [...cleared, ...(await this.#clearMembers(order, observed, gone, reach, now))]
  }

  async #clearMembers(
    order: K3sOrder,
    observed: Observation,
    gone: readonly string[],
    { etcd }: Reach,
    now: number,
  ): Promise<Cleared[]> {
    const due = observed.members.flatMap((member) => {
      const event = reasonFor(member, order, gone)
      return event === null ? [] : [{ member, event }]
    })
    this.#seen = new Map(due.map(({ member }) => [member.id, this.#seen.get(member.id) ?? now]))
    const cleared: Cleared[] = []
    for (const { member, event } of due) {
      const { removalMs, evictMs } = this.#patience
      const patienceMs = event === 'datastore.evicted' ? evictMs : removalMs
      if (etcd === null || now - (this.#seen.get(member.id) ?? now) < patienceMs) continue
      await etcd.client.remove(etcd.url, member.id)
      cleared.push({ event, name: member.node })
    }
    return cleared
  }
}

/** Why this member should not be there; null where it should, or nobody says otherwise. */
function reasonFor(
  member: ObservedMember,
  order: K3sOrder,
  gone: readonly string[],
): 'datastore.removed' | 'datastore.evicted' | null {
  const isMember = [order.self, ...order.members].some(({ name }) => name === member.node)
  if (isMember) return null
  if (gone.includes(member.node)) return 'datastore.removed'
  // Of a joiner that never started nothing is known but its address, by which the plan names it.
  return member.isLearner && order.evict.includes(member.node) ? 'datastore.evicted' : null
}
