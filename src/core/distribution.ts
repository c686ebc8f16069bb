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
import { assertNever, compareText } from './ids.ts'
import type { DatastoreMember, DistributionOrder } from './orders.ts'
import { memberOf, type Plan } from './plan.ts'
import { isQueued, request } from './replication.ts'
import { isRecalling } from './restored.ts'
import type { NodeState } from './state.ts'
import { INITIALISE_DEADLINE_MS, JOIN_DEADLINE_MS } from './timing.ts'
import { log, type Turn } from './turn.ts'
import { isLeader, planOf } from './voters.ts'

// --- the leader's side ---------------------------------------------------------------------------------

export function tickDistribution(turn: Turn): void {
  const { state } = turn
  const plan = planOf(state)
  if (plan === null || !isLeader(state) || plan.settings.distribution === 'none') return
  if (isQueued(state, (what) => what.kind !== 'lead' && what.kind !== 'admit')) return
  if (plan.act === null) {
    state.acts.heldSince = null
    if (plan.datastore.clusterId === null) nameInitialiser(turn, plan)
    else nameJoiner(turn, plan)
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
 */
function nameJoiner(turn: Turn, plan: Plan): void {
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
}

function serversReady(turn: Turn, plan: Plan): Member[] {
  const { state, now } = turn
  return plan.members.filter((member) => {
    if (member.role !== 'server' || !isAlive(state, member.id, now)) return false
    const stage = factsOf(state, member.id)?.stage
    return stage === 'distributing' || stage === 'ready'
  })
}

/** An act ends with its holder's signed outcome; a holder that is gone too long loses its turn. */
function watchHolder(turn: Turn, plan: Plan): void {
  const { state, now } = turn
  const { act } = plan
  if (act === null) return
  const outcome = act.node === state.id ? state.acts.outcome : (factsOf(state, act.node)?.outcome ?? null)
  // An outcome that no voter would sign ends nothing, and must not keep the act from being given up.
  if (outcome !== null && endsAct(turn.crypto, plan, outcome)) {
    request(turn, { kind: 'outcome', outcome })
    return
  }
  const { heldSince } = state.acts
  if (heldSince === null || heldSince.attempt !== act.attempt) {
    state.acts.heldSince = { attempt: act.attempt, at: now }
    return
  }
  const deadline = act.kind === 'initialise' ? INITIALISE_DEADLINE_MS : JOIN_DEADLINE_MS
  // Whoever is seen at work gets twice the time of who is not seen at all.
  const patience = isAlive(state, act.node, now) ? 2 * deadline : deadline
  if (now - heldSince.at < patience) return
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

// --- this node's side ----------------------------------------------------------------------------------

/** What this node's driver should do, by the certified plan; null while the node must not touch anything. */
export function distributionOrder(turn: Turn): DistributionOrder | null {
  const { state } = turn
  const plan = planOf(state)
  if (plan === null || isRecalling(state) || (state.blocked !== null && !state.durable.restored)) return null
  const self = memberOf(plan, state.id)
  if (plan.settings.distribution === 'none') return { kind: 'none' }
  if (self === undefined || state.genesisId === null) return null
  const secret = self.role === 'server' ? serverSecret(turn, plan) : null
  const members = plan.datastore.members
    .flatMap((id) => memberOf(plan, id) ?? [])
    .filter((m) => m.id !== self.id)
  return {
    kind: 'etcd',
    action: secret === null || state.durable.restored ? 'stop' : actionOf(state, plan),
    epoch: plan.datastore.epoch,
    genesis: state.genesisId,
    self: asDatastoreMember(self),
    members: members.map(asDatastoreMember),
    clusterId: plan.datastore.clusterId,
    evict: plan.datastore.aborted.flatMap((id) => memberOf(plan, id)?.name ?? []),
    secret: secret ?? new Uint8Array(),
  }
}

function actionOf(state: NodeState, plan: Plan): 'initialise' | 'join' | 'run' | 'stop' {
  const { datastore } = plan
  if (datastore.members.includes(state.id)) return 'run'
  const act = ownAct(state)
  if (act === null || !isPermitted(state)) return 'stop'
  return act.kind
}

const asDatastoreMember = ({ id, name, address }: Member): DatastoreMember => ({ id, name, address })

function serverSecret(turn: Turn, plan: Plan): Uint8Array | null {
  const sealed = plan.secrets.find((secret) => secret.node === turn.state.id)?.sealed
  return sealed === undefined ? null : turn.crypto.open(`servers ${turn.state.settings.networkId}`, sealed)
}

/** Whether this node carries out the distribution's part that its role has. */
export function isDistributed(state: NodeState): boolean {
  const plan = planOf(state)
  if (plan === null) return false
  const needs = plan.settings.distribution !== 'none' && memberOf(plan, state.id)?.role === 'server'
  return !needs || (state.distribution.healthy && plan.datastore.members.includes(state.id))
}
