/**
 * Rules 4 and 9 of the distribution: nobody initialises or joins without the permit of a majority for this
 * very attempt and run; nobody initialises where a formed cluster is known; only the recorded datastore gets
 * members; only servers get the servers' secret.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Plan } from '../../src/core/plan.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Datastore } from '../datastore.ts'
import type { K3sOrder } from '../k3s.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import type { Copies } from './copies.ts'
import type { PlanOracle } from './plans.ts'
import type { Oracle, Order, Violate } from './watch.ts'

/** Permits older than this are no majority of now: a round of asking, a slow disk, a fast clock. */
const PERMIT_MS = 5_000

export function createDatastoreOracle(
  violate: Violate,
  plans: PlanOracle,
  world: () => World,
  copies: Copies,
): Oracle {
  /** Voters that permitted and when they last did, by holder, its run and attempt. */
  const permits = new Map<string, Map<NodeId, number>>()
  const secrets = new Map<string, string>()
  /** Acts that were permitted when their holder's run was first told to begin. */
  const begun = new Set<string>()
  const agentSecrets = new Map<string, string>()

  const checkAgentSecret = (
    id: NodeId,
    { role, action, secret, agentSecret }: K3sOrder,
    plan: Plan,
  ): void => {
    if (role === 'agent' && action === 'run' && plan.datastore.clusterId === null) {
      violate(4, `${id} runs as an agent of a datastore that is not there`)
    }
    if (agentSecret === null) return
    const text = [...agentSecret].join()
    const key = `${plan.era} ${plan.agentGeneration}`
    if ((agentSecrets.get(key) ?? text) !== text) violate(9, `${id} has another agents' secret`)
    agentSecrets.set(key, text)
    if (text === [...(secret ?? [])].join()) violate(9, `the agents' secret of ${id} is the servers'`)
  }

  const checkOrder = (machine: Machine, order: Order): void => {
    if (order.kind !== 'distribution' || order.order.kind === 'none') return
    const { id } = machine.keys
    const plan = machine.disk.durable?.certified?.plan
    if (plan === undefined) {
      violate(9, `${id} got an order without a plan`)
      return
    }
    const { action, secret } = order.order
    const isServer = plan.members.some((member) => member.id === id && member.role === 'server')
    // Orders of one batch may be of plans before the one on the disk.
    const has = secret !== null && secret.length > 0
    if (has && !isServer && !plans.wereServers().has(id)) violate(9, `${id} has the servers' secret`)
    if (!has && isServer && action !== 'stop') violate(9, `${id} lacks the servers' secret`)
    if (isServer && has) {
      const text = [...secret].join()
      if ((secrets.get(plan.era) ?? text) !== text) violate(9, `${id} has another server secret`)
      secrets.set(plan.era, text)
    }
    if (order.order.kind === 'k3s') checkAgentSecret(id, order.order, plan)
    const isAgent = order.order.kind === 'k3s' && order.order.role === 'agent'
    if (action === 'run' && !isAgent && !plan.datastore.members.includes(id)) {
      violate(4, `${id} runs a datastore that it is no member of`)
    }
    if (action !== 'initialise' && action !== 'join') return
    const { act } = plan
    if (act === null || act.node !== id || act.kind !== action) {
      violate(4, `${id} is to ${action}, but its plan does not say so`)
      return
    }
    if (action === 'initialise' && plan.datastore.clusterId !== null) {
      violate(4, `${id} is to initialise beside the datastore ${plan.datastore.clusterId}`)
    }
    const inPlace = machine.datastore.data?.store?.id
    // A restored server that nobody contradicts goes on where its copy was: its driver finds its own data there.
    const goesOn = copies.has(id) && machine.datastore.data?.epoch === plan.datastore.epoch
    if (action === 'initialise' && inPlace !== undefined && plans.done().has(inPlace) && !goesOn) {
      violate(4, `${id} is to initialise over its data of ${inPlace}`)
    }
    const key = `${id} ${machine.state?.session} ${act.attempt}`
    // Settings change also in the middle of it, and are ordered anew: that needs no other permit.
    if (order.order.kind === 'k3s' && begun.has(key)) return
    begun.add(key)
    const given = permits.get(key)
    const { now } = world()
    // Who was frozen, or whose disk held it up, may carry out late what it decided in time.
    const since = now - machine.awakeSince >= 2 * PERMIT_MS ? now - PERMIT_MS : 0
    const count = plan.voters.filter((voter) => voter === id || (given?.get(voter) ?? -1) >= since).length
    if (count * 2 <= plan.voters.length) violate(4, `${id} is to ${action} with the permit of ${count} only`)
  }

  return {
    sent: (machine: Machine, to: NodeId, message: Message) => {
      if (message.kind !== 'permit') return
      const session = message.nonce.split('.')[0]
      const key = `${to} ${session} ${message.attempt}`
      const given = permits.get(key) ?? new Map()
      given.set(machine.keys.id, world().now)
      permits.set(key, given)
    },
    ordered: checkOrder,
    datastoreLeft: (machine: Machine, target: NodeId) => {
      const plan = plans.newest()?.plan
      const isTarget = plan?.act?.kind === 'remove' && plan.act.node === target
      const isStillIn = plan?.members.some(({ id, role }) => id === target && role === 'server') ?? true
      if (isStillIn && !isTarget)
        violate(6, `${machine.keys.id} takes ${target} out of the datastore, which no plan says`)
    },
    datastoreJoined: (machine: Machine, datastore: Datastore) => {
      if (!plans.done().has(datastore.id)) {
        violate(4, `${machine.keys.id} joins ${datastore.id}, which no plan records as done`)
      }
    },
  }
}
