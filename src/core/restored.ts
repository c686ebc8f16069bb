/**
 * How a voter finds out that its disk is an old copy (DESIGN.md section 8): somebody shows it its own signature
 * over something later than all that its disk remembers. A voter writes before it signs, so that this never
 * happens to a disk that kept its word.
 *
 * A starting voter therefore asks every member what it holds of this voter's words, and until all have answered,
 * or for {@link RECALL_MS} at most, it neither votes, signs, permits nor starts its datastore: who is not there
 * to contradict permits by silence, so that a site whose power was cut comes back. Later proof stops it still.
 * Decides that a restored voter votes no more and that its datastore stops; a person resets the machine, which
 * then joins as a new one.
 */
import type { Millis, NodeId } from './ids.ts'
import { type LeaderRecord, voteStatement } from './leader-record.ts'
import { type CertifiedPlan, planHashOf, planStatement, votersBefore } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import type { Blocked, Durable, NodeState } from './state.ts'
import { RECALL_MS, RECALL_RETRY_MS } from './timing.ts'
import { after, type Deadline, log, persist, send, type Turn } from './turn.ts'
import { genesisOf, isAfter, isVoter, lastEntry, type Position, planOf } from './voters.ts'

/** A voter's signature over an entry, and over a vote, as whoever holds it can show it. */
export type Entered = NonNullable<MessageOf<'recalled'>['entry']>
export type Voted = NonNullable<MessageOf<'recalled'>['vote']>

export interface RecallState {
  /** What this voter remembered when it started; null once it has given its word in this run. */
  remembered: { readonly last: Position; readonly voting: Durable['voting'] } | null
  /** This run began with a disk that may be older than the voter's words. */
  began: boolean
  /** A starting voter gives no word before this; null when it may. */
  until: Millis | null
  askAt: Millis
  /** Who has told in this run what it holds. */
  readonly told: Set<NodeId>
  /** The latest words of other voters, for those who ask. */
  readonly entries: Map<NodeId, Entered>
  readonly votes: Map<NodeId, Voted>
}

export const startRecall = (now: Millis): RecallState => ({
  remembered: null,
  began: false,
  until: null,
  askAt: now,
  told: new Set(),
  entries: new Map(),
  votes: new Map(),
})

export const RESTORED: Blocked = {
  code: 'state.restored',
  message: 'the state on this disk is an old copy: this server signed what the disk does not remember',
  hint: 'run `muster reset` here: the machine joins again as a new node; where most servers were restored from a backup, compare `muster history` on all of them first',
}

// --- the starting voter --------------------------------------------------------------------------------

/** Whether this voter still waits to hear what it said before it started. */
export const isRecalling = (state: NodeState): boolean => state.recall.until !== null

/** Called when a voter starts with what a disk remembers, or comes late to a cluster that counts on it. */
export function beginRecall(turn: Turn): void {
  const { state, now } = turn
  if (!isVoter(state) || state.blocked !== null) return
  const { recall } = state
  recall.remembered = { last: lastEntry(state), voting: state.durable.voting }
  recall.began = true
  recall.until = after(turn, RECALL_MS)
  recall.askAt = now
}

/** From the first word of this run on, what the disk has now is what counts. */
export function gaveWord({ recall }: NodeState): void {
  recall.remembered = null
}

/** @returns whether the wait is over with this turn: the voter may vote from now on. */
export function tickRecall(turn: Turn): boolean {
  const { state, now } = turn
  const { recall } = state
  if (recall.until === null) return false
  const missing = notTold(state)
  if (missing.length === 0 || now >= recall.until || state.blocked !== null) {
    recall.until = null
    log(turn, 'info', 'voter.recalled', { silent: missing.length })
    return state.blocked === null
  }
  if (now < recall.askAt) return false
  recall.askAt = after(turn, RECALL_RETRY_MS)
  for (const id of missing) if (state.links.has(id)) ask(turn, id)
  return false
}

function notTold(state: NodeState): NodeId[] {
  const members = planOf(state)?.members ?? []
  return members.map(({ id }) => id).filter((id) => id !== state.id && !state.recall.told.has(id))
}

/** Whoever comes within reach is asked, also after the wait. */
export function recallFrom(turn: Turn, peer: NodeId): void {
  const { state } = turn
  if (state.recall.began && state.blocked === null && notTold(state).includes(peer)) ask(turn, peer)
}

function ask(turn: Turn, to: NodeId): void {
  const { genesisId } = turn.state
  if (genesisId !== null) send(turn, to, { kind: 'recall', era: genesisId })
}

export function handleRecalled(turn: Turn, from: NodeId, message: MessageOf<'recalled'>): void {
  const { state, crypto } = turn
  const { entry, vote, era } = message
  if (era !== state.genesisId) return
  if (notTold(state).includes(from)) state.recall.told.add(from)
  const { last, voting } = remembered(state)
  if (entry !== null && isAfter(entry, last)) {
    const bytes = planStatement(crypto, era, entry.before, entry.voters, entry, entry.plan, entry.base)
    if (crypto.verify(state.id, bytes, entry.signature)) {
      findRestored(turn, `the entry ${entry.term}.${entry.index}`)
    }
  }
  if (vote !== null && isForgotten(voting, vote)) {
    const bytes = voteStatement(era, vote.term, vote.candidate)
    if (crypto.verify(state.id, bytes, vote.signature)) findRestored(turn, `the vote in term ${vote.term}`)
  }
}

const remembered = (state: NodeState): NonNullable<RecallState['remembered']> =>
  state.recall.remembered ?? { last: lastEntry(state), voting: state.durable.voting }

const isForgotten = (
  voting: Durable['voting'],
  { term, candidate }: { readonly term: number; readonly candidate: NodeId },
): boolean => term > voting.term || (term === voting.term && voting.vote !== candidate)

// --- the others ----------------------------------------------------------------------------------------

export function handleRecall(turn: Turn, from: NodeId, message: MessageOf<'recall'>): void {
  const { recall, genesisId } = turn.state
  if (genesisId === null || message.era !== genesisId) return
  send(turn, from, {
    kind: 'recalled',
    era: genesisId,
    entry: recall.entries.get(from) ?? null,
    vote: recall.votes.get(from) ?? null,
  })
}

/** @param certified proven: its signatures are kept for those who may have to be reminded of them. */
export function keepSignatures(
  turn: Turn,
  { plan, base, term, index, signatures, chain }: CertifiedPlan,
): void {
  const genesis = genesisOf(turn.state)
  if (genesis === null) return
  const hash = planHashOf(turn.crypto, plan)
  const before = [...votersBefore(genesis, chain)]
  for (const { node, signature } of signatures) {
    keepEntry(turn.state, node, { before, voters: plan.voters, term, index, plan: hash, base, signature })
  }
}

export function keepEntry({ recall, id }: NodeState, node: NodeId, entry: Entered): void {
  const known = recall.entries.get(node)
  if (node !== id && (known === undefined || isAfter(entry, known))) recall.entries.set(node, entry)
}

export function keepVote({ recall }: NodeState, node: NodeId, vote: Voted): void {
  if (vote.term >= (recall.votes.get(node)?.term ?? -1)) recall.votes.set(node, vote)
}

// --- what comes by itself ------------------------------------------------------------------------------

/** @param certified proven by its signatures and chain. */
export function rememberSigned(turn: Turn, certified: CertifiedPlan): void {
  const { state, crypto } = turn
  const genesis = genesisOf(state)
  const own = certified.signatures.find(({ node }) => node === state.id)
  if (genesis === null || own === undefined || !isAfter(certified, remembered(state).last)) return
  const { plan, base, chain } = certified
  const old = votersBefore(genesis, chain)
  const bytes = planStatement(crypto, plan.era, old, plan.voters, certified, planHashOf(crypto, plan), base)
  if (crypto.verify(state.id, bytes, own.signature)) {
    findRestored(turn, `plan ${certified.term}.${certified.index}`)
  }
}

/** @param record proven by its votes. */
export function rememberVote(turn: Turn, record: LeaderRecord): void {
  const { state, crypto } = turn
  const own = record.votes.find(({ node }) => node === state.id)
  const vote = { term: record.term, candidate: record.leader }
  if (own === undefined || !isForgotten(remembered(state).voting, vote)) return
  const bytes = voteStatement(record.era, record.term, record.leader)
  if (crypto.verify(state.id, bytes, own.signature)) findRestored(turn, `the vote in term ${record.term}`)
}

function findRestored(turn: Turn, forgotten: string): void {
  const { state } = turn
  if (state.durable.restored) return
  persist(turn, { restored: true })
  state.blocked ??= RESTORED
  log(turn, 'warn', 'state.restored', { forgotten })
}

export function recallDeadlines({ recall }: NodeState): Deadline[] {
  if (recall.until === null) return []
  return [
    { at: recall.until, why: 'silence permits' },
    { at: recall.askAt, why: 'asking what this voter signed' },
  ]
}
