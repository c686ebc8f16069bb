/**
 * Who leads: Raft's elections (Ongaro's thesis: pre-vote §9.6, check-quorum and stickiness §6.2). Decides
 * whether to stand, whom this voter votes for, whom it follows, and when a leader is none any more.
 * Rule 2 rests on: a vote is given once per term, on disk before it is said, and to none whose last entry is
 * older; no term is left for a lower one.
 */

import type { Cause } from './causes.ts'
import { sortedBy } from './codec.ts'
import { type Millis, millis, type NodeId, type Term, term } from './ids.ts'
import { voteStatement } from './leader-record.ts'
import { isLeaving, type PlanSignature, type VoterChange } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import { gaveWord, isRecalling, keepVote } from './restored.ts'
import type { Entry, NodeState } from './state.ts'
import {
  ELECTION_BROKEN_JITTER_MS,
  ELECTION_BROKEN_MIN_MS,
  ELECTION_JITTER_MS,
  ELECTION_MIN_MS,
  LEADER_QUORUM_MS,
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
import { agreed, certifiedOf, chainAfter, isAfter, isVoter, lastEntry, votersOf } from './voters.ts'

export interface Offer {
  readonly entry: Entry
  readonly signatures: Map<NodeId, Uint8Array>
  retryAt: Millis
  /** The only voter waits for the second one's signature before it gives its own, until then at most. */
  readonly withdrawAt: Millis | null
}

export interface Leadership {
  readonly since: Millis
  /** Signed votes that made it leader, for the leader record. */
  readonly votes: readonly PlanSignature[]
  /** Changes that wait for the entry under way to be certified. */
  queue: Cause['what'][]
  /** The entry under way; null when the newest is certified. */
  offer: Offer | null
  /** Index of an entry that was withdrawn: another may have signed it, so that it is never used again. */
  burnt: number
  /** The voters that elected it, as any node can check them. */
  readonly chain: readonly VoterChange[]
  heartbeatAt: Millis
  publishAt: Millis
  /** In a crowd the next newcomers are admitted then. */
  admitAt: Millis
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

/** Called when a certified plan is first there, at a start or after founding. */
export function beginReplication(turn: Turn, quickly: boolean): void {
  const { state } = turn
  const { replication } = state
  replication.leaderlessSince = turn.now
  if (!isVoter(state) || state.blocked !== null || isRecalling(state)) {
    replication.role = 'idle'
    return
  }
  replication.role = 'follower'
  replication.electionAt = quickly ? turn.now : electionDue(turn)
}

const electionDue = (turn: Turn): Millis =>
  after(turn, ELECTION_MIN_MS + jitter(turn.state, ELECTION_JITTER_MS))

/** What the time brings to who does not lead: the leader's silence, and the own turn to stand. */
export function tickElection(turn: Turn): void {
  const { state, now } = turn
  const { replication } = state
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

/** A later term was led: whoever led an earlier one must not stand in the way of its leader's first word. */
export function leaveTermBehind(turn: Turn, proven: Term): void {
  const { replication } = turn.state
  if (proven <= replication.leaderTerm) return
  loseLeader(turn)
  replication.leaderTerm = proven
  // An agent asks the servers at once who leads now.
  turn.state.beats.beatAt = turn.now
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
  // Who is on its way out leaves the lead to others, and still votes.
  if (isLeaving(certified.plan, state.id)) return
  if (pre) {
    replication.role = 'pre-candidate'
    replication.votes.set(state.id, new Uint8Array())
  } else {
    replication.role = 'candidate'
    gaveWord(state)
    persist(turn, { voting: { ...durable.voting, term: asked, vote: state.id } })
    const bytes = voteStatement(state.genesisId, asked, state.id)
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
  gaveWord(state)
  if (vote === null) persist(turn, { voting: { ...state.durable.voting, vote: from } })
  replication.electionAt = electionDue(turn)
  const bytes = voteStatement(state.genesisId, message.term, from)
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
    const bytes = voteStatement(message.era, message.term, state.id)
    if (message.signature === null || !crypto.verify(from, bytes, message.signature)) {
      refuse(turn, from, 'vote', 'not signed by the voter')
      return
    }
    replication.votes.set(from, message.signature)
    keepVote(state, from, { term: message.term, candidate: state.id, signature: message.signature })
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
export function enterTerm(turn: Turn, entered: Term): void {
  const { state } = turn
  const { replication } = state
  persist(turn, { voting: { ...state.durable.voting, term: entered, vote: null } })
  if (replication.leadership !== null) stepDown(turn, 'a higher term')
  if (replication.role !== 'idle') replication.role = 'follower'
}

function takeLead(turn: Turn): void {
  const { state, now } = turn
  const { replication } = state
  const certified = certifiedOf(state)
  if (certified === null) return
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
    burnt: 0,
    chain: chainAfter(turn, certified),
    heartbeatAt: now,
    publishAt: now,
    admitAt: now,
  }
  log(turn, 'info', 'leader.elected', { leader: state.id, term: replication.leaderTerm })
}

export function stepDown(turn: Turn, why: string): void {
  const { replication } = turn.state
  log(turn, 'warn', 'leader.stepped-down', { term: replication.leaderTerm, why })
  replication.leadership = null
  replication.leader = null
  replication.leaderlessSince = turn.now
  if (replication.role === 'leader') replication.role = 'follower'
  replication.electionAt = electionDue(turn)
}

/** Leadership transfer (Raft §3.10): the leader goes, and says to all who should stand at once. */
export function resign(turn: Turn, successor: NodeId | null): void {
  const { state } = turn
  if (state.genesisId === null || state.replication.leadership === null) return
  const { leaderTerm } = state.replication
  sendAll(turn, votersOf(state), { kind: 'resign', era: state.genesisId, term: leaderTerm, successor })
  stepDown(turn, 'hands over')
}

export function handleResign(turn: Turn, from: NodeId, message: MessageOf<'resign'>): void {
  const { state } = turn
  const { replication } = state
  const isFollowed = replication.leader === from && replication.leaderTerm === message.term
  if (message.era !== state.genesisId || !isFollowed || replication.role !== 'follower') return
  loseLeader(turn)
  replication.electionAt = message.successor === state.id ? turn.now : electionDue(turn)
}

/** A leader that no majority answers stops calling itself one (check-quorum). */
export function checkQuorum(turn: Turn): void {
  const { state, now } = turn
  const recent = [...state.replication.acked].filter(
    ([id, at]) => id === state.id || now - at < LEADER_QUORUM_MS,
  )
  if (!agreed(state, new Set([state.id, ...recent.map(([id]) => id)]))) stepDown(turn, 'no majority answers')
}

/** Any word of a voter in the leader's term counts for check-quorum. */
export function voterAnswered(turn: Turn, from: NodeId): void {
  const { replication } = turn.state
  const counts = replication.leadership !== null && votersOf(turn.state).includes(from)
  if (counts) replication.acked.set(from, turn.now)
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

/** When a voter next wants to act without a leader's word. */
export function electionDeadlines({ replication }: NodeState): Deadline[] {
  const silence = replication.leader === null ? NEVER : millis(replication.heardLeader + LEADER_QUORUM_MS)
  const election = replication.role === 'idle' ? NEVER : replication.electionAt
  return [
    { at: silence, why: 'the leader is silent' },
    { at: election, why: 'asking for votes' },
  ]
}
