/**
 * Acts: dangerous steps, one at a time, held in the plan from before they begin. Decides when the holder may
 * begin (a majority of the voters signed its permit for this very attempt and run), and what it says at the
 * end. A permit is asked for just before acting, so that an old plan on a sleeping node moves nothing.
 */

import { type Outcome, outcomeStatement } from './causes.ts'
import { type Statement, statement } from './codec.ts'
import type { Digest, Millis, NodeId } from './ids.ts'
import { isMajority, nameOf, type OwnAct, type Plan } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import { isRecalling } from './restored.ts'
import { revisionOf, runsNewest } from './revisions.ts'
import type { NodeState } from './state.ts'
import { PERMIT_RETRY_MS, PERMIT_ROUND_MS } from './timing.ts'
import { after, type Deadline, log, refuse, send, type Turn } from './turn.ts'
import { isVoter, planOf } from './voters.ts'

export interface ActState {
  /** The round of asking that is under way: for which attempt, under which nonce, and who signed. */
  asking: {
    readonly attempt: number
    readonly nonce: string
    readonly until: Millis
    readonly signers: Set<NodeId>
  } | null
  /** Counts rounds of this run, so that no nonce is used twice. */
  rounds: number
  /** The attempt that a majority permitted in this run; null before. */
  permitted: number | null
  askAt: Millis
  /** The signed end of the act that this node holds, until the plan shows it. */
  outcome: Outcome | null
  /** A leader's: since when the current act has made no progress. */
  heldSince: { readonly attempt: number; readonly at: Millis } | null
}

export const startActs = (now: Millis): ActState => ({
  asking: null,
  rounds: 0,
  permitted: null,
  askAt: now,
  outcome: null,
  heldSince: null,
})

/** The act that this node holds, by the certified plan; what is done to it is none of its own. */
export function ownAct(state: NodeState): OwnAct | null {
  const act = planOf(state)?.act ?? null
  return act !== null && act.kind !== 'remove' && act.node === state.id ? act : null
}

export const isPermitted = (state: NodeState): boolean => {
  const act = ownAct(state)
  return act !== null && state.acts.permitted === act.attempt
}

const permitStatement = (era: Digest, act: OwnAct, nonce: string): Statement =>
  statement('permit', era, act.kind, act.node, act.attempt, nonce)

export function tickActs(turn: Turn): void {
  const { state, now } = turn
  const act = ownAct(state)
  const plan = planOf(state)
  const { acts } = state
  if (act === null || plan === null || state.blocked !== null || isRecalling(state)) {
    acts.asking = null
    acts.permitted = null
    acts.outcome = null
    return
  }
  if (acts.outcome !== null && acts.outcome.attempt !== act.attempt) acts.outcome = null
  if (acts.permitted === act.attempt) {
    report(turn, plan, act)
    return
  }
  acts.permitted = null
  if (!isPrepared(state, plan, act)) {
    acts.asking = null
    return
  }
  if (acts.asking === null || acts.asking.attempt !== act.attempt || now >= acts.asking.until) {
    acts.asking = askAnew(turn, act)
    acts.askAt = now
  }
  if (countPermits(turn, plan, act) || now < acts.askAt) return
  acts.askAt = after(turn, PERMIT_RETRY_MS)
  for (const voter of plan.voters) {
    if (acts.asking.signers.has(voter)) continue
    send(turn, voter, {
      kind: 'permit.ask',
      era: plan.era,
      act: act.kind,
      attempt: act.attempt,
      nonce: acts.asking.nonce,
    })
  }
}

/**
 * Permits count only together, and only for a moment: the first voter's word of a minute ago and the last
 * one's of now are no majority of any time, and the act may have been taken away in between.
 */
function askAnew(turn: Turn, act: OwnAct): NonNullable<ActState['asking']> {
  const { state } = turn
  state.acts.rounds += 1
  return {
    attempt: act.attempt,
    nonce: `${state.session}.${state.acts.rounds}`,
    until: after(turn, PERMIT_ROUND_MS),
    signers: new Set(mayPermit(state, act) ? [state.id] : []),
  }
}

/**
 * Whether the holder has all that the act needs, so that nothing is waited for once it began: the binary, and
 * before the first change of a rollout the snapshot of what was before.
 */
function isPrepared(state: NodeState, plan: Plan, act: OwnAct): boolean {
  const { prepared, snapshot } = state.distribution
  if (plan.settings.distribution !== 'k3s') return true
  if (prepared !== revisionOf(plan)) return false
  const wanted = act.kind === 'upgrade' ? (plan.rollout?.snapshot ?? null) : null
  return wanted === null || wanted.taken || snapshot === wanted.name
}

/**
 * A voter permits only what its own newest plan says, signed or certified: any change of it passes a voter. A
 * server is taken down only if each of a majority says that the others are a healthy one without it (rule 6):
 * the holder's own word does not count there, unless a person accepted the downtime.
 */
function mayPermit(state: NodeState, act: OwnAct): boolean {
  if (!isVoter(state) || state.blocked !== null || isRecalling(state)) return false
  const { certified, voting } = state.durable
  const holds = (plan: Plan | undefined): boolean =>
    plan?.act?.kind === act.kind && plan.act.node === act.node && plan.act.attempt === act.attempt
  if (!holds(certified?.plan) || (voting.accepted !== null && !holds(voting.accepted.plan))) return false
  return act.kind !== 'upgrade' || certified === null || mayGoDown(state, certified.plan, act.node)
}

function mayGoDown({ id, distribution: facts }: NodeState, plan: Plan, node: NodeId): boolean {
  if (plan.rollout?.acceptDowntime === true) return true
  if (node === id || !facts.healthy) return false
  if (plan.settings.k3s?.external === true) return true
  const name = nameOf(plan, node)
  const voters = facts.members.filter(({ voter }) => voter)
  return voters.filter((member) => member.healthy && member.name !== name).length * 2 > voters.length
}

export function handlePermitAsk(turn: Turn, from: NodeId, message: MessageOf<'permit.ask'>): void {
  const { state } = turn
  const act: OwnAct = { kind: message.act, node: from, attempt: message.attempt }
  if (message.era !== state.genesisId || !mayPermit(state, act)) {
    log(turn, 'debug', 'permit.refused', { to: from, act: act.kind, attempt: act.attempt })
    return
  }
  const signature = turn.crypto.sign(permitStatement(message.era, act, message.nonce))
  send(turn, from, { ...message, kind: 'permit', signature })
}

export function handlePermit(turn: Turn, from: NodeId, message: MessageOf<'permit'>): void {
  const { state } = turn
  const act = ownAct(state)
  const plan = planOf(state)
  const { asking } = state.acts
  if (act === null || plan === null || asking?.attempt !== message.attempt || act.attempt !== message.attempt)
    return
  // Of an earlier round, of this run or another: it came too late, and that is no fault.
  if (message.nonce !== asking.nonce || turn.now >= asking.until || message.era !== plan.era) return
  const bytes = permitStatement(plan.era, act, message.nonce)
  if (!plan.voters.includes(from) || !turn.crypto.verify(from, bytes, message.signature)) {
    refuse(turn, from, 'permit', 'not a voter’s signature for this attempt')
    return
  }
  asking.signers.add(from)
  countPermits(turn, plan, act)
}

function countPermits(turn: Turn, plan: Plan, act: OwnAct): boolean {
  const { acts } = turn.state
  if (acts.asking === null || !isMajority(plan.voters, acts.asking.signers)) return false
  acts.permitted = act.attempt
  acts.asking = null
  log(turn, 'info', 'act.permitted', { act: act.kind, attempt: act.attempt })
  return true
}

/** The act is done when the facts say so: signed once, told with every beat until the plan shows it. */
function report(turn: Turn, plan: Plan, act: OwnAct): void {
  const { state } = turn
  const { distribution: facts, acts } = state
  const revision = revisionOf(plan)
  if (acts.outcome?.revision === revision || facts.clusterId === null) return
  if (!facts.healthy || !facts.voter || !runsNewest(plan, facts)) return
  if (facts.dataEpoch !== plan.datastore.epoch || facts.dataGenesis !== plan.era) return
  if (act.kind !== 'initialise' && facts.clusterId !== plan.datastore.clusterId) return
  if (act.kind === 'upgrade' && !facts.ready) return
  const content = {
    act: act.kind,
    node: state.id,
    attempt: act.attempt,
    epoch: plan.datastore.epoch,
    clusterId: facts.clusterId,
    revision,
  }
  acts.outcome = { ...content, signature: turn.crypto.sign(outcomeStatement(plan.era, content)) }
  log(turn, 'info', 'act.done', { act: act.kind, attempt: act.attempt })
}

export function actDeadlines(state: NodeState): Deadline[] {
  const act = ownAct(state)
  if (act === null || state.blocked !== null || isRecalling(state)) return []
  const plan = planOf(state)
  if (state.acts.permitted === act.attempt || plan === null || !isPrepared(state, plan, act)) return []
  return [{ at: state.acts.askAt, why: 'asking for permits' }]
}
