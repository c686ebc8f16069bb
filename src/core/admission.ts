/**
 * Admission: how a machine that came after founding gets in. It asks any server; the leader puts it into the
 * plan as an agent, whatever it claims to be (rule 9). Decides whom to ask and what the leader does.
 */
import { sharePlan } from './certified.ts'
import type { Millis, NodeId } from './ids.ts'
import { memberOf } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import { verifyRecord } from './record.ts'
import { isBusy, isQueued, request } from './replication.ts'
import type { NodeState } from './state.ts'
import { JOIN_RETRY_MS } from './timing.ts'
import { after, type Deadline, log, refuse, send, type Turn } from './turn.ts'
import { certifiedOf, isLeader, isMember, planOf } from './voters.ts'

export interface AdmissionState {
  askAt: Millis
  askNext: number
  /** The last answer, for status. */
  answer: MessageOf<'join.answer'>['state'] | null
  lookupAt: Millis
  /** When who is out and goes on talking is told so again. */
  readonly toldOut: Map<NodeId, Millis>
}

export const startAdmission = (now: Millis): AdmissionState => ({
  askAt: now,
  askNext: 0,
  answer: null,
  lookupAt: now,
  toldOut: new Map(),
})

/** Asked again this often where no server is connected: a DHT look-up costs some hundred milliseconds of others. */
const LOOKUP_MS = 5_000

export function tickAdmission(turn: Turn): void {
  const { state, now } = turn
  const certified = certifiedOf(state)
  if (certified === null || state.blocked !== null) return
  lookForServers(turn)
  if (isMember(state) || now < state.admission.askAt) return
  const own = state.gossip.records.get(state.id)
  if (own === undefined) return
  state.admission.askAt = after(turn, JOIN_RETRY_MS)
  const { leader } = state.replication
  const voters = certified.plan.voters.filter((id) => state.links.has(id))
  const turnOf = voters[state.admission.askNext % Math.max(1, voters.length)]
  state.admission.askNext += 1
  const asked = leader !== null && state.links.has(leader) ? leader : turnOf
  if (asked === undefined) return
  send(turn, asked, { kind: 'join', era: certified.plan.era, record: own.signed })
}

/** No server connected: dial what their records say, and look in the DHT for who leads. */
function lookForServers(turn: Turn): void {
  const { state, now } = turn
  const certified = certifiedOf(state)
  if (certified === null || state.genesisId === null || now < state.admission.lookupAt) return
  const voters = certified.plan.voters.filter((id) => id !== state.id)
  if (voters.length === 0 || voters.some((id) => state.links.has(id))) return
  state.admission.lookupAt = after(turn, LOOKUP_MS)
  for (const peer of voters) {
    const addresses = state.gossip.records.get(peer)?.signed.record.addresses ?? []
    if (addresses.length > 0) turn.effects.push({ kind: 'dial', peer, addresses })
  }
  turn.effects.push({ kind: 'lookup', genesis: state.genesisId })
}

export function handleJoin(turn: Turn, from: NodeId, message: MessageOf<'join'>): void {
  const { state } = turn
  const plan = planOf(state)
  const { record } = message.record
  if (plan === null || message.era !== state.genesisId) return
  if (record.id !== from || !verifyRecord(turn.crypto, message.record)) {
    refuse(turn, from, 'join', 'the record is not its own')
    return
  }
  const answer = (answered: MessageOf<'join.answer'>['state']): void =>
    send(turn, from, {
      kind: 'join.answer',
      era: plan.era,
      leader: state.replication.leader,
      state: answered,
    })
  if (memberOf(plan, from) !== undefined) {
    const certified = certifiedOf(state)
    if (certified !== null) sharePlan(turn, from, certified.index - 1)
    return
  }
  if (!isLeader(state)) {
    answer('elsewhere')
    return
  }
  if (plan.settings.admission === 'approve') answer('pending')
  else if (plan.members.length >= plan.settings.maxNodes) answer('full')
  else {
    const isKnown = isQueued(state, (what) => what.kind === 'admit' && what.record.record.id === from)
    if (!isKnown && !isBusy(state)) {
      log(turn, 'info', 'node.joining', { id: from, name: record.claim.name })
      request(turn, { kind: 'admit', record: message.record })
    }
    answer('queued')
  }
}

export function handleJoinAnswer(turn: Turn, from: NodeId, message: MessageOf<'join.answer'>): void {
  const { state } = turn
  const plan = planOf(state)
  if (plan === null || message.era !== state.genesisId || !plan.voters.includes(from)) return
  state.admission.answer = message.state
  const { leader } = message
  if (
    message.state !== 'elsewhere' ||
    leader === null ||
    leader === state.id ||
    !plan.voters.includes(leader)
  )
    return
  const own = state.gossip.records.get(state.id)
  const isNew: boolean = !isMember(state)
  if (own !== undefined && isNew && state.links.has(leader)) {
    send(turn, leader, { kind: 'join', era: message.era, record: own.signed })
  } else if (isNew) {
    dialKnown(turn, leader)
  }
}

function dialKnown(turn: Turn, peer: NodeId): void {
  const addresses = turn.state.gossip.records.get(peer)?.signed.record.addresses ?? []
  if (addresses.length > 0) turn.effects.push({ kind: 'dial', peer, addresses })
}

export function admissionDeadlines(state: NodeState): Deadline[] {
  if (certifiedOf(state) === null || state.blocked !== null) return []
  const lookup = { at: state.admission.lookupAt, why: 'looking for servers' }
  const asks = isMember(state) ? [] : [{ at: state.admission.askAt, why: 'asking to join' }]
  const plan = planOf(state)
  const alone = plan?.voters.every((id) => id === state.id || !state.links.has(id)) ?? false
  const others = plan?.voters.some((id) => id !== state.id) ?? false
  return alone && others ? [lookup, ...asks] : asks
}
