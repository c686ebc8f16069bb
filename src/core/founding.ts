/**
 * Founding: how the machines of the first day agree, once and for ever, on the genesis. Single-decree Paxos
 * (Lamport, "Paxos Made Simple") over an open set of known size: DESIGN.md section 7.
 *
 * Decides who stands, what is promised, proposed and accepted, and when acceptances certify a genesis.
 * Rule 1 (one genesis) rests on: any two quorums out of expect + slack identities share a member; a member
 * promises a term to one candidate only, on disk before it says so; a candidate proposes one value per term,
 * and the highest accepted one where its promises name any; acceptors check all of that for themselves.
 */
import { sortedBy } from './codec.ts'
import { acceptanceStatement, foundingQuorum, genesisIdOf } from './genesis.ts'
import { isFresh, type Known, maySign } from './gossip.ts'
import { compareText, type Digest, type Millis, type NodeId, type Term, term } from './ids.ts'
import {
  highestAccepted,
  newGenesis,
  promiseStatement,
  proposalFault,
  proposalStatement,
  provesAccepted,
  validPromise,
} from './proposal.ts'
import type { FoundingPromise, Layer, MessageOf, Proposal } from './protocol.ts'
import type { NodeRecord } from './record.ts'
import type { NodeState } from './state.ts'
import {
  CANDIDATE_RANK_WAIT_MS,
  FOUNDING_BACKOFF_MAX_MS,
  FOUNDING_BACKOFF_MS,
  FOUNDING_GRACE_MS,
  FOUNDING_PATIENCE_MS,
  FOUNDING_RETRY_MS,
  TERM_JUMP_MAX,
} from './timing.ts'
import { after, type Deadline, jitter, log, NEVER, persist, refuse, send, type Turn } from './turn.ts'

type Refusal = MessageOf<'founding.refused'>['reason']

/** A candidacy of this node: lives in memory only, so that a restart never proposes twice in one term. */
interface Candidacy {
  readonly term: Term
  readonly promises: Map<NodeId, FoundingPromise>
  /** Proposals that the promises came with, by genesis ID. */
  readonly proposals: Map<Digest, Proposal>
  /** When the quorum of promises was complete. */
  quorumAt: Millis | null
  proposal: { readonly value: Proposal; readonly id: Digest } | null
  readonly acceptances: Map<NodeId, Uint8Array>
  retryAt: Millis
}

export interface FoundingState {
  candidacy: Candidacy | null
  /** Not before this moment, after a refusal. */
  standAt: Millis
  backoffMs: number
  /** Since when the conditions for standing hold without a break. */
  readySince: Millis | null
  /** Another node's latest sign of a candidacy. */
  othersAt: Millis | null
  /** This very run accepted a genesis: its disk is as old as that at most. */
  hasAccepted: boolean
}

export const startFounding = (now: Millis): FoundingState => ({
  candidacy: null,
  standAt: now,
  backoffMs: FOUNDING_BACKOFF_MS,
  readySince: null,
  othersAt: null,
  hasAccepted: false,
})

/** What stands against founding, as fresh records show it; null where nothing does. */
export function obstacle(state: NodeState, now: Millis): Refusal | null {
  if (state.blocked !== null) return 'blocked'
  if (state.genesisId !== null) return 'formed'
  if (state.settings.pin !== null) return 'pinned'
  if (state.distribution.dataPresent) return 'datastore'
  for (const known of state.gossip.records.values()) {
    const { genesis, datastore } = known.signed.record
    if ((genesis === null && !datastore) || !isFresh(state, known, now)) continue
    return genesis === null ? 'datastore' : 'formed'
  }
  return null
}

/** Fresh machines that expect the same number and could promise, this one included, by rank. */
export function eligibleFounders(state: NodeState, now: Millis): NodeRecord[] {
  const { expect, founders } = state.settings
  const eligible: Known[] = []
  for (const known of state.gossip.records.values()) {
    const { record } = known.signed
    const isEligible =
      (record.id === state.id ? maySign(state) : record.founding) &&
      record.expect === expect &&
      (founders === null || founders.includes(record.id)) &&
      isFresh(state, known, now)
    if (isEligible) eligible.push(known)
  }
  return eligible.sort((a, b) => compareText(a.rank, b.rank)).map((known) => known.signed.record)
}

// --- standing ------------------------------------------------------------------------------------------

export function tickFounding(turn: Turn): void {
  const { state, now } = turn
  const { founding } = state
  // Certified by this very turn: on disk before it is this node's genesis, and never founded beside.
  if (state.durable.genesis !== null) {
    founding.candidacy = null
    return
  }
  if (obstacle(state, now) !== null) {
    founding.candidacy = null
    founding.readySince = null
    return
  }
  if (founding.candidacy !== null) {
    pursue(turn, founding.candidacy)
    return
  }
  const dueAt = standingDue(state, now)
  if (dueAt !== null && now >= dueAt) stand(turn)
}

/** When this node should stand as things are; null while too few machines are in sight. */
function standingDue(state: NodeState, now: Millis): Millis | null {
  const { founding, settings } = state
  const eligible = eligibleFounders(state, now)
  const rank = eligible.findIndex((record) => record.id === state.id)
  const quorum = foundingQuorum(settings.expect)
  if (rank < 0 || eligible.length < quorum || !mayStand(state)) {
    founding.readySince = null
    return null
  }
  // A lone machine cannot tell "all are here" from "none was heard yet": it looks around first.
  const complete = eligible.length >= settings.expect && settings.expect > 1
  const settledAt = complete ? now : state.gossip.newcomerAt + settings.settleMs
  founding.readySince ??= now
  // After a candidate fell silent, too, the ranks go one after the other: else all stand in the same moment.
  const patience = founding.othersAt === null ? 0 : founding.othersAt + FOUNDING_PATIENCE_MS
  const turnAt =
    Math.max(founding.readySince, complete ? 0 : settledAt, patience) + rank * CANDIDATE_RANK_WAIT_MS
  return Math.max(turnAt, settledAt, founding.standAt) as Millis
}

/** Who may never be a server finishes what was accepted, and begins nothing: its own founding could have none. */
const mayStand = ({ claim, durable }: NodeState): boolean =>
  claim.serverPreference !== 'never' || durable.founding.accepted !== null

function stand(turn: Turn): void {
  const { state } = turn
  const { founding, durable } = state
  const next = term(durable.founding.term + 1)
  founding.candidacy = {
    term: next,
    promises: new Map(),
    proposals: new Map(),
    quorumAt: null,
    proposal: null,
    acceptances: new Map(),
    retryAt: turn.now,
  }
  log(turn, 'info', 'founding.candidate', { term: next })
  const promise = makePromise(turn, next, state.id)
  collectPromise(turn, founding.candidacy, promise, durable.founding.accepted)
  pursue(turn, founding.candidacy)
}

/** Asks again whoever has not answered, and moves on when enough have. */
function pursue(turn: Turn, candidacy: Candidacy): void {
  const { state, now } = turn
  const quorum = foundingQuorum(state.settings.expect)
  const known = eligibleFounders(state, now).map((record) => record.id)
  if (candidacy.proposal === null && candidacy.promises.size >= quorum) {
    candidacy.quorumAt ??= now
    const missing = known.filter((id) => !candidacy.promises.has(id))
    if (missing.length === 0 || now >= candidacy.quorumAt + FOUNDING_GRACE_MS) propose(turn, candidacy)
  }
  if (state.durable.genesis !== null || now < candidacy.retryAt) return
  candidacy.retryAt = after(turn, FOUNDING_RETRY_MS)
  for (const id of known) {
    if (candidacy.proposal === null) {
      if (!candidacy.promises.has(id)) {
        send(turn, id, { kind: 'prepare', term: candidacy.term, expect: state.settings.expect })
      }
    } else if (!candidacy.acceptances.has(id)) {
      send(turn, id, { kind: 'propose', term: candidacy.term, proposal: candidacy.proposal.value })
    }
  }
}

function stepBack(turn: Turn): void {
  const { founding } = turn.state
  if (founding.candidacy === null) return
  founding.candidacy = null
  founding.standAt = after(turn, founding.backoffMs + jitter(turn.state, founding.backoffMs))
  founding.backoffMs = Math.min(founding.backoffMs * 2, FOUNDING_BACKOFF_MAX_MS)
}

// --- promising -----------------------------------------------------------------------------------------

/** Promises the term to the candidate: on disk before the promise is known to anyone. */
function makePromise(turn: Turn, promised: Term, candidate: NodeId): FoundingPromise {
  const { state, crypto } = turn
  const { accepted } = state.durable.founding
  const last = accepted?.layers.at(-1)
  const content = {
    node: state.id,
    term: promised,
    candidate,
    expect: state.settings.expect,
    accepted:
      accepted === null || last === undefined
        ? null
        : { term: last.term, genesis: genesisIdOf(crypto, accepted.genesis) },
    claim: state.claim,
  }
  persist(turn, { founding: { ...state.durable.founding, term: promised, candidate } })
  return { ...content, signature: crypto.sign(promiseStatement(state.settings.networkId, content)) }
}

export function handlePrepare(turn: Turn, from: NodeId, message: MessageOf<'prepare'>): void {
  const { state } = turn
  const { founding } = state.durable
  const fault = refusalFor(turn, from, message.term, message.expect)
  if (fault !== null) {
    sendRefusal(turn, from, message.term, fault)
    return
  }
  // The same candidate asking again is answered again, but never once the term has an accepted value:
  // the answer could then no longer be what it was.
  const repeated = message.term === founding.term && founding.candidate === from
  if (message.term <= founding.term && !repeated) {
    sendRefusal(turn, from, message.term, 'term')
    return
  }
  if ((founding.accepted?.layers.at(-1)?.term ?? -1) >= message.term) return
  if (!repeated) stepBack(turn)
  state.founding.othersAt = turn.now
  const { accepted } = founding
  const promise = makePromise(turn, message.term, from)
  send(turn, from, { kind: 'promise', promise, proposal: accepted })
}

function refusalFor(turn: Turn, from: NodeId, asked: Term, expect: number): Refusal | null {
  const { state, now } = turn
  const { founders } = state.settings
  const against = obstacle(state, now)
  if (against !== null) return against
  if (expect !== state.settings.expect) return 'expect'
  if (founders !== null && !founders.includes(from)) return 'not-founder'
  return asked > state.durable.founding.term + TERM_JUMP_MAX ? 'term-jump' : null
}

function sendRefusal(turn: Turn, to: NodeId, asked: Term, reason: Refusal): void {
  const { state } = turn
  log(turn, 'debug', 'founding.refused', { to, reason, term: asked })
  send(turn, to, {
    kind: 'founding.refused',
    term: asked,
    reason,
    promised: state.durable.founding.term,
    expect: state.settings.expect,
  })
}

export function handleRefused(turn: Turn, from: NodeId, message: MessageOf<'founding.refused'>): void {
  const { state } = turn
  const { candidacy } = state.founding
  if (candidacy === null || message.term !== candidacy.term) return
  const promised = state.durable.founding.term
  if (message.reason === 'term' && message.promised >= candidacy.term) {
    // Only an answer makes a candidate rise: its next term goes beyond what the answer showed.
    stepBack(turn)
    if (message.promised > promised && message.promised <= promised + TERM_JUMP_MAX) {
      const raised = { ...state.durable.founding, term: message.promised, candidate: null }
      persist(turn, { founding: raised })
    }
  } else if (message.reason === 'term-jump' && message.promised < candidacy.term) {
    // Too far behind to follow in one step: raised in steps.
    const step = term(Math.min(candidacy.term, message.promised + TERM_JUMP_MAX))
    send(turn, from, { kind: 'prepare', term: step, expect: state.settings.expect })
  }
}

export function handlePromise(turn: Turn, from: NodeId, message: MessageOf<'promise'>): void {
  const { candidacy } = turn.state.founding
  const { promise, proposal } = message
  if (candidacy === null || promise.term !== candidacy.term || candidacy.proposal !== null) return
  if (promise.node !== from || !validPromise(turn, promise, candidacy.term, turn.state.id)) {
    refuse(turn, from, 'promise', 'not a valid promise for this term and candidate')
    return
  }
  if (promise.accepted !== null && !provesAccepted(turn, promise.accepted, proposal)) {
    refuse(turn, from, 'promise', 'names an accepted genesis without proof')
    return
  }
  collectPromise(turn, candidacy, promise, proposal)
  pursue(turn, candidacy)
}

function collectPromise(
  turn: Turn,
  candidacy: Candidacy,
  promise: FoundingPromise,
  proposal: Proposal | null,
): void {
  candidacy.promises.set(promise.node, promise)
  if (promise.accepted !== null && proposal !== null) {
    const known = candidacy.proposals.get(promise.accepted.genesis)
    const newer = (proposal.layers.at(-1)?.term ?? 0) > (known?.layers.at(-1)?.term ?? -1)
    if (newer) candidacy.proposals.set(promise.accepted.genesis, proposal)
  }
  log(turn, 'debug', 'founding.promise', { from: promise.node, term: promise.term })
}

// --- proposing -----------------------------------------------------------------------------------------

function propose(turn: Turn, candidacy: Candidacy): void {
  const { state, crypto } = turn
  const { networkId, expect } = state.settings
  const promises = sortedBy(candidacy.promises.values(), (promise) => promise.node)
  const highest = highestAccepted(promises)
  const adopted = highest === null ? null : candidacy.proposals.get(highest.genesis)
  if (adopted === undefined) return
  const genesis = adopted?.genesis ?? newGenesis(turn, promises)
  const id = genesisIdOf(crypto, genesis)
  const layer: Layer = {
    term: candidacy.term,
    candidate: state.id,
    promises,
    signature: crypto.sign(proposalStatement(networkId, expect, candidacy.term, id)),
  }
  const value: Proposal = { genesis, layers: [...(adopted?.layers ?? []), layer] }
  candidacy.proposal = { value, id }
  candidacy.retryAt = turn.now
  log(turn, 'info', adopted === null ? 'founding.propose' : 'founding.adopt', {
    term: candidacy.term,
    genesis: id,
    members: genesis.members.length,
  })
  accept(turn, candidacy.term, state.id, value)
  collectAcceptance(turn, candidacy, state.id, signAcceptance(turn, candidacy.term, id))
}

// --- accepting -----------------------------------------------------------------------------------------

export function handlePropose(turn: Turn, from: NodeId, message: MessageOf<'propose'>): void {
  const { state } = turn
  const { founding } = state.durable
  const { proposal } = message
  const last = proposal.layers.at(-1)
  const fault = refusalFor(turn, from, message.term, state.settings.expect)
  if (fault !== null) {
    sendRefusal(turn, from, message.term, fault)
    return
  }
  const promisedToAnother = message.term === founding.term && founding.candidate !== from
  if (message.term < founding.term || promisedToAnother) {
    sendRefusal(turn, from, message.term, 'term')
    return
  }
  const id = genesisIdOf(turn.crypto, proposal.genesis)
  const held = founding.accepted
  const again = held !== null && held.layers.at(-1)?.term === message.term
  if (again) {
    // One value per term (rule 2), and the same answer to the same question.
    if (genesisIdOf(turn.crypto, held.genesis) !== id) {
      refuse(turn, from, 'propose', 'a second genesis in one term')
      return
    }
  } else {
    const wrong =
      last?.term !== message.term || last.candidate !== from
        ? 'it is not this candidate’s for this term'
        : proposalFault(turn, proposal)
    if (wrong !== null) {
      refuse(turn, from, 'propose', wrong)
      sendRefusal(turn, from, message.term, 'invalid')
      return
    }
    stepBack(turn)
    accept(turn, message.term, from, proposal)
  }
  state.founding.othersAt = turn.now
  const signature = signAcceptance(turn, message.term, id)
  send(turn, from, {
    kind: 'accepted',
    term: message.term,
    genesis: id,
    acceptance: { node: state.id, signature },
  })
}

function accept(turn: Turn, inTerm: Term, candidate: NodeId, accepted: Proposal): void {
  turn.state.founding.hasAccepted = true
  persist(turn, { founding: { term: inTerm, candidate, accepted } })
}

function signAcceptance(turn: Turn, inTerm: Term, id: Digest): Uint8Array {
  const { networkId, expect } = turn.state.settings
  return turn.crypto.sign(acceptanceStatement(networkId, expect, inTerm, id))
}

export function handleAccepted(turn: Turn, from: NodeId, message: MessageOf<'accepted'>): void {
  const { state } = turn
  const { candidacy } = state.founding
  if (candidacy?.proposal == null || message.term !== candidacy.term) return
  const { networkId, expect } = state.settings
  const bytes = acceptanceStatement(networkId, expect, candidacy.term, candidacy.proposal.id)
  const { node, signature } = message.acceptance
  if (node !== from || !turn.crypto.verify(node, bytes, signature)) {
    refuse(turn, from, 'accepted', 'not signed over the proposed genesis')
    return
  }
  collectAcceptance(turn, candidacy, node, signature)
}

function collectAcceptance(turn: Turn, candidacy: Candidacy, node: NodeId, signature: Uint8Array): void {
  const { state } = turn
  candidacy.acceptances.set(node, signature)
  if (candidacy.proposal === null || candidacy.acceptances.size < foundingQuorum(state.settings.expect))
    return
  const acceptances = sortedBy(candidacy.acceptances, ([id]) => id).map(([id, s]) => ({
    node: id,
    signature: s,
  }))
  turn.state.founding.candidacy = null
  persist(turn, {
    genesis: {
      genesis: candidacy.proposal.value.genesis,
      certificate: { term: candidacy.term, acceptances },
    },
  })
}

/** A moment at which founding wants to act. */
export function foundingDeadlines(state: NodeState, now: Millis): Deadline[] {
  const { candidacy } = state.founding
  if (state.genesisId !== null || obstacle(state, now) !== null) return []
  if (candidacy === null) return [{ at: standingDue(state, now) ?? NEVER, why: 'standing as candidate' }]
  const deadlines = [{ at: candidacy.retryAt, why: 'asking founders again' }]
  if (candidacy.quorumAt !== null && candidacy.proposal === null) {
    deadlines.push({ at: (candidacy.quorumAt + FOUNDING_GRACE_MS) as Millis, why: 'the last founders' })
  }
  return deadlines
}
