/**
 * How certified plans travel and what a newer one changes here: everyone acts on certified plans only, and
 * goes to a higher index only (rule 3). Decides which plans are believed, what becomes of an entry that this
 * voter signed when a newer plan is certified, and when two truths exist (`plan.conflict`).
 */

import { applyCause } from './changes.ts'
import { blockIfOut } from './departure.ts'
import { beginReplication, enterTerm, leaveTermBehind, stepDown } from './election.ts'
import { announce } from './gossip.ts'
import type { NodeId } from './ids.ts'
import { patched, patchTo } from './patch.ts'
import { type CertifiedPlan, memberOf, type Plan, planHashOf, verifyCertifiedPlan } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import { beginRecall, isRecalling, keepSignatures, rememberSigned } from './restored.ts'
import type { Entry } from './state.ts'
import { GOSSIP_FANOUT, PLANS_REMEMBERED } from './timing.ts'
import { log, persist, refuse, send, type Turn } from './turn.ts'
import { certifiedOf, genesisOf, isAfter, isCrowd, isMember, isVoter } from './voters.ts'

export function handlePlanPull(turn: Turn, from: NodeId, message: MessageOf<'plan.pull'>): void {
  const certified = certifiedOf(turn.state)
  if (certified === null || message.era !== turn.state.genesisId || certified.index <= message.index) return
  sharePlan(turn, from, message.index)
}

/**
 * The certified plan for who has the one at this index: in a crowd as a patch, to all but voters. Whole for who
 * asks from the beginning: what it has at its index may be another plan.
 */
export function sharePlan(turn: Turn, to: NodeId, known: number): void {
  const { state, crypto } = turn
  const certified = certifiedOf(state)
  if (certified === null) return
  const { plan, ...proof } = certified
  const base = state.formerPlans.find(({ index }) => index === known && index > 0)
  const isPatched = base !== undefined && isCrowd(plan) && !plan.voters.includes(to)
  const patch = isPatched ? patchTo(crypto, base.plan, base.index, plan) : null
  if (patch === null) send(turn, to, { kind: 'plan.share', certified })
  else send(turn, to, { kind: 'plan.patch', certified: proof, patch })
}

export function handlePlanPatch(turn: Turn, from: NodeId, message: MessageOf<'plan.patch'>): void {
  const own = certifiedOf(turn.state)
  const { certified, patch } = message
  const { era } = patch.rest
  if (own === null || era !== turn.state.genesisId || certified.index <= own.index) return
  if (patch.base === planHashOf(turn.crypto, own.plan)) {
    believe(turn, from, { ...certified, plan: patched(own.plan, patch) })
  } else {
    send(turn, from, { kind: 'plan.pull', era, index: patch.baseIndex === own.index ? 0 : own.index })
  }
}

export function handlePlanShare(turn: Turn, from: NodeId, message: MessageOf<'plan.share'>): void {
  believe(turn, from, message.certified)
}

/** What is proven and newer is acted upon, wherever it came from. */
function believe(turn: Turn, from: NodeId, certified: CertifiedPlan): void {
  const { state, crypto } = turn
  const genesis = genesisOf(state)
  const own = certifiedOf(state)
  if (genesis === null || own === null || state.genesisId === null || certified.index < own.index) return
  const same = planHashOf(crypto, certified.plan) === planHashOf(crypto, own.plan)
  if (certified.index === own.index && same) return
  if (!verifyCertifiedPlan(crypto, genesis, state.genesisId, certified)) {
    refuse(turn, from, 'plan', 'its signatures and chain do not prove it')
    return
  }
  rememberSigned(turn, certified)
  if (state.durable.restored) return
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
export function adoptCertified(turn: Turn, certified: CertifiedPlan): void {
  const { state } = turn
  const { durable, replication } = state
  const { voting } = durable
  const wasVoter = isVoter(state)
  const carried = carryOver(turn, voting.accepted, durable.certified, certified)
  if (carried === 'lost') {
    enterConflict(
      turn,
      `the entry signed at ${voting.accepted?.index} does not continue the plan at ${certified.index}`,
    )
    return
  }
  persist(turn, { certified, voting: { ...voting, accepted: carried } })
  if (durable.certified !== null && isCrowd(certified.plan)) {
    state.formerPlans = [...state.formerPlans, durable.certified].slice(-PLANS_REMEMBERED)
  }
  keepSignatures(turn, certified)
  blockIfOut(turn)
  // A certified plan proves that its term was led: nobody may act in an older one.
  if (certified.term > voting.term) enterTerm(turn, certified.term)
  if (replication.leadership === null) leaveTermBehind(turn, certified.term)
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
  const isAble = isVoter(state) && state.blocked === null && !isRecalling(state)
  // Who votes by others' word alone may have said more than its disk knows.
  if (!wasVoter && isVoter(state)) beginRecall(turn)
  if (replication.role === 'idle' && isAble && !isRecalling(state)) beginReplication(turn, false)
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
