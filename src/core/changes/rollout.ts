/**
 * Changes of the plan by a rollout: it begins with new settings, takes one server at a time, then agents, and
 * ends when everyone has them. Every voter computes them again: that the leader's own server is the last, that
 * no agent is before a server, and that nothing goes on in a halted rollout rests on what no voter signs.
 */
import type { NodeId } from '../ids.ts'
import { sameK3s } from '../k3s.ts'
import type { Next, Plan } from '../plan.ts'
import {
  agentsLeft,
  isTargetInUse,
  type K3sChange,
  k3sChangeFault,
  rolloutUnderWay,
  serversLeft,
  targetOf,
} from '../revisions.ts'
import { haltedBy, type Revision, type Rollout } from '../rollout.ts'

/**
 * New settings of k3s, as part of a change of the configuration. An act that is under way for older ones goes
 * on for the new ones, by its holder, with a permit of its own: its server may be down.
 * @returns null where they cannot be rolled out, or differ in nothing.
 */
export function changeK3s(plan: Plan, change: K3sChange): Partial<Plan> | null {
  const target = targetOf(plan)
  if (target === null || k3sChangeFault(plan, change) !== null) return null
  const { settings, acceptDowntime } = change
  if (sameK3s(settings, target.settings)) return null
  const rollout: Rollout = {
    kind: 'distribution',
    number: target.revision + 1,
    state: 'done',
    reason: null,
    acceptDowntime,
    maxUnavailable: 1,
    before: null,
    left: [],
    moved: [],
    under: [],
    snapshot: null,
  }
  const changed = { settings: { ...plan.settings, k3s: settings } }
  // Nothing runs that could be taken down: whoever begins, begins with these.
  if (plan.datastore.clusterId === null) return { ...changed, rollout }
  const held = plan.act?.kind === 'upgrade' ? plan.act : null
  const acts = held === null ? plan.acts : plan.acts + 1
  const inherited = held === null ? null : (plan.rollout?.snapshot ?? null)
  const name = `muster-${rollout.number}-${plan.era.slice(0, 8)}`
  return {
    ...changed,
    acts,
    act: held === null ? plan.act : { ...held, attempt: acts },
    rollout: {
      ...rollout,
      state: 'running',
      ...layersBefore(plan),
      snapshot: settings.external ? null : (inherited ?? { name, taken: false }),
    },
  }
}

/** Who runs what when the next rollout begins. */
function layersBefore(plan: Plan): Pick<Rollout, 'before' | 'left'> {
  const target = targetOf(plan)
  const rollout = rolloutUnderWay(plan)
  if (rollout === null || target === null) return { before: target, left: [] }
  if (!isTargetInUse(plan)) return { before: rollout.before, left: rollout.left }
  const nodes = [...rollout.moved, ...rollout.under]
  if (plan.act?.kind === 'upgrade') nodes.push(plan.act.node)
  return { before: rollout.before, left: withLayer(rollout, target, nodes) }
}

/** These nodes, too, may run these settings from now on, whatever rollouts come. */
function withLayer({ left }: Rollout, target: Revision, nodes: readonly NodeId[]): Rollout['left'] {
  const known = left.find(({ revision }) => revision === target.revision)?.nodes ?? []
  const others = left.filter(({ revision }) => revision !== target.revision)
  return [{ ...target, nodes: [...new Set([...nodes, ...known])] }, ...others]
}

/** A person ends a server's turn: nobody else gets one, and it may have changed already. */
export function breakUpgrade(plan: Plan, node: NodeId, reason: string): Rollout | null {
  const halted = haltedBy(plan.rollout, reason)
  const target = targetOf(plan)
  if (halted === null || halted.before === null || target === null) return halted
  return { ...halted, left: withLayer(halted, target, [node]) }
}

/** A server's turn: held in the plan from before anything of it begins (rule 6). */
export function upgrade(plan: Plan, node: NodeId, by: NodeId, next: Next): Plan | null {
  const rollout = rolloutUnderWay(plan)
  if (rollout?.state !== 'running' || plan.act !== null) return null
  const left = serversLeft(plan)
  if (!left.includes(node) || (node === by && left.length > 1)) return null
  if (plan.datastore.members.length < 3 && !rollout.acceptDowntime) return null
  const acts = plan.acts + 1
  return next({ acts, act: { kind: 'upgrade', node, attempt: acts } }, node)
}

/** What the holder's word that it is healthy with the new settings changes in the rollout. */
export function movedBy(rollout: Rollout | null, node: NodeId): Rollout | null {
  if (rollout === null || rollout.before === null || rollout.moved.includes(node)) return rollout
  return { ...rollout, moved: [...rollout.moved, node] }
}

/** Nobody changes before the snapshot is there, so that the first who did took it. */
export const withSnapshot = (rollout: Rollout | null): Rollout | null =>
  rollout === null || rollout.snapshot === null
    ? rollout
    : { ...rollout, snapshot: { ...rollout.snapshot, taken: true } }

/** An agent's turn, when every server has had its own. */
export function turnAgent(plan: Plan, node: NodeId, next: Next): Plan | null {
  const rollout = rolloutUnderWay(plan)
  if (rollout?.state !== 'running' || serversLeft(plan).length > 0) return null
  if (rollout.under.length >= rollout.maxUnavailable) return null
  if (!agentsLeft(plan).includes(node) || rollout.under.includes(node)) return null
  return next({ rollout: { ...rollout, under: [...rollout.under, node] } }, node)
}

/** The leader saw it healthy with the new settings. Also in a halted rollout: what began may end well. */
export function turnedAgent(plan: Plan, node: NodeId, number: number, next: Next): Plan | null {
  const rollout = rolloutUnderWay(plan)
  if (rollout?.number !== number || !rollout.under.includes(node)) return null
  const under = rollout.under.filter((id) => id !== node)
  return next({ rollout: { ...rollout, under, moved: [...rollout.moved, node] } }, node)
}

export function haltRollout(
  plan: Plan,
  node: NodeId,
  number: number,
  reason: string,
  next: Next,
): Plan | null {
  const rollout = rolloutUnderWay(plan)
  if (rollout?.number !== number || rollout.state !== 'running') return null
  return next({ rollout: { ...rollout, state: 'halted', reason } }, node)
}

/** A person holds it up, or lets it go on, after a failure too. */
export function steerRollout(plan: Plan, to: 'pause' | 'resume'): Pick<Plan, 'rollout'> | null {
  const rollout = rolloutUnderWay(plan)
  if (rollout === null || (rollout.state === 'running') === (to === 'resume')) return null
  return { rollout: { ...rollout, state: to === 'resume' ? 'running' : 'paused', reason: null } }
}

/** Everyone has the new settings, and whoever comes later begins with them. */
export function endRollout(plan: Plan, number: number, next: Next): Plan | null {
  const rollout = rolloutUnderWay(plan)
  if (rollout?.number !== number || plan.act?.kind === 'upgrade') return null
  if (serversLeft(plan).length > 0 || agentsLeft(plan).length > 0) return null
  const done: Rollout = {
    ...rollout,
    state: 'done',
    reason: null,
    before: null,
    left: [],
    moved: [],
    under: [],
  }
  return next({ rollout: done }, null)
}
