/**
 * How the servers keep the plan: Raft in which every entry is the whole state (CASPaxos for the whole-state
 * register; who leads is in election.ts). DESIGN.md section 8.
 *
 * An entry is a position (term, index), a certified base, the causes since, and the hash of the plan that
 * they make of the base. A voter computes the same plan before it signs; a majority of signatures over one
 * tuple certifies it; everyone acts on certified plans only.
 * Safety rests on: an entry is signed in its own term only; a new leader re-issues what it finds signed, in
 * its own term, before anything new; one entry at a time is under way in a term.
 */

import type { Cause } from './causes.ts'
import { adoptCertified, sharePlan } from './certified.ts'
import { applyCause, applyCauses } from './changes.ts'
import { type Statement, sortedBy } from './codec.ts'
import { publish } from './dht.ts'
import {
  beginReplication,
  checkQuorum,
  electionDeadlines,
  enterTerm,
  followLeader,
  type Leadership,
  stepDown,
  tickElection,
  voterAnswered,
} from './election.ts'
import type { NodeId } from './ids.ts'
import { type CertifiedPlan, certifies, type PlanSignature, planHashOf, planStatement } from './plan.ts'
import { CAUSES_MAX, type MessageOf } from './protocol.ts'
import { gaveWord, isRecalling, keepEntry } from './restored.ts'
import type { Entry, NodeState } from './state.ts'
import { ADMIT_PAUSE_MS, CHAIN_MAX, PUSH_MAX, REPLICATION_RETRY_MS, SECOND_VOTER_MS } from './timing.ts'
import { after, type Deadline, log, NEVER, persist, refuse, send, sendAll, type Turn } from './turn.ts'
import { agreed, certifiedOf, chainAfter, isAfter, isCrowd, planOf, sameIds } from './voters.ts'

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
    withdrawUnsigned(turn, leadership)
    if (leadership.offer !== null && now >= leadership.offer.retryAt) sendOffer(turn, leadership.offer)
    if (now >= leadership.publishAt) publish(turn, leadership)
    return
  }
  tickElection(turn)
  // The only voter of a cluster is elected by its own vote.
  offerNext(turn)
}

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

/** So many changes wait already that whoever asks for another may ask again later. */
export const isBusy = (state: NodeState): boolean =>
  (state.replication.leadership?.queue.length ?? 0) >= CAUSES_MAX

/** Issues the next entry, when none is under way: first what was signed before, then what is queued. */
function offerNext(turn: Turn): void {
  const { state, crypto, now } = turn
  const { leadership } = state.replication
  const certified = certifiedOf(state)
  if (leadership === null || leadership.offer !== null || certified === null) return
  const { voting } = state.durable
  if (voting.accepted === null && (leadership.queue.length === 0 || isWaiting(turn, leadership))) return
  const index = Math.max(certified.index, voting.accepted?.index ?? 0, leadership.burnt) + 1
  const causes: Cause[] = [...(voting.accepted?.causes ?? [])]
  let plan = voting.accepted?.plan ?? certified.plan
  const at = Math.max(0, Math.round(now + state.wallOffsetMs))
  while (leadership.queue.length > 0 && causes.length < CAUSES_MAX) {
    const what = leadership.queue[0]
    if (what === undefined) break
    const cause: Cause = { what, by: state.id, term: voting.term, index, at }
    const changed = applyCause(crypto, plan, cause)
    const isVoterChange = changed !== null && !sameIds(changed.voters, plan.voters)
    if (isVoterChange && (causes.length > 0 || !mayChangeVoters(state))) break
    leadership.queue.shift()
    if (changed === null) {
      log(turn, 'debug', 'plan.cause-dropped', { cause: what.kind })
      continue
    }
    plan = changed
    causes.push(cause)
    if (isVoterChange) break
  }
  if (causes.length === 0) return
  const entry: Entry = { term: voting.term, index, base: planHashOf(crypto, certified.plan), plan, causes }
  const isSecond = needsSecondFirst(certified, entry)
  leadership.offer = {
    entry,
    signatures: isSecond ? new Map() : new Map([[state.id, acceptEntry(turn, entry)]]),
    retryAt: now,
    withdrawAt: isSecond ? after(turn, SECOND_VOTER_MS) : null,
  }
  log(turn, 'debug', 'plan.offered', { term: entry.term, index })
  sendOffer(turn, leadership.offer)
  countSignatures(turn)
}

/**
 * No change of the voters begins before the one before it and an entry of the leader's own term are certified
 * (Ongaro's correction of 2015 to Raft §4.3): a deposed leader's change could else come to life beside another.
 */
function mayChangeVoters({ durable }: NodeState): boolean {
  const { certified, voting } = durable
  return (
    certified !== null &&
    voting.accepted === null &&
    certified.term === voting.term &&
    certified.chain.length < CHAIN_MAX
  )
}

/**
 * The only voter signs for a second one last: else it could do nothing any more were the second never to come.
 */
const needsSecondFirst = (certified: CertifiedPlan, { plan }: Entry): boolean =>
  certified.plan.voters.length === 1 && plan.voters.length === 2

/** The second voter did not sign: the only one, which did not either, goes on as if it had never asked. */
function withdrawUnsigned(turn: Turn, leadership: Leadership): void {
  const { offer } = leadership
  if (offer?.withdrawAt == null || turn.now < offer.withdrawAt || offer.signatures.has(turn.state.id)) return
  leadership.burnt = offer.entry.index
  leadership.offer = null
  log(turn, 'info', 'voters.withdrawn', { index: offer.entry.index })
  offerNext(turn)
}

/**
 * Whether causes change the voters as no leader may: by more than one, or begun before an entry of the term in
 * which it was first proposed was certified. Entries that a later leader issues again keep that term.
 */
function voterChangeFault(turn: Turn, certified: CertifiedPlan, causes: readonly Cause[]): boolean {
  let { plan } = certified
  let changes = 0
  for (const cause of causes) {
    const next = applyCause(turn.crypto, plan, cause)
    if (next === null) return true
    if (!sameIds(next.voters, plan.voters)) {
      changes += 1
      if (changes > 1 || cause.term !== certified.term || differing(next.voters, plan.voters) > 1) return true
    }
    plan = next
  }
  return false
}

/** In a crowd newcomers wait for each other; every heartbeat looks whether they waited enough. */
function isWaiting({ state, now }: Turn, { queue, admitAt }: Leadership): boolean {
  const plan = planOf(state)
  return plan !== null && isCrowd(plan) && now < admitAt && queue.every(({ kind }) => kind === 'admit')
}

const differing = (a: readonly NodeId[], b: readonly NodeId[]): number =>
  a.filter((id) => !b.includes(id)).length + b.filter((id) => !a.includes(id)).length

/** Signs an entry: on disk first, and never a different one at its position (rule 2). */
function acceptEntry(turn: Turn, entry: Entry): Uint8Array {
  const { state, crypto } = turn
  gaveWord(state)
  persist(turn, { voting: { ...state.durable.voting, accepted: entry } })
  return crypto.sign(entryStatement(turn, entry))
}

function entryStatement(turn: Turn, entry: Entry): Statement {
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
  for (const id of askedFor(state, entry)) {
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

/** All whose signatures count for the entry: voters before and after it. */
const askedFor = (state: NodeState, { plan }: Entry): NodeId[] => [
  ...new Set([...(certifiedOf(state)?.plan.voters ?? []), ...plan.voters]),
]

export function handleOffer(turn: Turn, from: NodeId, message: MessageOf<'offer'>): void {
  const { state, crypto } = turn
  if (message.era !== state.genesisId || isRecalling(state)) return
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
  if (state.replication.role === 'idle' && !plan.voters.includes(state.id)) return
  if (held === null && voterChangeFault(turn, certified, message.causes)) {
    refuse(turn, from, 'offer', 'it changes the voters out of turn')
    return
  }
  // Its first word as a voter: from now on it may be asked to lead, by those before it and those after.
  if (message.term > state.durable.voting.term) enterTerm(turn, message.term)
  if (message.term < state.durable.voting.term) return
  const entry: Entry = held ?? { ...position, base: message.base, plan, causes: message.causes }
  const signature = acceptEntry(turn, entry)
  if (state.replication.role === 'idle') beginReplication(turn, false)
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
    !askedFor(state, entry).includes(from) ||
    !crypto.verify(from, entryStatement(turn, entry), signature)
  ) {
    refuse(turn, from, 'signed', 'not a voter’s signature over the entry')
    return
  }
  offer.signatures.set(from, signature)
  if (!offer.signatures.has(state.id)) offer.signatures.set(state.id, acceptEntry(turn, entry))
  voterAnswered(turn, from)
  const { base, plan } = entry
  keepEntry(state, from, {
    before: certifiedOf(state)?.plan.voters ?? [],
    voters: plan.voters,
    term: entry.term,
    index: entry.index,
    plan: message.plan,
    base,
    signature,
  })
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
  if (entry.causes.some(({ what }) => what.kind === 'admit')) leadership.admitAt = after(turn, ADMIT_PAUSE_MS)
  const voters = askedFor(state, entry)
  const base = certifiedOf(state)
  const certified = certifyEntry(turn, entry, signatures)
  const { term: inTerm, index } = entry
  const plan = planHashOf(turn.crypto, entry.plan)
  sendAll(turn, voters, { kind: 'certify', era: entry.plan.era, term: inTerm, index, plan, signatures })
  // Who is out with this entry hears of it too.
  const members = new Set([...(base?.plan.members ?? []), ...certified.plan.members].map(({ id }) => id))
  const others = [...members].filter((id) => !voters.includes(id))
  const linked = others.filter((id) => state.links.has(id)).slice(0, PUSH_MAX)
  for (const id of linked) sharePlan(turn, id, base?.index ?? 0)
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

export function replicationDeadlines(state: NodeState): Deadline[] {
  if (state.blocked !== null) return []
  const { leadership } = state.replication
  if (leadership === null) return electionDeadlines(state)
  // Check-quorum needs no wake-up of its own: every heartbeat looks.
  return [
    { at: leadership.heartbeatAt, why: 'heartbeat' },
    { at: leadership.publishAt, why: 'leader record' },
    { at: leadership.offer?.retryAt ?? NEVER, why: 'offering the entry again' },
    { at: leadership.offer?.withdrawAt ?? NEVER, why: 'the second voter is silent' },
  ]
}
