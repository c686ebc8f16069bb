/**
 * The leader's part of a rollout: whose turn it is, who is through, and when it halts. Servers one by one and
 * the leader's own last, then agents; each only when binary and images lie ready there, and a server only while
 * the others are a healthy majority (rule 6; every permit asks that again). The leader's k3s is restarted, not
 * its muster: leadership need not change hands for that.
 */
import { factsOf, isAlive } from './beats.ts'
import type { Millis, NodeId } from './ids.ts'
import { type Act, isMajority, nameOf, type Plan } from './plan.ts'
import { isQueued, request } from './replication.ts'
import { agentsLeft, rolloutUnderWay, serversLeft, stepFault, targetOf } from './revisions.ts'
import type { Revision, Rollout } from './rollout.ts'
import type { NodeState } from './state.ts'
import { UPGRADE_DEADLINE_MS, UPGRADE_FAULT_MS } from './timing.ts'
import { log, type Turn } from './turn.ts'

export interface RollingState {
  /** A leader's: since when each node under way has not come through, and since when it tells of a fault. */
  readonly since: Map<NodeId, Millis>
  readonly faulty: Map<NodeId, Millis>
}

export const startRolling = (): RollingState => ({ since: new Map(), faulty: new Map() })

/** Called by the leader while no act is held and no server waits to join. */
export function tickRollout(turn: Turn, plan: Plan): void {
  const rollout = rolloutUnderWay(plan)
  const target = targetOf(plan)
  const { since, faulty } = turn.state.rolling
  if (rollout === null || target === null) {
    since.clear()
    faulty.clear()
    return
  }
  for (const id of since.keys()) if (!rollout.under.includes(id)) since.delete(id)
  if (watchAgents(turn, plan, rollout, target)) return
  if (serversLeft(plan).length === 0 && agentsLeft(plan).length === 0) {
    log(turn, 'info', 'rollout.done', { number: rollout.number })
    request(turn, { kind: 'rolled', number: rollout.number })
    return
  }
  if (rollout.state !== 'running' || haltForUnprepared(turn, plan, rollout)) return
  const left = serversLeft(plan)
  if (left.length > 0) {
    const node = nextServer(turn, plan, rollout)
    if (node !== undefined) request(turn, { kind: 'upgrade', node })
    return
  }
  if (rollout.under.length >= rollout.maxUnavailable) return
  const node = nextAgent(turn, plan, rollout)
  if (node !== undefined) request(turn, { kind: 'turn', node })
}

/** Those that answer and have fetched everything; the leader's own last, or another would be without a leader. */
function nextServer(turn: Turn, plan: Plan, rollout: Rollout): NodeId | undefined {
  const { state } = turn
  if (hasUncounted(state, plan)) return undefined
  const left = serversLeft(plan)
  const others = left.filter((id) => id !== state.id)
  const candidates = others.length > 0 ? others : left
  return candidates.find(
    (id) =>
      isPreparedFor(turn, id, rollout.number) && (rollout.acceptDowntime || isSafeWithout(turn, plan, id)),
  )
}

/**
 * Whether the datastore counts a server's vote that the plan does not: its join was given up a moment too early.
 * It runs again when it joins, which it cannot while another holds an act that may wait for its vote.
 */
function hasUncounted(state: NodeState, plan: Plan): boolean {
  // Every member's own word: the picture that is made of them is a heartbeat old.
  const words = plan.datastore.members.flatMap((id) => factsOf(state, id)?.datastore?.members ?? [])
  const voters = words.filter(({ voter }) => voter).map(({ name }) => name)
  return plan.members.some(
    ({ id, name, role }) =>
      role === 'server' && voters.includes(name) && !plan.datastore.members.includes(id),
  )
}

/** Whoever works first: it tells more of what a change does to a node that was well. */
function nextAgent(turn: Turn, plan: Plan, rollout: Rollout): NodeId | undefined {
  const candidates = agentsLeft(plan).filter(
    (id) => !rollout.under.includes(id) && isPreparedFor(turn, id, rollout.number),
  )
  return candidates.find((id) => factsOf(turn.state, id)?.distribution?.ready === true) ?? candidates[0]
}

function isPreparedFor(turn: Turn, node: NodeId, number: number): boolean {
  const { state, now } = turn
  return isAlive(state, node, now) && factsOf(state, node)?.distribution?.prepared === number
}

/** Whether the other servers are a healthy majority, of the voters and of the datastore's members (rule 6). */
function isSafeWithout(turn: Turn, plan: Plan, node: NodeId): boolean {
  const { state, now } = turn
  const well = plan.datastore.members.filter(
    (id) => id !== node && isAlive(state, id, now) && factsOf(state, id)?.datastore?.healthy === true,
  )
  return isMajority(plan.voters, new Set(well)) && well.length * 2 > plan.datastore.members.length
}

/** @returns whether the plan is about to change. */
function watchAgents(turn: Turn, plan: Plan, rollout: Rollout, target: Revision): boolean {
  for (const node of rollout.under) {
    if (isThrough(turn, node, target)) {
      request(turn, { kind: 'turned', node, number: rollout.number })
      return true
    }
    if (rollout.state === 'running' && haltIfFailed(turn, plan, node)) return true
  }
  return false
}

function isThrough(turn: Turn, node: NodeId, { revision, settings }: Revision): boolean {
  const told = factsOf(turn.state, node)?.distribution
  if (told == null || !isAlive(turn.state, node, turn.now)) return false
  return told.ready && told.revision === revision && (settings.version ?? told.version) === told.version
}

/** A server's turn ends with its own signed word only; when that does not come, nobody else gets a turn. */
export function watchUpgrade(turn: Turn, plan: Plan, act: Act): void {
  if (rolloutUnderWay(plan)?.state === 'running') haltIfFailed(turn, plan, act.node)
}

/** A server that joins begins with the new settings: when they do not work there, nobody else gets them. */
export function watchJoiner(turn: Turn, plan: Plan, { node }: Act): void {
  if (rolloutUnderWay(plan)?.state !== 'running') return
  const fault = lastingFault(turn, node)
  if (fault !== null) halt(turn, plan, node, `${nameOf(plan, node)}: ${fault}`)
}

/** @returns whether the rollout is about to halt because of this node. */
function haltIfFailed(turn: Turn, plan: Plan, node: NodeId): boolean {
  const { state, now } = turn
  const { since } = state.rolling
  const began = since.get(node) ?? now
  since.set(node, began)
  const name = nameOf(plan, node)
  const fault = lastingFault(turn, node)
  if (fault !== null) return halt(turn, plan, node, `${name}: ${fault}`)
  if (now - began < UPGRADE_DEADLINE_MS) return false
  const is = isAlive(state, node, now) ? 'not healthy with the new settings' : 'silent'
  return halt(turn, plan, node, `${name} is ${is} after ${UPGRADE_DEADLINE_MS / 60_000} minutes`)
}

/** What keeps a node from even preparing would keep it from changing: nobody is touched then. */
function haltForUnprepared(turn: Turn, plan: Plan, rollout: Rollout): boolean {
  for (const node of [...serversLeft(plan), ...agentsLeft(plan)]) {
    const told = factsOf(turn.state, node)?.distribution
    if (told == null || told.prepared === rollout.number) continue
    const fault = lastingFault(turn, node)
    if (fault !== null) return halt(turn, plan, node, `${nameOf(plan, node)}: ${fault}`)
  }
  return false
}

/** An error that a node has told of without a break: many pass by themselves while something starts. */
function lastingFault(turn: Turn, node: NodeId): string | null {
  const { state, now } = turn
  const { faulty } = state.rolling
  const problem = factsOf(state, node)?.distribution?.problem ?? null
  if (problem === null) {
    faulty.delete(node)
    return null
  }
  const since = faulty.get(node) ?? now
  faulty.set(node, since)
  return now - since < UPGRADE_FAULT_MS ? null : problem
}

function halt(turn: Turn, plan: Plan, node: NodeId, reason: string): boolean {
  const { rollout } = plan
  if (rollout === null || isQueued(turn.state, (what) => what.kind === 'halt')) return false
  log(turn, 'warn', 'rollout.halted', { node, reason })
  request(turn, { kind: 'halt', node, number: rollout.number, reason: reason.slice(0, 512) })
  turn.state.rolling.since.clear()
  turn.state.rolling.faulty.clear()
  return true
}

/** A new leadership counts anew: what its predecessor saw is not its knowledge. */
export function forgetRolling(state: NodeState): void {
  state.rolling.since.clear()
  state.rolling.faulty.clear()
}

/** As {@link stepFault}, of what nodes really run: settings without a version do not say. */
export function runningVersionFault(
  { state, now }: Pick<Turn, 'state' | 'now'>,
  plan: Plan,
  wanted: string | null,
): string | null {
  if (wanted === null || plan.datastore.clusterId === null) return null
  for (const { id, name } of plan.members) {
    const version = isAlive(state, id, now) ? (factsOf(state, id)?.distribution?.version ?? null) : null
    const fault = version === null ? null : stepFault(version, wanted)
    if (fault !== null) return `${name}: ${fault}`
  }
  return null
}
