/**
 * Revisions: settings of k3s and their number. Decides which the plan gives to a node while a rollout is under
 * way, and whether a change may be rolled out at all. Reads the plan alone.
 */
import type { NodeId } from './ids.ts'
import { type K3sSettings, k3sVersion, sameK3s } from './k3s.ts'
import type { DistributionFacts } from './orders.ts'
import { isServer, type Plan } from './plan.ts'
import { LEFT_MAX, type Revision, type Rollout } from './rollout.ts'

/** Number of the plan's newest settings. */
export const revisionOf = ({ rollout }: Plan): number => rollout?.number ?? 0

/** The newest settings; null where the distribution has none. */
export const targetOf = (plan: Plan): Revision | null =>
  plan.settings.k3s === null ? null : { revision: revisionOf(plan), settings: plan.settings.k3s }

/** The rollout that is not at its end, whatever holds it up. */
export const rolloutUnderWay = ({ rollout }: Plan): (Rollout & { readonly before: Revision }) | null =>
  rollout === null || rollout.before === null ? null : { ...rollout, before: rollout.before }

/** Whether what runs here was started with the newest settings, and is of their version. */
export function runsNewest(plan: Plan, facts: DistributionFacts): boolean {
  const target = targetOf(plan)
  if (target === null) return true
  const { version } = target.settings
  return facts.revision === target.revision && (version === null || facts.version === version)
}

/** Settings that some node may run. */
export function revisionsInUse(plan: Plan): Revision[] {
  const target = targetOf(plan)
  const rollout = rolloutUnderWay(plan)
  return [
    ...(target === null ? [] : [target]),
    ...(rollout?.left ?? []),
    ...(rollout ? [rollout.before] : []),
  ]
}

/**
 * The settings that the plan gives a node now. A server that is no member of the datastore yet starts with the
 * newest at once: nothing of it is in use, and what keeps it from joining may be what the rollout mends. An
 * agent never does: it may not be newer than a server.
 */
export function revisionFor(plan: Plan, node: NodeId): Revision | null {
  const target = targetOf(plan)
  const rollout = rolloutUnderWay(plan)
  if (target === null || rollout === null || hasMoved(plan, node)) return target
  return rollout.left.find(({ nodes }) => nodes.includes(node)) ?? rollout.before
}

/** Whether the plan gives the node the newest settings, except by an act. */
export function hasMoved(plan: Plan, node: NodeId): boolean {
  const rollout = rolloutUnderWay(plan)
  if (rollout === null || rollout.moved.includes(node) || rollout.under.includes(node)) return true
  return isServer(plan, node) && !plan.datastore.members.includes(node)
}

/** Servers that still have to change: every one of them before the first agent. */
export const serversLeft = (plan: Plan): NodeId[] =>
  plan.datastore.members.filter((id) => !hasMoved(plan, id))

/** Agents that still have to change, those under way included. */
export function agentsLeft(plan: Plan): NodeId[] {
  const rollout = rolloutUnderWay(plan)
  if (rollout === null) return []
  return plan.members
    .filter(({ id, role }) => role === 'agent' && !rollout.moved.includes(id))
    .map(({ id }) => id)
}

/** Without its target a majority of them must be left: of fewer than three there never is (rule 6). */
const LEAST_SERVERS = 3

export interface K3sChange {
  readonly settings: K3sSettings
  readonly acceptDowntime: boolean
}

/** Why these settings cannot be rolled out, for a person; null where they can. Every voter computes the same. */
export function k3sChangeFault(plan: Plan, { settings, acceptDowntime }: K3sChange): string | null {
  const current = plan.settings.k3s
  if (current === null) return `the distribution is ${plan.settings.distribution}, which has no such settings`
  const { clusterId, members } = plan.datastore
  if (clusterId === null) return null
  if (settings.external !== current.external)
    return 'the datastore cannot be moved from or to an external one'
  if (members.length < LEAST_SERVERS && !acceptDowntime && !sameK3s(settings, current)) {
    return `with ${members.length} server${members.length === 1 ? '' : 's'} the API is down while one restarts: accept the downtime, or add servers first`
  }
  const rollout = rolloutUnderWay(plan)
  if (rollout !== null && isTargetInUse(plan) && olderLayers(plan, rollout) >= LEFT_MAX) {
    return `${LEFT_MAX} rollouts came to no end already: let one finish, or remove the nodes that hold it up`
  }
  return settings.version === null ? null : versionFault(plan, settings.version)
}

/** Settings of earlier rollouts that some nodes may run. */
const olderLayers = (plan: Plan, { left }: Rollout): number =>
  left.filter(({ revision }) => revision !== revisionOf(plan)).length

/** Whether some node may run the newest settings: then they are what a later rollout begins with for it. */
export function isTargetInUse(plan: Plan): boolean {
  const rollout = rolloutUnderWay(plan)
  if (rollout === null) return true
  if (rollout.moved.length > 0 || rollout.under.length > 0 || plan.act !== null) return true
  if (rollout.left.some(({ revision }) => revision === rollout.number)) return true
  // Whoever tried to join before may have begun with them.
  return plan.datastore.aborted.some((id) => isServer(plan, id))
}

/** No minor is skipped and none taken back: the datastore's content may have been changed by the newer one. */
function versionFault(plan: Plan, wanted: string): string | null {
  if (k3sVersion(wanted) === null) return `${wanted} is no version of k3s`
  const target = targetOf(plan)
  for (const { revision, settings } of revisionsInUse(plan)) {
    if (revision === target?.revision && !isTargetInUse(plan)) continue
    const fault = settings.version === null ? null : stepFault(settings.version, wanted)
    if (fault !== null) return fault
  }
  return null
}

/** Why one version must not follow the other on a node; what is no version is not compared. */
export function stepFault(before: string, wanted: string): string | null {
  const [from, to] = [k3sVersion(before), k3sVersion(wanted)]
  if (from === null || to === null) return null
  const step = minorStep(from, to)
  if (step > 1)
    return `${wanted} skips a minor version: ${before} runs, and goes to ${from.major}.${from.minor + 1} first`
  if (step < 0)
    return `${wanted} goes back a minor version from ${before}: only a snapshot of before goes back`
  return null
}

/** How many minor versions lie between the two; another major is never one step. */
function minorStep(
  from: { readonly major: number; readonly minor: number },
  to: { readonly major: number; readonly minor: number },
): number {
  if (from.major === to.major) return to.minor - from.minor
  return to.major > from.major ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
}
