/**
 * Changes of who serves and who leaves: one voter at a time, one act at a time (rules 3 and 6). A server leaves
 * in three steps: the act `remove` is taken, the datastore's own list has it no more, then it votes no more and
 * leaves the plan in one entry. The revoked leave the plan first, so that nobody serves them meanwhile.
 */
import { sortedBy } from '../codec.ts'
import type { Member, SealedSecret } from '../genesis.ts'
import { compareText, type NodeId } from '../ids.ts'
import {
  DEPARTED_MAX,
  type Departed,
  departedOf,
  memberOf,
  type Next,
  type Plan,
  type RemoveAct,
} from '../plan.ts'
import { withoutNode } from '../rollout.ts'

/** Most servers: what etcd bears. */
export const SERVERS_MAX = 7

/** A spare becomes a server and a voter; it joins the datastore afterwards, in an act of its own. */
export function promote(plan: Plan, sealed: SealedSecret): Partial<Plan> | null {
  const member = memberOf(plan, sealed.node)
  if (plan.act !== null || member?.role !== 'agent' || plan.voters.length >= SERVERS_MAX) return null
  return {
    members: replaced(plan, { ...member, role: 'server', mayServe: true }),
    voters: [...plan.voters, member.id].sort(compareText),
    secrets: [...plan.secrets.filter(({ node }) => node !== member.id), sealed],
  }
}

/** Without a person's word only for who may serve. */
export function promoteSpare(plan: Plan, sealed: SealedSecret, next: Next): Plan | null {
  const mayServe = plan.settings.promote === 'any' || memberOf(plan, sealed.node)?.mayServe === true
  const changes = mayServe ? promote(plan, sealed) : null
  return changes === null ? null : next(changes, sealed.node)
}

/** Whether anything of it is left where servers are counted. */
export const isCounted = (plan: Plan, id: NodeId): boolean =>
  plan.voters.includes(id) || plan.datastore.members.includes(id)

/** The act begins: never the last server's, and never beside another act. */
export function beginRemoval(
  plan: Plan,
  node: NodeId,
  why: RemoveAct['why'],
  successor: NodeId | null,
): Pick<Plan, 'acts' | 'act'> | null {
  const isLast = plan.voters.every((id) => id === node)
  if (plan.act !== null || isLast || !isCounted(plan, node)) return null
  const attempt = plan.acts + 1
  return { acts: attempt, act: { kind: 'remove', node, attempt, why, successor } }
}

/** Of the dead by itself; of the revoked again, where its act was broken. */
export function removeServer(plan: Plan, node: NodeId, why: 'dead' | 'revoked', next: Next): Plan | null {
  const isRevoked = departedOf(plan, node)?.why === 'revoked'
  if ((why === 'revoked') !== isRevoked) return null
  const changes = beginRemoval(plan, node, why, null)
  return changes === null ? null : next(changes, node, why === 'dead' ? 'replace-dead' : 'remove')
}

const removalOf = (plan: Plan, node: NodeId, attempt: number): RemoveAct | null => {
  const { act } = plan
  return act?.kind === 'remove' && act.node === node && act.attempt === attempt ? act : null
}

export function leaveDatastore(plan: Plan, node: NodeId, attempt: number, next: Next): Plan | null {
  const { datastore } = plan
  if (removalOf(plan, node, attempt) === null || !datastore.members.includes(node)) return null
  const without = (ids: readonly NodeId[]): NodeId[] => ids.filter((id) => id !== node)
  const changes = { members: without(datastore.members), aborted: without(datastore.aborted) }
  return next({ datastore: { ...datastore, ...changes } }, node)
}

/** The last step, a change of the voters: signed by a majority of those before and of those after. */
export function leave(plan: Plan, node: NodeId, attempt: number, next: Next): Plan | null {
  const act = removalOf(plan, node, attempt)
  const voters = plan.voters.filter((id) => id !== node)
  if (act === null || voters.length === 0 || plan.datastore.members.includes(node)) return null
  const member = memberOf(plan, node)
  const changes = { act: null, voters }
  const secrets = plan.secrets.filter((secret) => secret.node !== node)
  if (member === undefined) return next({ ...changes, secrets }, node)
  if (act.why === 'demoted') {
    const members = replaced(plan, { ...member, role: 'agent', mayServe: false })
    return next({ ...changes, secrets, members }, node)
  }
  const departed = depart(plan, member, act.why, act.successor)
  return departed === null ? null : next({ ...changes, ...departed }, node)
}

/** Out of the plan, its address with it; null where so many were revoked that none can be forgotten. */
export function depart(
  plan: Plan,
  { id, name, address, role }: Pick<Member, 'id' | 'name' | 'address' | 'role'>,
  why: Departed['why'],
  successor: NodeId | null,
): Pick<Plan, 'members' | 'departed' | 'secrets' | 'rollout'> | null {
  const left: Departed = { id, name, address, why, server: role === 'server', successor }
  const all = [...plan.departed, left]
  const forgotten = all.length > DEPARTED_MAX ? all.find((one) => one.why !== 'revoked') : null
  if (forgotten === undefined) return null
  return {
    members: plan.members.filter((member) => member.id !== id),
    departed: all.filter((one) => one !== forgotten),
    secrets: plan.secrets.filter(({ node }) => node !== id),
    rollout: withoutNode(plan.rollout, id),
  }
}

/** Names that no newcomer gets: those of members, and those that others may still know somebody by. */
export const takenNames = (plan: Plan): Set<string> =>
  new Set([...plan.members, ...plan.departed].map(({ name }) => name))

/** The name passes on once nothing is left of who had it. */
export function rename(plan: Plan, node: NodeId, next: Next): Plan | null {
  const member = memberOf(plan, node)
  const before = plan.departed.findLast(({ successor }) => successor === node)
  if (member?.role !== 'agent' || before === undefined || isCounted(plan, before.id)) return null
  if (plan.members.some(({ name }) => name === before.name)) return null
  const departed = plan.departed.map((left) =>
    left.successor === node ? { ...left, successor: null } : left,
  )
  return next({ members: replaced(plan, { ...member, name: before.name }), departed }, node)
}

export const replaced = (plan: Plan, changed: Member): Member[] =>
  sortedBy(
    plan.members.map((member) => (member.id === changed.id ? changed : member)),
    (member) => member.id,
  )
