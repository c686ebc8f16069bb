/**
 * The distribution's order: who initialises the datastore, who joins when, through whom. Decides both sides:
 * the leader's next change of the plan, and what this node's own driver is told. Rule 4 (one datastore)
 * rests on: initialising needs an epoch's permit of a majority; only one epoch is ever recorded as done; only
 * its datastore gets joiners; joins go one at a time.
 */

import { isPermitted, ownAct } from './acts.ts'
import { factsOf, isAlive } from './beats.ts'
import { endsAct } from './causes.ts'
import type { Member } from './genesis.ts'
import { assertNever, compareText, type NodeId } from './ids.ts'
import { isReplacing } from './membership.ts'
import type { DatastoreMember, DistributionOrder } from './orders.ts'
import { type Act, departedOf, isLeaving, isServer, memberOf, nameOf, type Plan } from './plan.ts'
import type { Facts } from './protocol.ts'
import { isQueued, request } from './replication.ts'
import { isRecalling } from './restored.ts'
import { hasMoved, revisionFor, revisionsInUse, rolloutUnderWay, targetOf } from './revisions.ts'
import { forgetRolling, tickRollout, watchJoiner, watchUpgrade } from './rolling.ts'
import type { Revision } from './rollout.ts'
import { agentSecretOf, serverSecretOf } from './secrets.ts'
import type { NodeState } from './state.ts'
import { INITIALISE_DEADLINE_MS, JOIN_DEADLINE_MS, K3S_DEADLINE_MS } from './timing.ts'
import { log, type Turn } from './turn.ts'
import { isLeader, mayOrder, planOf } from './voters.ts'

// --- the leader's side ---------------------------------------------------------------------------------

export function tickDistribution(turn: Turn): void {
  const { state } = turn
  const plan = planOf(state)
  if (!isLeader(state)) forgetRolling(state)
  if (plan === null || !isLeader(state) || plan.settings.distribution === 'none') return
  if (isQueued(state, (what) => what.kind !== 'lead' && what.kind !== 'admit')) return
  if (plan.act === null) {
    state.acts.heldSince = null
    if (plan.datastore.clusterId === null) nameInitialiser(turn, plan)
    else if (!isReplacing(turn, plan) && !nameJoiner(turn, plan)) tickRollout(turn, plan)
    return
  }
  watchHolder(turn, plan)
}

/**
 * The servers that are there in turn, so that every one of them gets its chance before the first comes again.
 * @returns whether there is another to name.
 */
function nameInitialiser(turn: Turn, plan: Plan): boolean {
  const last = plan.datastore.initialiser
  const ready = serversReady(turn, plan)
  const next = ready.find((member) => last === null || compareText(member.id, last) > 0) ?? ready[0]
  if (next === undefined || next.id === plan.act?.node) return false
  request(turn, { kind: 'initialise', node: next.id })
  return true
}

/**
 * Whoever the datastore already counts as a voter first: it was given up a moment too early, and while it does
 * not run the datastore may lack its quorum. Then those who never failed, then the longest-waiting.
 * @returns whether somebody waits to join: no server is taken down meanwhile.
 */
function nameJoiner(turn: Turn, plan: Plan): boolean {
  const { members, aborted } = plan.datastore
  const counted = new Set(
    turn.state.beats.view.datastore?.members.filter(({ voter }) => voter).map(({ name }) => name),
  )
  const missing = ({ name }: Member): number => (counted.has(name) ? 0 : 1)
  const waiting = serversReady(turn, plan)
    .filter((member) => !members.includes(member.id))
    .sort(
      (a, b) =>
        missing(a) - missing(b) || aborted.indexOf(a.id) - aborted.indexOf(b.id) || compareText(a.id, b.id),
    )
  const next = waiting[0]
  if (next !== undefined) request(turn, { kind: 'join', node: next.id })
  return next !== undefined
}

function serversReady(turn: Turn, plan: Plan): Member[] {
  const { state, now } = turn
  return plan.members.filter((member) => {
    if (member.role !== 'server' || !isAlive(state, member.id, now)) return false
    const stage = factsOf(state, member.id)?.stage
    if (stage !== 'distributing' && stage !== 'ready') return false
    const target = targetOf(plan)
    return target === null || factsOf(state, member.id)?.distribution?.prepared === target.revision
  })
}

/** An act ends with its holder's signed outcome; a holder that is gone too long loses its turn. */
function watchHolder(turn: Turn, plan: Plan): void {
  const { state, now } = turn
  const { act } = plan
  // What is done to a server is driven by membership.ts: time alone ends it never (rule 6).
  if (act === null || act.kind === 'remove') return
  const outcome = act.node === state.id ? state.acts.outcome : (factsOf(state, act.node)?.outcome ?? null)
  // An outcome that no voter would sign ends nothing, and must not keep the act from being given up.
  if (outcome !== null && endsAct(turn.crypto, plan, outcome)) {
    request(turn, { kind: 'outcome', outcome })
    return
  }
  if (act.kind === 'upgrade') {
    watchUpgrade(turn, plan, act)
    return
  }
  watchJoiner(turn, plan, act)
  const { heldSince } = state.acts
  if (heldSince === null || heldSince.attempt !== act.attempt) {
    state.acts.heldSince = { attempt: act.attempt, at: now }
    return
  }
  if (now - heldSince.at < patienceWith(turn, plan, act)) return
  state.acts.heldSince = null
  switch (act.kind) {
    case 'initialise':
      if (!nameInitialiser(turn, plan)) return
      break
    case 'join':
      request(turn, { kind: 'abort', node: act.node, attempt: act.attempt })
      break
    default:
      assertNever(act.kind)
  }
  log(turn, 'warn', 'act.given-up', { act: act.kind, node: act.node, attempt: act.attempt })
}

/** Whoever is seen at work gets more time than who is not seen at all. */
function patienceWith({ state, now }: Turn, plan: Plan, act: Act): number {
  const deadline = act.kind === 'initialise' ? INITIALISE_DEADLINE_MS : JOIN_DEADLINE_MS
  if (!isAlive(state, act.node, now)) return deadline
  return plan.settings.distribution === 'k3s' ? K3S_DEADLINE_MS : 2 * deadline
}

// --- this node's side ----------------------------------------------------------------------------------

/** What this node's driver should do, by the certified plan; null while the node must not touch anything. */
export function distributionOrder(turn: Turn): DistributionOrder | null {
  const { state } = turn
  const plan = planOf(state)
  if (plan === null || isRecalling(state) || !mayOrder(state)) return null
  const member = memberOf(plan, state.id)
  const self = member ?? departedOf(plan, state.id)
  if (plan.settings.distribution === 'none') return { kind: 'none' }
  if (self === undefined || state.genesisId === null) return null
  const secret = serverSecretOf(turn, plan)
  const members = plan.datastore.members
    .flatMap((id) => memberOf(plan, id) ?? [])
    .filter((m) => m.id !== self.id && !isLeaving(plan, m.id))
  const common = {
    epoch: plan.datastore.epoch,
    genesis: state.genesisId,
    self: asDatastoreMember(self),
    members: members.map(asDatastoreMember),
    clusterId: plan.datastore.clusterId,
    evict: leftoverNames(plan),
  }
  const action = secret === null || state.durable.restored ? 'stop' : actionOf(state, plan)
  const gone = isLeader(state) && action === 'run' ? goneNames(plan) : []
  if (plan.settings.distribution === 'etcd')
    return { kind: 'etcd', ...common, gone, action, secret: secret ?? new Uint8Array() }
  const target = targetOf(plan)
  const revision = ownRevision(state, plan)
  if (target === null || revision === null) return { kind: 'none' }
  const agentSecret = agentSecretOf(turn, plan)
  const mayRun = member !== undefined && plan.datastore.clusterId !== null && agentSecret !== null
  const isServing =
    member === undefined ? departedOf(plan, state.id)?.server === true : member.role === 'server'
  return {
    kind: 'k3s',
    ...common,
    gone,
    role: isServing ? 'server' : 'agent',
    action: isServing ? action : mayRun ? 'run' : 'stop',
    servers: plan.members.filter(({ role }) => role === 'server').map(asDatastoreMember),
    secret,
    agentSecret,
    settings: revision.settings,
    revision: revision.revision,
    version: revision.settings.version,
    prepare: rolloutUnderWay(plan)?.state === 'halted' ? revision : target,
    snapshot: snapshotWanted(state, plan),
  }
}

/**
 * Whose turn it is, or was, gets the newest settings. All others stay with what is on their disk, whatever else
 * the plan would have them run by now: nothing changes here but in its own turn.
 */
function ownRevision(state: NodeState, plan: Plan): Revision | null {
  if (hasMoved(plan, state.id)) return targetOf(plan)
  if (ownAct(state)?.kind === 'upgrade' && isPermitted(state)) return targetOf(plan)
  const { revision: onDisk } = state.distribution
  return revisionsInUse(plan).find(({ revision }) => revision === onDisk) ?? revisionFor(plan, state.id)
}

function snapshotWanted(state: NodeState, plan: Plan): string | null {
  const snapshot = ownAct(state)?.kind === 'upgrade' ? (plan.rollout?.snapshot ?? null) : null
  return snapshot === null || snapshot.taken ? null : snapshot.name
}

function actionOf(state: NodeState, plan: Plan): 'initialise' | 'join' | 'run' | 'stop' {
  const { datastore } = plan
  if (datastore.members.includes(state.id)) return 'run'
  const act = ownAct(state)
  if (act === null || !isPermitted(state)) return 'stop'
  return act.kind === 'upgrade' ? 'run' : act.kind
}

/** Of who failed to join, and left perhaps; never of who bears the name now. */
function leftoverNames(plan: Plan): string[] {
  const isOthers = (id: NodeId, name: string): boolean =>
    plan.members.some((member) => member.name === name && member.id !== id)
  return plan.datastore.aborted.filter((id) => !isOthers(id, nameOf(plan, id))).map((id) => nameOf(plan, id))
}

/**
 * Whoever the distribution is to forget: the act's target, and those who left and may still be in its lists; of
 * agents only k3s has any. Ordered to the leader alone, because a name may pass on to another machine, and who
 * follows may be late.
 */
function goneNames(plan: Plan): string[] {
  const { act } = plan
  const target = act?.kind === 'remove' ? nameOf(plan, act.node) : null
  const hasAgents = plan.settings.distribution === 'k3s'
  const left = plan.departed.filter(
    ({ server, name }) => (server || hasAgents) && !plan.members.some((m) => m.name === name),
  )
  return [...new Set([...(target === null ? [] : [target]), ...left.map(({ name }) => name)])]
}

const asDatastoreMember = ({ id, name, address }: DatastoreMember): DatastoreMember => ({ id, name, address })

/** Whether this node carries out the distribution's part that its role has. */
export function isDistributed(state: NodeState): boolean {
  const plan = planOf(state)
  if (plan === null) return false
  const { healthy, running, ready } = state.distribution
  const isMember = plan.datastore.members.includes(state.id)
  switch (plan.settings.distribution) {
    case 'none':
      return true
    case 'etcd':
      return !isServer(plan, state.id) || (healthy && isMember)
    case 'k3s':
      return running && ready && (!isServer(plan, state.id) || (healthy && isMember))
    default:
      return assertNever(plan.settings.distribution)
  }
}

/** What a rollout must know of this node; null where nothing ever rolls. */
export function rolloutFacts(state: NodeState): Facts['distribution'] {
  if (planOf(state)?.settings.distribution !== 'k3s') return null
  const { version, revision, prepared, ready, problems } = state.distribution
  const error = problems.find(({ severity }) => severity === 'error')
  return { version, revision, prepared, ready, problem: error?.message.slice(0, 400) ?? null }
}

/** What this node is in the plan; null while it is in none. */
export const ownRole = (state: NodeState): Member['role'] | null => {
  const plan = planOf(state)
  return plan === null ? null : (memberOf(plan, state.id)?.role ?? null)
}
