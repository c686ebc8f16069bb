/**
 * Beats: how a leader knows who is alive and how everyone else learns it. A node sends its leader a small
 * beat every two seconds, voters answer the leader's heartbeats; what comes back carries term, plan index and
 * what changed in the leader's picture. Decides who is alive; the picture is volatile and never in the plan.
 */

import { sharePlan } from './certified.ts'
import { sortedBy } from './codec.ts'
import { followLeader, voterAnswered } from './election.ts'
import type { Millis, NodeId, Term } from './ids.ts'
import { millis, term } from './ids.ts'
import { memberOf } from './plan.ts'
import {
  type Aliveness,
  type DatastoreView,
  eraTag,
  type Facts,
  type MessageOf,
  type View,
} from './protocol.ts'
import type { NodeState } from './state.ts'
import { BEAT_MS, FACTS_REPEAT_MS, HEARTBEAT_MS, SILENT_MS } from './timing.ts'
import { after, type Deadline, send, type Turn } from './turn.ts'
import { certifiedOf, isLeader, planOf, votersOf } from './voters.ts'

interface Seen extends Aliveness {
  /** Version of the view in which this last changed. */
  readonly version: number
}

export interface BeatState {
  /** The picture of the cluster: a leader's own, or what the leader told. */
  view: {
    readonly term: Term
    version: number
    readonly nodes: Map<NodeId, Seen>
    datastore: DatastoreView | null
    datastoreVersion: number
  }
  /** A leader's: last facts of each node, in this leadership. */
  readonly facts: Map<NodeId, Facts>
  /** A leader's: index of the plan that each node said it has, in this leadership. */
  readonly indexes: Map<NodeId, number>
  /** A leader's: version of the view that each node said it has. */
  readonly seen: Map<NodeId, number>
  beatAt: Millis
  /** Facts as last sent and the leader term that they were sent to, so that only changes travel. */
  sentFacts: string
  sentFactsAt: Millis
  /** What the leader acts upon, as last told: told at once when it changes. */
  sentNews: string
  /** Which server to ask next while no leader is known. */
  askNext: number
}

export const startBeats = (now: Millis): BeatState => ({
  view: { term: term(0), version: 0, nodes: new Map(), datastore: null, datastoreVersion: 0 },
  facts: new Map(),
  indexes: new Map(),
  seen: new Map(),
  beatAt: now,
  sentFacts: '',
  sentFactsAt: now,
  sentNews: '',
  askNext: 0,
})

/** Whether the node is taken to be alive, by the leader's picture or, without a leader, by one's own ears. */
export function isAlive(state: NodeState, id: NodeId, now: Millis): boolean {
  if (id === state.id) return true
  const told = state.beats.view.nodes.get(id)
  const leads = state.replication.leader !== null
  if (leads && !isLeader(state) && id !== state.replication.leader && told !== undefined) return told.alive
  return hearsFrom(state, id, now)
}

const hearsFrom = (state: NodeState, id: NodeId, now: Millis): boolean => {
  if (!isLeader(state) && state.links.has(id)) return true
  const heard = state.heard.get(id)
  return heard !== undefined && now - heard < SILENT_MS
}

/** A new leadership starts with an empty picture: what its predecessor knew is not its knowledge. */
export function tickBeats(turn: Turn, facts: Facts): void {
  const { state, now } = turn
  if (certifiedOf(state) === null || state.blocked !== null) return
  const { leadership } = state.replication
  if (leadership !== null) {
    if (now < leadership.heartbeatAt) return
    leadership.heartbeatAt = after(turn, HEARTBEAT_MS)
    refreshView(turn, facts)
    heartbeat(turn)
    return
  }
  const { leader } = state.replication
  const news = `${facts.stage} ${facts.outcome?.attempt}`
  if (leader !== null && news !== state.beats.sentNews) {
    state.beats.sentNews = news
    sendBeat(turn, leader, facts)
  }
  if (now < state.beats.beatAt) return
  state.beats.beatAt = after(turn, BEAT_MS)
  beat(turn, facts)
}

function refreshView(turn: Turn, own: Facts): void {
  const { state, now } = turn
  const { beats, replication } = state
  if (beats.view.term !== replication.leaderTerm) {
    beats.view = {
      term: replication.leaderTerm,
      version: 1,
      nodes: new Map(),
      datastore: null,
      datastoreVersion: 0,
    }
    beats.facts.clear()
    beats.indexes.clear()
    beats.seen.clear()
  }
  beats.facts.set(state.id, own)
  const { view } = beats
  const version = view.version + 1
  let changed = false
  for (const { id } of planOf(state)?.members ?? []) {
    const alive = id === state.id || hearsFrom(state, id, now)
    const stage = beats.facts.get(id)?.stage ?? 'discovering'
    const known = view.nodes.get(id)
    if (known?.alive === alive && known.stage === stage) continue
    view.nodes.set(id, { id, alive, stage, version })
    changed = true
  }
  const datastore = datastoreOf(state, now)
  if (JSON.stringify(datastore) !== JSON.stringify(view.datastore)) {
    view.datastore = datastore
    view.datastoreVersion = version
    changed = true
  }
  if (changed) view.version = version
}

/** The best informed member's word on the datastore: the healthy one with the most members. */
function datastoreOf(state: NodeState, now: Millis): DatastoreView | null {
  const members = new Set(planOf(state)?.members.map(({ id }) => id))
  // What the silent said last may be of long ago; so may the word of who was put out and knocks again and again.
  const heard = [...state.beats.facts].filter(
    ([id]) => id === state.id || (members.has(id) && hearsFrom(state, id, now)),
  )
  const words = sortedBy(heard, ([id]) => id)
    .map(([, facts]) => facts.datastore)
    .filter((word) => word !== null)
  const weight = (word: DatastoreView): number => (word.healthy ? 1_000 : 0) + word.members.length
  return words.reduce<DatastoreView | null>(
    (best, word) => (best === null || weight(word) > weight(best) ? word : best),
    null,
  )
}

function heartbeat(turn: Turn): void {
  const { state } = turn
  const certified = certifiedOf(state)
  if (certified === null) return
  for (const id of votersOf(state)) {
    send(turn, id, {
      kind: 'lead',
      era: eraTag(certified.plan.era),
      term: state.replication.leaderTerm,
      planIndex: certified.index,
      view: viewSince(state, state.beats.seen.get(id) ?? 0),
    })
  }
}

/** What changed in the picture since the version that a node has; null when nothing did. */
function viewSince(state: NodeState, seen: number): View | null {
  const { view } = state.beats
  const whole = seen === 0 || seen > view.version
  if (!whole && seen === view.version) return null
  const changed = [...view.nodes.values()].filter((node) => whole || node.version > seen)
  const nodes = sortedBy(changed, (node) => node.id).map(({ id, alive, stage }) => ({ id, alive, stage }))
  return { version: view.version, whole, nodes, datastore: view.datastore }
}

/** To the leader; without one, to the servers in turn, whose answers name it. */
function beat(turn: Turn, facts: Facts): void {
  const { state } = turn
  const certified = certifiedOf(state)
  const { leader, role } = state.replication
  if (certified === null) return
  if (leader !== null) {
    // The leader asks voters itself, as soon as it knows them for such.
    if (role === 'idle' || !certified.plan.voters.includes(state.id)) sendBeat(turn, leader, facts)
    return
  }
  if (role !== 'idle' || facts.stage === 'joining') return
  const servers = certified.plan.voters.filter((id) => state.links.has(id))
  state.beats.askNext += 1
  const asked = servers[state.beats.askNext % Math.max(1, servers.length)]
  if (asked !== undefined) sendBeat(turn, asked, facts)
}

function sendBeat(turn: Turn, to: NodeId, facts: Facts): void {
  const { state } = turn
  const certified = certifiedOf(state)
  if (certified === null) return
  const { beats, replication } = state
  const current = `${to} ${replication.leaderTerm} ${JSON.stringify(facts, replaceBytes)}`
  const isSameLeader = beats.view.term === replication.leaderTerm
  const isKnown = current === beats.sentFacts && turn.now < beats.sentFactsAt + FACTS_REPEAT_MS
  send(turn, to, {
    kind: 'beat',
    era: eraTag(certified.plan.era),
    term: replication.leaderTerm,
    planIndex: certified.index,
    seen: isSameLeader ? beats.view.version : 0,
    facts: isKnown ? null : facts,
  })
  if (isKnown) return
  beats.sentFacts = current
  beats.sentFactsAt = turn.now
}

const replaceBytes = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? [...value].join() : value

const isOurs = (state: NodeState, tag: string): boolean =>
  state.genesisId !== null && eraTag(state.genesisId) === tag

export function handleLead(turn: Turn, from: NodeId, message: MessageOf<'lead'>, facts: Facts): void {
  const { state } = turn
  if (!isOurs(state, message.era)) return
  // First: of a leader that a newer plan made a voter, this node has yet to learn.
  pullIfBehind(turn, from, message.planIndex)
  if (!followLeader(turn, from, message.term)) return
  takeView(state, message.term, message.view)
  sendBeat(turn, from, facts)
}

export function handleBeat(turn: Turn, from: NodeId, message: MessageOf<'beat'>): void {
  const { state } = turn
  const plan = planOf(state)
  if (!isOurs(state, message.era) || plan === null || memberOf(plan, from) === undefined) return
  if (!isLeader(state)) {
    answerBeat(turn, from, 0)
    return
  }
  voterAnswered(turn, from)
  state.beats.indexes.set(from, message.planIndex)
  const isOurTerm = message.term === state.replication.leaderTerm
  state.beats.seen.set(from, isOurTerm ? message.seen : 0)
  if (message.facts !== null) state.beats.facts.set(from, message.facts)
  const certified = certifiedOf(state)
  if (certified !== null && message.planIndex < certified.index) {
    sharePlan(turn, from, message.planIndex)
  }
  // Voters hear the leader twice a second anyway; only the others need an answer. And who has sent no facts
  // to this leadership yet is asked for them by an answer that names its term.
  if (!votersOf(state).includes(from)) answerBeat(turn, from, isOurTerm ? message.seen : 0)
}

function answerBeat(turn: Turn, to: NodeId, seen: number): void {
  const { state } = turn
  const certified = certifiedOf(state)
  if (certified === null) return
  send(turn, to, {
    kind: 'beat.answer',
    era: eraTag(certified.plan.era),
    term: state.replication.leaderTerm,
    leader: state.replication.leader === state.id ? 'me' : state.replication.leader,
    planIndex: certified.index,
    view: isLeader(state) ? viewSince(state, seen) : null,
  })
}

export function handleBeatAnswer(turn: Turn, from: NodeId, message: MessageOf<'beat.answer'>): void {
  const { state } = turn
  const leader = message.leader === 'me' ? from : message.leader
  if (!isOurs(state, message.era) || leader === null || leader === state.id) return
  if (leader !== from) {
    // Hearsay: enough to ask the one it names, not enough to believe that it lives.
    if (
      state.replication.leader === null &&
      state.replication.role === 'idle' &&
      message.term >= state.replication.leaderTerm
    ) {
      askNamedLeader(turn, leader)
    }
    return
  }
  const hadFacts = state.replication.leader === from && state.replication.leaderTerm === message.term
  pullIfBehind(turn, from, message.planIndex)
  if (!followLeader(turn, from, message.term)) return
  takeView(state, message.term, message.view)
  if (!hadFacts) state.beats.beatAt = turn.now
}

function askNamedLeader(turn: Turn, leader: NodeId): void {
  const certified = certifiedOf(turn.state)
  if (certified === null || !certified.plan.voters.includes(leader)) return
  send(turn, leader, {
    kind: 'beat',
    era: eraTag(certified.plan.era),
    term: turn.state.replication.leaderTerm,
    planIndex: certified.index,
    seen: 0,
    facts: null,
  })
}

function pullIfBehind(turn: Turn, from: NodeId, index: number): void {
  const certified = certifiedOf(turn.state)
  if (certified !== null && index > certified.index) {
    send(turn, from, { kind: 'plan.pull', era: certified.plan.era, index: certified.index })
  }
}

function takeView(state: NodeState, fromTerm: Term, told: View | null): void {
  const { beats } = state
  if (told === null) return
  const fresh = told.whole || beats.view.term !== fromTerm
  const nodes = fresh ? new Map<NodeId, Seen>() : beats.view.nodes
  for (const node of told.nodes) nodes.set(node.id, { ...node, version: told.version })
  beats.view = {
    term: fromTerm,
    version: told.version,
    nodes,
    datastore: told.datastore,
    datastoreVersion: 0,
  }
}

/** Facts of a node in this leadership: only a leader has any. */
export const factsOf = (state: NodeState, id: NodeId): Facts | undefined => state.beats.facts.get(id)

export function beatDeadlines(state: NodeState): Deadline[] {
  if (certifiedOf(state) === null || state.blocked !== null || isLeader(state)) return []
  return [{ at: millis(state.beats.beatAt), why: 'beat' }]
}
