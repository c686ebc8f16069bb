/** Changes of the datastore's part of the plan: who initialises it, who joins, how such an act ends (rule 4). */
import { endsAct, type Outcome } from '../causes.ts'
import type { Crypto } from '../crypto.ts'
import { assertNever, type NodeId } from '../ids.ts'
import { ABORTED_MAX, isServer, type Next, type Plan } from '../plan.ts'
import { movedBy, withSnapshot } from './rollout.ts'

/** The next epoch: another initialiser may take the place of one that never came to an end. */
export function initialise(plan: Plan, node: NodeId, next: Next): Plan | null {
  if (plan.datastore.clusterId !== null || !isServer(plan, node)) return null
  if (plan.act !== null && plan.act.kind !== 'initialise') return null
  const acts = plan.acts + 1
  const datastore = { ...plan.datastore, epoch: plan.datastore.epoch + 1, initialiser: node }
  return next({ acts, act: { kind: 'initialise', node, attempt: acts }, datastore }, node)
}

export function join(plan: Plan, node: NodeId, next: Next): Plan | null {
  const { datastore } = plan
  if (datastore.clusterId === null || plan.act !== null || !isServer(plan, node)) return null
  if (datastore.members.includes(node)) return null
  const acts = plan.acts + 1
  return next({ acts, act: { kind: 'join', node, attempt: acts } }, node)
}

export function endAct(crypto: Crypto, plan: Plan, outcome: Outcome, next: Next): Plan | null {
  const { datastore } = plan
  if (!endsAct(crypto, plan, outcome)) return null
  const rollout = movedBy(plan.rollout, outcome.node)
  switch (outcome.act) {
    case 'initialise': {
      const done = { ...datastore, clusterId: outcome.clusterId, members: [outcome.node] }
      return next({ act: null, rollout, datastore: done }, outcome.node, 'initialised')
    }
    case 'join': {
      const joined = {
        ...datastore,
        members: [...datastore.members, outcome.node],
        aborted: datastore.aborted.filter((id) => id !== outcome.node),
      }
      return next({ act: null, rollout, datastore: joined }, outcome.node, 'joined')
    }
    case 'upgrade':
      return next({ act: null, rollout: withSnapshot(rollout) }, outcome.node, 'upgraded')
    default:
      return assertNever(outcome.act)
  }
}

/** The last ones: those of long ago have left nothing any more. */
export const abortedWith = ({ datastore }: Plan, node: NodeId): NodeId[] =>
  [...datastore.aborted.filter((id) => id !== node), node].slice(-ABORTED_MAX)

/** A joiner that keeps failing loses its turn and queues last. */
export function abortJoin(plan: Plan, node: NodeId, attempt: number, next: Next): Plan | null {
  const { act, datastore } = plan
  if (act === null || act.kind !== 'join' || act.node !== node || act.attempt !== attempt) return null
  return next({ act: null, datastore: { ...datastore, aborted: abortedWith(plan, node) } }, node)
}
