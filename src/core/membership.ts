/**
 * The leader keeps the number of servers (DESIGN.md section 12). Decides when a dead server is replaced, who is
 * promoted, and drives what is done to a server: every step begins only while both quorums, the plan's and the
 * datastore's own, are healthy without it, before and after (rule 6). A server that comes and goes is not dead;
 * where a quorum is lost nothing happens by itself.
 */
import { factsOf, isAlive } from './beats.ts'
import type { Cause } from './causes.ts'
import { isCounted, SERVERS_MAX } from './changes/membership.ts'
import { resign } from './election.ts'
import type { Member } from './genesis.ts'
import { recordOf } from './gossip.ts'
import { compareText, type Millis, type NodeId, type Term, term } from './ids.ts'
import { isLeaving, isServer, memberOf, nameOf, type Plan, type RemoveAct } from './plan.ts'
import { isBusy, isQueued, request } from './replication.ts'
import { byFitness, serverTarget } from './roles.ts'
import { sealServerSecret } from './secrets.ts'
import type { NodeState } from './state.ts'
import { FACTS_REPEAT_MS, GROWING_MS, LEADER_QUORUM_MS, MEMBERSHIP_MS } from './timing.ts'
import { after, type Deadline, log, type Turn } from './turn.ts'
import { certifiedOf, isLeader, planOf } from './voters.ts'

export interface MembershipState {
  /** The leadership that what follows is of: a new leader begins with nothing. */
  term: Term
  lookAt: Millis
  /** After a promotion another one may follow until then, before anything else begins. */
  growingUntil: Millis
  /** Since when each server is silent without a break. */
  readonly silentSince: Map<NodeId, Millis>
  /** Of the act that takes a server out: since when, and whether the datastore was seen to list it. */
  removal: { readonly attempt: number; readonly since: Millis; wasListed: boolean } | null
}

export const startMembership = (now: Millis): MembershipState => ({
  term: term(0),
  lookAt: now,
  growingUntil: now,
  silentSince: new Map(),
  removal: null,
})

export function tickMembership(turn: Turn): void {
  const { state, now } = turn
  const { membership } = state
  const certified = certifiedOf(state)
  if (certified === null || !isLeader(state) || now < membership.lookAt) return
  membership.lookAt = after(turn, MEMBERSHIP_MS)
  if (membership.term !== state.replication.leaderTerm) {
    membership.term = state.replication.leaderTerm
    membership.silentSince.clear()
    membership.removal = null
  }
  const { plan } = certified
  watchServers(turn, plan)
  // Until an entry of its own is certified, a leader does not know what its predecessor began.
  if (certified.term !== membership.term || isQueued(state, ({ kind }) => kind !== 'admit')) return
  if (plan.act === null) {
    membership.removal = null
    keepServers(turn, plan)
  } else if (plan.act.kind === 'remove') {
    driveRemoval(turn, plan, plan.act)
  }
}

function watchServers(turn: Turn, plan: Plan): void {
  const { state, now } = turn
  const { silentSince } = state.membership
  for (const { id, role } of plan.members) {
    if (role !== 'server' || isAlive(state, id, now)) silentSince.delete(id)
    else if (!silentSince.has(id)) silentSince.set(id, now)
  }
  for (const id of silentSince.keys()) if (memberOf(plan, id) === undefined) silentSince.delete(id)
}

function keepServers(turn: Turn, plan: Plan): void {
  const next = nextChange(turn.state, plan, turn.now)
  if (next === null || next.kind === 'wait') return
  if (next.kind !== 'promote') {
    if (next.kind === 'remove') log(turn, 'warn', 'server.removing', { node: next.node, why: next.why })
    request(turn, next)
    return
  }
  const sealed = sealServerSecret(turn, plan, next.spare)
  if (sealed === null) return
  turn.state.membership.growingUntil = after(turn, GROWING_MS)
  request(turn, { kind: 'promote', sealed })
}

type NextChange =
  | Extract<Cause['what'], { kind: 'remove' | 'rename' }>
  | { readonly kind: 'promote'; readonly spare: Member }
  | { readonly kind: 'wait' }

/** One thing at a time, in the order in which it matters; null where all is as it should be, or must wait. */
function nextChange(state: NodeState, plan: Plan, now: Millis): NextChange | null {
  const revoked = plan.departed.find(({ id, why }) => why === 'revoked' && isCounted(plan, id))
  if (revoked !== undefined) {
    const isSafe = removalFault(state, plan, revoked.id, now) === null
    return isSafe ? { kind: 'remove', node: revoked.id, why: 'revoked' } : null
  }
  const renamed = plan.departed.find(({ id, name, successor }) => {
    const isGone = !isCounted(plan, id) && !isListed(state, name)
    const isFree = !plan.members.some((member) => member.name === name)
    return successor !== null && isGone && isFree && memberOf(plan, successor)?.role === 'agent'
  })
  if (renamed?.successor != null) return { kind: 'rename', node: renamed.successor }
  const spares = eligibleSpares(state, plan, now)
  const spare = spares.find(({ id }) => isCaughtUp(state, id, now))
  if (spare !== undefined && wantsAnother(plan, spares.length) && promotionFault(state, plan, now) === null)
    return { kind: 'promote', spare }
  // Whoever is next has to hear of the last promotion first; an even number is no place to stay.
  if (servers(plan).length % 2 === 0 && now < state.membership.growingUntil) return { kind: 'wait' }
  if (spares.length === 0 && !isMoreThanWanted(plan)) return null
  const dead = deadServers(state, plan, now).map(({ id }) => ({
    id,
    fault: removalFault(state, plan, id, now),
  }))
  const first = dead.find(({ fault }) => fault === null)
  if (first !== undefined) return { kind: 'remove', node: first.id, why: 'dead' }
  // What a joiner left behind goes by itself, unless the next one takes its place at once.
  return dead.some(({ fault }) => fault === LEARNER_PENDING) ? { kind: 'wait' } : null
}

/** Whether a lost server's place is about to be filled: while it is, the datastore takes nobody else in. */
export const isReplacing = ({ state, now }: Turn, plan: Plan): boolean =>
  nextChange(state, plan, now) !== null

// --- who is lost, and who may take its place -------------------------------------------------------------

const servers = (plan: Plan): Member[] => plan.members.filter(({ role }) => role === 'server')
const target = (plan: Plan): number => serverTarget(plan.settings.servers, plan.members.length)
const isMoreThanWanted = (plan: Plan): boolean => servers(plan).length > target(plan)

/** An even number of servers survives no more than one less: two are added, or none (1 → 3 goes through 2). */
function wantsAnother(plan: Plan, spares: number): boolean {
  const count = servers(plan).length
  return count < target(plan) && spares >= (count % 2 === 1 ? 2 : 1)
}

/** Silent for the whole of the grace, and for the datastore too. */
export function deadServers(state: NodeState, plan: Plan, now: Millis): Member[] {
  const { replaceAfterMs } = plan.settings
  if (replaceAfterMs === 0) return []
  const healthy = new Set(
    state.beats.view.datastore?.members.filter((member) => member.healthy).map(({ name }) => name),
  )
  return servers(plan).filter(({ id, name }) => {
    const since = state.membership.silentSince.get(id)
    const isCountedOn = plan.datastore.members.includes(id) && healthy.has(name)
    return since !== undefined && now - since >= replaceAfterMs && !isCountedOn
  })
}

/** Agents that may serve, are there and well; the fittest first. */
export function eligibleSpares(state: NodeState, plan: Plan, now: Millis): Member[] {
  const agents = plan.members.filter(
    (member) =>
      member.role === 'agent' &&
      (member.mayServe || plan.settings.promote === 'any') &&
      isWell(state, member.id, now),
  )
  return byFitness(
    agents.flatMap((member) => {
      const claim = recordOf(state, member.id)?.claim
      return claim === undefined || claim.serverPreference === 'never'
        ? []
        : [{ node: member.id, claim, member }]
    }),
  )
    .map(({ member }) => member)
    .sort((a, b) => Number(b.mayServe) - Number(a.mayServe))
}

/** A learner as Raft knows it: it has all that the voters have, and only the vote is new to it. */
export function isCaughtUp(state: NodeState, id: NodeId, now: Millis): boolean {
  return isWell(state, id, now) && state.beats.indexes.get(id) === certifiedOf(state)?.index
}

const isWell = (state: NodeState, id: NodeId, now: Millis): boolean =>
  isAlive(state, id, now) && factsOf(state, id)?.stage === 'ready'

// --- what must be healthy --------------------------------------------------------------------------------

/** Voters that answered this leader lately, itself included. */
const livingVoters = (state: NodeState, plan: Plan, now: Millis): NodeId[] =>
  plan.voters.filter((id) => {
    const at = state.replication.acked.get(id)
    return id === state.id || (at !== undefined && now - at < LEADER_QUORUM_MS)
  })

/**
 * Why no server can be added now; null where one can. The voters there must be a majority of the greater number
 * too, or a newcomer that dies at once would take the cluster with it. The second voter signs first instead.
 */
export function promotionFault(state: NodeState, plan: Plan, now: Millis): string | null {
  const { length } = plan.voters
  if (length >= SERVERS_MAX) return `there are ${SERVERS_MAX} servers already`
  const living = livingVoters(state, plan, now).length
  if (length > 1 && living * 2 <= length + 1) return `only ${living} of ${length} servers answer`
  const isFormed = plan.settings.distribution === 'none' || plan.datastore.clusterId !== null
  return isFormed ? null : 'the datastore is not there yet'
}

const LEARNER_PENDING = 'another member is only just joining the datastore'

/** Why this server cannot be taken out now; null where it can (rule 6). */
export function removalFault(state: NodeState, plan: Plan, id: NodeId, now: Millis): string | null {
  const living = livingVoters(state, plan, now)
  const rest = plan.voters.filter((voter) => voter !== id)
  const livingRest = rest.filter((voter) => living.includes(voter))
  if (rest.length === 0) return 'it is the only server'
  if (plan.voters.includes(id)) {
    if (living.length * 2 <= plan.voters.length || livingRest.length * 2 <= rest.length)
      return `without it only ${livingRest.length} of ${rest.length} servers answer`
  }
  if (!plan.datastore.members.includes(id)) return null
  const { datastore } = state.beats.view
  if (datastore === null || !datastore.healthy) return 'the datastore is not healthy'
  const name = nameOf(plan, id)
  const others = datastore.members.filter((member) => member.name !== name)
  if (others.some(({ voter }) => !voter)) return LEARNER_PENDING
  const healthy = datastore.members.filter((member) => member.healthy).length
  const healthyOthers = others.filter((member) => member.healthy).length
  const isSafe = healthy * 2 > datastore.members.length && healthyOthers * 2 > others.length
  return isSafe
    ? null
    : `without it only ${healthyOthers} of ${others.length} members of the datastore are healthy`
}

// --- what is done to a server ----------------------------------------------------------------------------

const isListed = (state: NodeState, name: string): boolean =>
  state.beats.view.datastore?.members.some((member) => member.name === name) ?? false

/** The driver takes the member out; when nobody's list has it any more, the vote follows. */
function driveRemoval(turn: Turn, plan: Plan, act: RemoveAct): void {
  const { state, now } = turn
  const { membership } = state
  const isMember = (id: NodeId): boolean => plan.datastore.members.includes(id)
  // Only who is in the datastore can take another out of it; and nobody takes itself out.
  const successor = successorOf(state, plan, now, isMember(act.node) ? isMember : () => true)
  if (act.node === state.id || (isMember(act.node) && !isMember(state.id) && successor !== null)) {
    resign(turn, successor)
    return
  }
  const name = nameOf(plan, act.node)
  if (membership.removal?.attempt !== act.attempt)
    membership.removal = { attempt: act.attempt, since: now, wasListed: false }
  const { removal } = membership
  if (!plan.datastore.members.includes(act.node)) {
    if (isQuorumSafe(state, plan, act.node, now) && !isBusy(state))
      request(turn, { kind: 'left', node: act.node, attempt: act.attempt })
    return
  }
  if (isListed(state, name)) removal.wasListed = true
  // What was told before the act began may not know yet that it is a member.
  const isKnown = removal.wasListed || now - removal.since >= 2 * FACTS_REPEAT_MS
  const isGone = state.beats.view.datastore?.healthy === true && !isListed(state, name)
  if (isKnown && isGone) request(turn, { kind: 'datastore-left', node: act.node, attempt: act.attempt })
}

/** An entry that takes a voter out needs a majority of those before and of those after: else it waits. */
function isQuorumSafe(state: NodeState, plan: Plan, id: NodeId, now: Millis): boolean {
  const living = livingVoters(state, plan, now)
  const rest = plan.voters.filter((voter) => voter !== id)
  const livingRest = rest.filter((voter) => living.includes(voter))
  return living.length * 2 > plan.voters.length && livingRest.length * 2 > rest.length
}

/** Who should lead when this leader goes: a server that answers and knows what this one knows. */
function successorOf(
  state: NodeState,
  plan: Plan,
  now: Millis,
  suits: (id: NodeId) => boolean,
): NodeId | null {
  const index = certifiedOf(state)?.index
  const candidates = livingVoters(state, plan, now).filter(
    (id) => id !== state.id && isServer(plan, id) && !isLeaving(plan, id) && suits(id),
  )
  const current = candidates.filter((id) => state.beats.indexes.get(id) === index)
  return [...(current.length > 0 ? current : candidates)].sort(compareText)[0] ?? null
}

export function membershipDeadlines(state: NodeState): Deadline[] {
  if (!isLeader(state) || planOf(state) === null) return []
  return [{ at: state.membership.lookAt, why: 'looking after the servers' }]
}
