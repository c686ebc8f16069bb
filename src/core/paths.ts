/** Who can be reached over the mesh, by what the host last reported. Decides nothing. */
import { isAlive } from './beats.ts'
import type { Millis, NodeId } from './ids.ts'
import type { MeshFacts } from './orders.ts'
import type { Plan } from './plan.ts'
import type { NodeState } from './state.ts'
import { planOf } from './voters.ts'

/** Members that are alive but that the mesh has no path to. */
export const unreachablePeers = (state: NodeState, now: Millis): Plan['voters'] =>
  (planOf(state)?.members ?? []).map((member) => member.id).filter((id) => isUnreachable(state, id, now))

export const isAnyUnreachable = (state: NodeState, now: Millis): boolean =>
  planOf(state)?.members.some((member) => isUnreachable(state, member.id, now)) ?? false

export const isUnreachable = (state: NodeState, id: NodeId, now: Millis): boolean =>
  id !== state.id && !pathsOf(state.mesh).has(id) && isAlive(state, id, now)

const paths = new WeakMap<MeshFacts, ReadonlySet<NodeId>>()

/** Peers that the mesh has a path to; made once for each report of the host, which is never changed in place. */
function pathsOf(facts: MeshFacts): ReadonlySet<NodeId> {
  const known = paths.get(facts)
  if (known !== undefined) return known
  const reached = new Set(facts.peers.filter(({ path }) => path !== 'none').map(({ id }) => id))
  paths.set(facts, reached)
  return reached
}
