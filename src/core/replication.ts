/**
 * How the servers keep the plan: Raft in which every entry is the whole state (Ongaro's thesis: pre-vote §9.6,
 * check-quorum and stickiness §6.2; CASPaxos for the whole-state register). DESIGN.md section 8.
 *
 * An entry is a position (term, index), a certified base, the causes since, and the hash of the plan that
 * they make of the base. A voter computes the same plan before it signs; a majority of signatures over one
 * tuple certifies it; everyone acts on certified plans only.
 * Safety rests on: a vote is given once per term and to none whose last entry is older; an entry is signed in
 * its own term only; a new leader re-issues what it finds signed, in its own term, before anything new; one
 * entry at a time is under way in a term.
 */

import { sortedBy } from './codec.ts'
import type { Genesis } from './genesis.ts'
import { announce } from './gossip.ts'
import { type Millis, millis, type NodeId, type Term, term } from './ids.ts'
import { type LeaderRecord, leaderRecordKey, verifyLeaderRecord, voteStatement } from './leader-record.ts'
import {
  applyCause,
  applyCauses,
  type Cause,
  type CertifiedPlan,
  certifies,
  isMajority,
  memberOf,
  type Plan,
  type PlanSignature,
  planHashOf,
  planStatement,
  verifyCertifiedPlan,
  votersBefore,
} from './plan.ts'
import { CAUSES_MAX, type MessageOf } from './protocol.ts'
import type { Entry, NodeState } from './state.ts'
import {
  ELECTION_BROKEN_JITTER_MS,
  ELECTION_BROKEN_MIN_MS,
  ELECTION_JITTER_MS,
  ELECTION_MIN_MS,
  GOSSIP_FANOUT,
  LEADER_QUORUM_MS,
  PUBLISH_MS,
  PUSH_MAX,
  REPLICATION_RETRY_MS,
  TERM_JUMP_MAX,
} from './timing.ts'
import {
  after,
  type Deadline,
  jitter,
  log,
  NEVER,
  persist,
  refuse,
  send,
  sendAll,
  type Turn,
} from './turn.ts'

interface Leadership {
  readonly since: Millis
  /** Signed votes that made it leader, for the leader record. */
  readonly votes: readonly PlanSignature[]
  /** Changes that wait for the entry under way to be certified. */
  queue: Cause['what'][]
  /** The entry under way; null when the newest is certified. */
  offer: { readonly entry: Entry; readonly signatures: Map<NodeId, Uint8Array>; retryAt: Millis } | null
  heartbeatAt: Millis
  publishAt: Millis
}

export interface ReplicationState {
  /** `idle`: not a voter, or before the genesis. */
  role: 'idle' | 'follower' | 'pre-candidate' | 'candidate' | 'leader'
  /** Leader of `leaderTerm`, as its own word or an answer of a server says. */
  leader: NodeId | null
  leaderTerm: Term
  heardLeader: Millis
  /** When a voter that hears no leader asks for votes. */
  electionAt: Millis
  readonly votes: Map<NodeId, Uint8Array>
  leadership: Leadership | null
  /** Last sign of each voter in this leadership, for check-quorum. */
  readonly acked: Map<NodeId, Millis>
  /** No leader since, for status. */
  leaderlessSince: Millis | null
}

export const startReplication = (now: Millis): ReplicationState => ({
  role: 'idle',
  leader: null,
  leaderTerm: term(0),
  heardLeader: now,
  electionAt: NEVER,
  votes: new Map(),
  leadership: null,
  acked: new Map(),
  leaderlessSince: now,
})

export const certifiedOf = (state: NodeState): CertifiedPlan | null => state.durable.certified
export const genesisOf = (state: NodeState): Genesis | null => state.durable.genesis?.genesis ?? null

/** Sets of voters each of which must agree by majority: the certified ones, and those of an entry under way. */
function electorates(state: NodeState): (readonly NodeId[])[] {
  const { certified, voting } = state.durable
  if (certified === null) return []
  const current = certified.plan.voters
  const next = voting.accepted?.plan.voters
  return next === undefined || sameIds(next, current) ? [current] : [current, next]
}

const sameIds = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i])

const votersOf = (state: NodeState): NodeId[] => [...new Set(electorates(state).flat())]
export const isVoter = (state: NodeState): boolean => votersOf(state).includes(state.id)
const agreed = (state: NodeState, ids: ReadonlySet<NodeId>): boolean =>
  electorates(state).every((voters) => isMajority(voters, ids))

/** Position of the newest entry that this voter signed or knows to be certified: what elections compare. */
function lastEntry(state: NodeState): { readonly term: Term; readonly index: number } {
  const { certified, voting } = state.durable
  const none = { term: term(0), index: -1 }
  const known = certified ?? none
  const { accepted } = voting
  return accepted !== null && isAfter(accepted, known) ? accepted : known
}

interface Position {
  readonly term: number
  readonly index: number
}
const isAfter = (a: Position, b: Position): boolean =>
  a.term > b.term || (a.term === b.term && a.index > b.index)

/** Called when a certified plan is first there, at a start or after founding. */
export function beginReplication(turn: Turn, quickly: boolean): void {
  const { state } = turn
  const { replication } = state
  replication.leaderlessSince = turn.now
  if (!isVoter(state) || state.blocked !== null) {
    replication.role = 'idle'
    return
  }
  replication.role = 'follower'
  replication.electionAt = quickly ? turn.now : electionDue(turn)
}

const electionDue = (turn: Turn): Millis =>
  after(turn, ELECTION_MIN_MS + jitter(turn.state, ELECTION_JITTER_MS))

// --- elections -----------------------------------------------------------------------------------------

export function tickReplication(turn: Turn): void {
  const { state, now } = turn
  const { replication } = state
  const { leadership } = replication
  if (state.blocked !== null) {
    if (leadership !== null) stepDown(turn, 'blocked')
    replication.role = 'idle'
    return
  }
  if (leadership !== null) {
    checkQuorum(turn)
    if (replication.leadership === null) return
    offerNext(turn)
    if (leadership.offer !== null && now >= leadership.offer.retryAt) sendOffer(turn, leadership.offer)
    if (now >= leadership.publishAt) publish(turn, leadership)
    return
  }
  if (replication.leader !== null && now >= replication.heardLeader + LEADER_QUORUM_MS) loseLeader(turn)
  if (replication.role !== 'idle' && now >= replication.electionAt) askForVotes(turn, true)
}

function loseLeader(turn: Turn): void {
  const { replication } = turn.state
  if (replication.leader === null) return
  log(turn, 'warn', 'leader.lost', { leader: replication.leader, term: replication.leaderTerm })
  replication.leader = null
  replication.leaderlessSince = turn.now
}

/** A broken connection to the leader says more than silence: stand soon, unless it comes back first. */
export function leaderDisconnected(turn: Turn, peer: NodeId): void {
  const { state } = turn
  const { replication } = state
  if (replication.leader !== peer || replication.role !== 'follower') return
  const soon = after(turn, ELECTION_BROKEN_MIN_MS + jitter(state, ELECTION_BROKEN_JITTER_MS))
  if (soon < replication.electionAt) replication.electionAt = soon
}

/** A real vote moves the own term; the pre-vote before it moves nothing, so that a cut-off node disturbs nobody. */
function askForVotes(turn: Turn, pre: boolean): void {
  const { state, crypto } = turn
  const { replication, durable } = state
  const certified = certifiedOf(state)
  if (certified === null || state.genesisId === null) return
  const asked = term(durable.voting.term + 1)
  replication.votes.clear()
  replication.electionAt = electionDue(turn)
  if (pre) {
    replication.role = 'pre-candidate'
    replication.votes.set(state.id, new Uint8Array())
  } else {
    replication.role = 'candidate'
    persist(turn, { voting: { ...durable.voting, term: asked, vote: state.id } })
    const bytes = voteStatement(crypto, state.genesisId, certified.plan.voters, asked, state.id)
    replication.votes.set(state.id, crypto.sign(bytes))
    log(turn, 'info', 'election.candidate', { term: asked })
  }
  const last = lastEntry(state)
  sendAll(turn, votersOf(state), {
    kind: 'poll',
    pre,
    era: state.genesisId,
    term: asked,
    lastTerm: last.term,
    lastIndex: last.index,
  })
  countVotes(turn)
}

export function handlePoll(turn: Turn, from: NodeId, message: MessageOf<'poll'>): void {
  const { state, now } = turn
  const { replication } = state
  const certified = certifiedOf(state)
  if (certified === null || state.genesisId === null || message.era !== state.genesisId) return
  if (!votersOf(state).includes(from)) {
    refuse(turn, from, 'poll', 'not a voter')
    return
  }
  if (replication.role === 'idle') return
  const { voting } = state.durable
  const last = lastEntry(state)
  const isBehind = isAfter(last, { term: message.lastTerm, index: message.lastIndex })
  // Who hears a leader elects no other (stickiness): else one flapping node would unseat it again and again.
  const hearsLeader =
    replication.leader !== null &&
    replication.leader !== from &&
    (replication.leader === state.id ||
      (now < replication.heardLeader + ELECTION_MIN_MS && state.links.has(replication.leader)))
  const answer = (granted: boolean, signature: Uint8Array | null = null): void =>
    send(turn, from, {
      kind: 'poll.answer',
      pre: message.pre,
      era: message.era,
      term: granted ? message.term : state.durable.voting.term,
      granted,
      signature,
    })
  if (hearsLeader || message.term > voting.term + TERM_JUMP_MAX) {
    answer(false)
    return
  }
  if (message.pre) {
    answer(message.term > voting.term && !isBehind)
    return
  }
  if (message.term < voting.term) {
    answer(false)
    return
  }
  if (message.term > voting.term) enterTerm(turn, message.term)
  const { vote } = state.durable.voting
  if (isBehind || (vote !== null && vote !== from)) {
    answer(false)
    return
  }
  if (vote === null) persist(turn, { voting: { ...state.durable.voting, vote: from } })
  replication.electionAt = electionDue(turn)
  const bytes = voteStatement(turn.crypto, state.genesisId, certified.plan.voters, message.term, from)
  answer(true, turn.crypto.sign(bytes))
}

export function handlePollAnswer(turn: Turn, from: NodeId, message: MessageOf<'poll.answer'>): void {
  const { state, crypto } = turn
  const { replication, durable } = state
  const certified = certifiedOf(state)
  if (message.era !== state.genesisId || certified === null || !votersOf(state).includes(from)) return
  if (!message.granted) {
    if (message.term > durable.voting.term && message.term <= durable.voting.term + TERM_JUMP_MAX) {
      enterTerm(turn, message.term)
    }
    return
  }
  if (message.pre) {
    if (replication.role !== 'pre-candidate' || message.term !== durable.voting.term + 1) return
    replication.votes.set(from, new Uint8Array())
  } else {
    if (replication.role !== 'candidate' || message.term !== durable.voting.term) return
    const bytes = voteStatement(crypto, message.era, certified.plan.voters, message.term, state.id)
    if (message.signature === null || !crypto.verify(from, bytes, message.signature)) {
      refuse(turn, from, 'vote', 'not signed by the voter')
      return
    }
    replication.votes.set(from, message.signature)
  }
  countVotes(turn)
}

function countVotes(turn: Turn): void {
  const { state } = turn
  const { replication } = state
  if (!agreed(state, new Set(replication.votes.keys()))) return
  if (replication.role === 'pre-candidate') askForVotes(turn, false)
  else if (replication.role === 'candidate') takeLead(turn)
}

/** A higher term makes everyone a follower without a vote in it yet. */
function enterTerm(turn: Turn, entered: Term): void {
  const { state } = turn
  const { replication } = state
  persist(turn, { voting: { ...state.durable.voting, term: entered, vote: null } })
  if (replication.leadership !== null) stepDown(turn, 'a higher term')
  if (replication.role !== 'idle') replication.role = 'follower'
}

function takeLead(turn: Turn): void {
  const { state, now } = turn
  const { replication } = state
  const votes = sortedBy(replication.votes, ([id]) => id).map(([node, signature]) => ({ node, signature }))
  replication.role = 'leader'
  replication.leader = state.id
  replication.leaderTerm = state.durable.voting.term
  replication.leaderlessSince = null
  replication.acked.clear()
  for (const id of votersOf(state)) replication.acked.set(id, now)
  replication.leadership = {
    since: now,
    votes,
    queue: [{ kind: 'lead' }],
    offer: null,
    heartbeatAt: now,
    publishAt: now,
  }
  log(turn, 'info', 'leader.elected', { leader: state.id, term: replication.leaderTerm })
  offerNext(turn)
}

function stepDown(turn: Turn, why: string): void {
  const { replication } = turn.state
  log(turn, 'warn', 'leader.stepped-down', { term: replication.leaderTerm, why })
  replication.leadership = null
  replication.leader = null
  replication.leaderlessSince = turn.now
  if (replication.role === 'leader') replication.role = 'follower'
  replication.electionAt = electionDue(turn)
}

/** A leader that no majority answers stops calling itself one (check-quorum). */
function checkQuorum(turn: Turn): void {
  const { state, now } = turn
  const recent = [...state.replication.acked].filter(
    ([id, at]) => id === state.id || now - at < LEADER_QUORUM_MS,
  )
  if (!agreed(state, new Set([state.id, ...recent.map(([id]) => id)]))) stepDown(turn, 'no majority answers')
}

/** Any word of a voter in the leader's term counts for check-quorum. */
export function voterAnswered(turn: Turn, from: NodeId): void {
  const { replication } = turn.state
  if (replication.leadership !== null && replication.acked.has(from)) replication.acked.set(from, turn.now)
}

/**
 * The sender leads in this term: follow it.
 * @returns false where that cannot be: an old term, a second leader of one term, or not a voter.
 */
export function followLeader(turn: Turn, leader: NodeId, inTerm: Term): boolean {
  const { state, now } = turn
  const { replication } = state
  const certified = certifiedOf(state)
  if (certified === null || state.blocked !== null) return false
  if (!votersOf(state).includes(leader)) {
    refuse(turn, leader, 'lead', 'not a voter')
    return false
  }
  const voter = replication.role !== 'idle'
  const known = voter ? state.durable.voting.term : replication.leaderTerm
  if (inTerm < known) {
    if (voter) tellTerm(turn, leader)
    return false
  }
  if (inTerm > known + TERM_JUMP_MAX) return false
  if (inTerm === replication.leaderTerm && replication.leader !== null && replication.leader !== leader) {
    refuse(turn, leader, 'lead', 'a second leader in one term')
    return false
  }
  if (voter && inTerm > known) enterTerm(turn, inTerm)
  if (voter) {
    if (replication.role === 'leader') return false
    replication.role = 'follower'
    replication.electionAt = electionDue(turn)
  }
  if (replication.leader !== leader || replication.leaderTerm !== inTerm) {
    log(turn, 'info', 'leader.followed', { leader, term: inTerm })
  }
  replication.leader = leader
  replication.leaderTerm = inTerm
  replication.heardLeader = now
  replication.leaderlessSince = null
  return true
}

/**
 * Who was overtaken must learn it from everyone, not only from voters that it asks: a voter that stood once in
 * vain is ahead of a leader that all others follow, and could else neither follow it nor replace it (Raft
 * §5.1: a stale leader steps down when an answer names a higher term).
 */
function tellTerm(turn: Turn, to: NodeId): void {
  const { durable, genesisId } = turn.state
  if (genesisId === null) return
  const { term: known } = durable.voting
  send(turn, to, {
    kind: 'poll.answer',
    pre: false,
    era: genesisId,
    term: known,
    granted: false,
    signature: null,
  })
}

// --- entries -------------------------------------------------------------------------------------------

/** Hands a change to the plan; only a leader does anything with it. Equal changes are queued once. */
export function request(turn: Turn, what: Cause['what']): void {
  const { leadership } = turn.state.replication
  if (leadership === null) return
  leadership.queue.push(what)
  offerNext(turn)
}

export const isQueued = (state: NodeState, test: (what: Cause['what']) => boolean): boolean => {
  const { leadership } = state.replication
  if (leadership === null) return false
  return (
    leadership.queue.some(test) || (leadership.offer?.entry.causes.some((cause) => test(cause.what)) ?? false)
  )
}

/** Issues the next entry, when none is under way: first what was signed before, then what is queued. */
function offerNext(turn: Turn): void {
  const { state, crypto, now } = turn
  const { leadership } = state.replication
  const certified = certifiedOf(state)
  if (leadership === null || leadership.offer !== null || certified === null || leadership.queue.length === 0)
    return
  const { voting } = state.durable
  const index = Math.max(certified.index, voting.accepted?.index ?? 0) + 1
  const causes: Cause[] = [...(voting.accepted?.causes ?? [])]
  let plan = voting.accepted?.plan ?? certified.plan
  const at = Math.max(0, Math.round(now + state.wallOffsetMs))
  while (leadership.queue.length > 0 && causes.length < CAUSES_MAX) {
    const what = leadership.queue.shift()
    if (what === undefined) break
    const cause: Cause = { what, by: state.id, term: voting.term, index, at }
    const changed = applyCause(crypto, plan, cause)
    if (changed === null) {
      log(turn, 'debug', 'plan.cause-dropped', { cause: what.kind })
      continue
    }
    plan = changed
    causes.push(cause)
  }
  if (causes.length === (voting.accepted?.causes.length ?? 0) && voting.accepted === null) return
  const entry: Entry = { term: voting.term, index, base: planHashOf(crypto, certified.plan), plan, causes }
  const signature = acceptEntry(turn, entry)
  leadership.offer = { entry, signatures: new Map([[state.id, signature]]), retryAt: now }
  log(turn, 'debug', 'plan.offered', { term: entry.term, index })
  sendOffer(turn, leadership.offer)
  countSignatures(turn)
}

/** Signs an entry: on disk first, and never a different one at its position (rule 2). */
function acceptEntry(turn: Turn, entry: Entry): Uint8Array {
  const { state, crypto } = turn
  persist(turn, { voting: { ...state.durable.voting, accepted: entry } })
  return crypto.sign(entryStatement(turn, entry))
}

function entryStatement(turn: Turn, entry: Entry): Uint8Array {
  const { state, crypto } = turn
  const certified = certifiedOf(state)
  const old = certified?.plan.voters ?? []
  return planStatement(
    crypto,
    entry.plan.era,
    old,
    entry.plan.voters,
    entry,
    planHashOf(crypto, entry.plan),
    entry.base,
  )
}

function sendOffer(turn: Turn, offer: NonNullable<Leadership['offer']>): void {
  const { state, crypto } = turn
  const { entry } = offer
  offer.retryAt = after(turn, REPLICATION_RETRY_MS)
  for (const id of votersOf(state)) {
    if (offer.signatures.has(id)) continue
    send(turn, id, {
      kind: 'offer',
      era: entry.plan.era,
      term: entry.term,
      index: entry.index,
      plan: planHashOf(crypto, entry.plan),
      base: entry.base,
      baseIndex: certifiedOf(state)?.index ?? 0,
      causes: entry.causes,
    })
  }
}

export function handleOffer(turn: Turn, from: NodeId, message: MessageOf<'offer'>): void {
  const { state, crypto } = turn
  if (message.era !== state.genesisId || state.replication.role === 'idle') return
  if (!followLeader(turn, from, message.term)) return
  const certified = certifiedOf(state)
  if (certified === null) return
  if (message.baseIndex > certified.index) {
    send(turn, from, { kind: 'plan.pull', era: message.era, index: certified.index })
    return
  }
  if (message.base !== planHashOf(crypto, certified.plan)) {
    send(turn, from, { kind: 'plan.share', certified })
    return
  }
  const { accepted } = state.durable.voting
  const position = { term: message.term, index: message.index }
  const held = accepted !== null && !isAfter(position, accepted) ? accepted : null
  if (held !== null && (isAfter(held, position) || planHashOf(crypto, held.plan) !== message.plan)) {
    refuse(turn, from, 'offer', 'another entry was signed at this position or after it')
    return
  }
  const plan = held?.plan ?? applyCauses(crypto, certified.plan, message.causes)
  if (plan === null || planHashOf(crypto, plan) !== message.plan || message.index <= certified.index) {
    refuse(turn, from, 'offer', 'its plan does not follow from its base and causes')
    return
  }
  const entry: Entry = held ?? { ...position, base: message.base, plan, causes: message.causes }
  const signature = acceptEntry(turn, entry)
  send(turn, from, {
    kind: 'signed',
    era: message.era,
    term: message.term,
    index: message.index,
    plan: message.plan,
    signature: { node: state.id, signature },
  })
}

export function handleSigned(turn: Turn, from: NodeId, message: MessageOf<'signed'>): void {
  const { state, crypto } = turn
  const offer = state.replication.leadership?.offer
  if (offer == null || message.era !== state.genesisId) return
  const { entry } = offer
  if (message.term !== entry.term || message.index !== entry.index) return
  const { node, signature } = message.signature
  if (
    node !== from ||
    !votersOf(state).includes(from) ||
    !crypto.verify(from, entryStatement(turn, entry), signature)
  ) {
    refuse(turn, from, 'signed', 'not a voter’s signature over the entry')
    return
  }
  voterAnswered(turn, from)
  offer.signatures.set(from, signature)
  countSignatures(turn)
}

function countSignatures(turn: Turn): void {
  const { state } = turn
  const { leadership } = state.replication
  const offer = leadership?.offer
  if (leadership == null || offer == null || !agreed(state, new Set(offer.signatures.keys()))) return
  const { entry } = offer
  const signatures = sortedBy(offer.signatures, ([id]) => id).map(([node, signature]) => ({
    node,
    signature,
  }))
  leadership.offer = null
  const certified = certifyEntry(turn, entry, signatures)
  const { term: inTerm, index } = entry
  const plan = planHashOf(turn.crypto, entry.plan)
  const voters = votersOf(state)
  sendAll(turn, voters, { kind: 'certify', era: entry.plan.era, term: inTerm, index, plan, signatures })
  const others = certified.plan.members.map((member) => member.id).filter((id) => !voters.includes(id))
  const linked = others.filter((id) => state.links.has(id)).slice(0, PUSH_MAX)
  sendAll(turn, linked, { kind: 'plan.share', certified })
  offerNext(turn)
}

function certifyEntry(turn: Turn, entry: Entry, signatures: readonly PlanSignature[]): CertifiedPlan {
  const { state } = turn
  const before = certifiedOf(state)
  const chain = before === null ? [] : chainAfter(turn, before)
  const { plan, base, index } = entry
  const certified: CertifiedPlan = { term: entry.term, index, base, plan, signatures: [...signatures], chain }
  adoptCertified(turn, certified)
  return certified
}

/** The chain of voter changes as the plan after `certified` needs it: with its own change, if it made one. */
function chainAfter(turn: Turn, certified: CertifiedPlan): CertifiedPlan['chain'] {
  const genesis = genesisOf(turn.state)
  if (genesis === null || sameIds(votersBefore(genesis, certified.chain), certified.plan.voters))
    return certified.chain
  return [
    ...certified.chain,
    {
      term: certified.term,
      index: certified.index,
      plan: planHashOf(turn.crypto, certified.plan),
      base: certified.base,
      voters: certified.plan.voters,
      signatures: certified.signatures,
    },
  ]
}

export function handleCertify(turn: Turn, from: NodeId, message: MessageOf<'certify'>): void {
  const { state, crypto } = turn
  const certified = certifiedOf(state)
  if (message.era !== state.genesisId || certified === null || message.index <= certified.index) return
  const { accepted } = state.durable.voting
  const isHeld =
    accepted !== null &&
    accepted.term === message.term &&
    accepted.index === message.index &&
    planHashOf(crypto, accepted.plan) === message.plan
  if (!isHeld) {
    send(turn, from, { kind: 'plan.pull', era: message.era, index: certified.index })
    return
  }
  const { era } = accepted.plan
  const valid = certifies(
    crypto,
    era,
    certified.plan.voters,
    accepted.plan.voters,
    accepted,
    message.plan,
    accepted.base,
    message.signatures,
  )
  if (valid) certifyEntry(turn, accepted, message.signatures)
  else refuse(turn, from, 'certify', 'its signatures do not certify the entry')
}

export function handlePlanPull(turn: Turn, from: NodeId, message: MessageOf<'plan.pull'>): void {
  const certified = certifiedOf(turn.state)
  if (certified === null || message.era !== turn.state.genesisId || certified.index <= message.index) return
  send(turn, from, { kind: 'plan.share', certified })
}

export function handlePlanShare(turn: Turn, from: NodeId, message: MessageOf<'plan.share'>): void {
  const { state, crypto } = turn
  const genesis = genesisOf(state)
  const own = certifiedOf(state)
  const { certified } = message
  if (genesis === null || own === null || state.genesisId === null || certified.index < own.index) return
  const same = planHashOf(crypto, certified.plan) === planHashOf(crypto, own.plan)
  if (certified.index === own.index && same) return
  if (!verifyCertifiedPlan(crypto, genesis, state.genesisId, certified)) {
    refuse(turn, from, 'plan', 'its signatures and chain do not prove it')
    return
  }
  if (certified.index === own.index) {
    enterConflict(turn, `two plans are certified at index ${own.index}`)
    return
  }
  adoptCertified(turn, certified)
  // News from hand to hand; who hears of a certificate from the leader knows that all others do.
  announce(turn, GOSSIP_FANOUT)
}

function enterConflict(turn: Turn, message: string): void {
  if (turn.state.blocked !== null) return
  turn.state.blocked = {
    code: 'plan.conflict',
    message,
    hint: 'a server’s disk was restored or copied: compare `muster history` on all servers before changing anything',
  }
  turn.state.replication.role = 'idle'
  log(turn, 'warn', 'plan.conflict', { message })
}

/** A newer certified plan replaces the old; what was signed but not certified is carried over it or dropped. */
function adoptCertified(turn: Turn, certified: CertifiedPlan): void {
  const { state } = turn
  const { durable, replication } = state
  const { voting } = durable
  const carried = carryOver(turn, voting.accepted, durable.certified, certified)
  if (carried === 'lost') {
    enterConflict(
      turn,
      `the entry signed at ${voting.accepted?.index} does not continue the plan at ${certified.index}`,
    )
    return
  }
  persist(turn, { certified, voting: { ...voting, accepted: carried } })
  // A certified plan proves that its term was led: nobody may act in an older one.
  if (certified.term > voting.term) enterTerm(turn, certified.term)
  if (certified.term > replication.leaderTerm && replication.leadership === null)
    replication.leaderTerm = certified.term
  log(turn, 'info', 'plan.certified', {
    term: certified.term,
    index: certified.index,
    cause: certified.plan.history.at(-1)?.cause ?? null,
  })
  // A new member tells the leader at once that it is there.
  if (
    durable.certified !== null &&
    memberOf(durable.certified.plan, state.id) === undefined &&
    isMember(state)
  )
    state.beats.beatAt = turn.now
  const { leadership } = replication
  if (leadership?.offer != null && leadership.offer.entry.base !== carried?.base) {
    // A voter knew a newer plan than this leader: what was on offer is issued again on top of it.
    const base = certified.plan
    const again = leadership.offer.entry.causes.filter(
      (cause) => applyCause(turn.crypto, base, cause) !== null,
    )
    if (carried === null) leadership.queue.unshift(...again.map((cause) => cause.what))
    leadership.offer = null
  }
  if (replication.role === 'idle' && isVoter(state) && state.blocked === null) beginReplication(turn, false)
  else if (replication.role !== 'idle' && !isVoter(state)) {
    if (replication.leadership !== null) stepDown(turn, 'no longer a voter')
    replication.role = 'idle'
  }
}

/**
 * What becomes of the signed entry when a newer plan is certified. An older one is settled: the certified
 * plan contains or replaced it. A newer one re-issued what is now certified: its remaining causes stay.
 */
function carryOver(
  turn: Turn,
  accepted: Entry | null,
  before: CertifiedPlan | null,
  certified: CertifiedPlan,
): Entry | null | 'lost' {
  if (accepted === null || before === null || !isAfter(accepted, certified)) return null
  const { crypto } = turn
  const target = planHashOf(crypto, certified.plan)
  let plan: Plan | null = before.plan
  for (let i = 0; i <= accepted.causes.length; i++) {
    if (plan === null) break
    if (planHashOf(crypto, plan) === target)
      return { ...accepted, base: target, causes: accepted.causes.slice(i) }
    const cause = accepted.causes[i]
    if (cause !== undefined) plan = applyCause(crypto, plan, cause)
  }
  return 'lost'
}

// --- the leader record ---------------------------------------------------------------------------------

function publish(turn: Turn, leadership: Leadership): void {
  const { state } = turn
  const certified = certifiedOf(state)
  leadership.publishAt = after(turn, PUBLISH_MS)
  if (certified === null || state.genesisId === null) return
  const record: LeaderRecord = {
    era: state.genesisId,
    term: state.replication.leaderTerm,
    leader: state.id,
    addresses: state.addresses.slice(0, 32),
    votes: [...leadership.votes],
    chain: chainAfter(turn, certified),
  }
  turn.effects.push({ kind: 'publish', record })
}

/** Answers of the DHT: whoever was really elected is dialled and asked. */
export function handleLeaderRecords(turn: Turn, records: readonly LeaderRecord[]): void {
  const { state, crypto } = turn
  const genesis = genesisOf(state)
  if (genesis === null || state.genesisId === null) return
  for (const record of records) {
    if (!verifyLeaderRecord(crypto, genesis, state.genesisId, record)) {
      log(turn, 'warn', 'leader-record.refused', { key: leaderRecordKey(record.era), leader: record.leader })
      continue
    }
    if (record.leader === state.id || state.links.has(record.leader)) continue
    log(turn, 'info', 'leader-record.found', { leader: record.leader, term: record.term })
    turn.effects.push({ kind: 'dial', peer: record.leader, addresses: record.addresses })
  }
}

export function replicationDeadlines(state: NodeState): Deadline[] {
  if (state.blocked !== null) return []
  const { replication } = state
  const { leadership } = replication
  if (leadership !== null) {
    // Check-quorum needs no wake-up of its own: every heartbeat looks.
    return [
      { at: leadership.heartbeatAt, why: 'heartbeat' },
      { at: leadership.publishAt, why: 'leader record' },
      { at: leadership.offer?.retryAt ?? NEVER, why: 'offering the entry again' },
    ]
  }
  const silence = replication.leader === null ? NEVER : millis(replication.heardLeader + LEADER_QUORUM_MS)
  const election = replication.role === 'idle' ? NEVER : replication.electionAt
  return [
    { at: silence, why: 'the leader is silent' },
    { at: election, why: 'asking for votes' },
  ]
}

export const isLeader = (state: NodeState): boolean => state.replication.leadership !== null
export const planOf = (state: NodeState): Plan | null => state.durable.certified?.plan ?? null
export const isMember = (state: NodeState): boolean => {
  const plan = planOf(state)
  return plan !== null && memberOf(plan, state.id) !== undefined
}
