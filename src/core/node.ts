/**
 * A node's life. Everything happens through `step(state, event) → effects`; the same function runs in
 * production and in the simulator.
 *
 * The stages, in order:
 *   discovering   until enough machines of the network are in sight, or one that has a genesis
 *   founding      until a quorum of machines has accepted one genesis            (founding.ts)
 *   joining       has a genesis, is in no plan yet: asks a server                (joining.ts, admission.ts)
 *   meshing       is in the plan: interface and paths to all who are alive       (mesh.ts)
 *   distributing  server: until its member of the datastore is a healthy voter   (distribution.ts, acts.ts)
 *   ready         everything that the plan wants of it is true
 *   leaving       a server that is on its way out: its datastore first, then its vote  (membership.ts)
 *   blocked       a question for a person: reports, but neither founds, votes nor joins
 *
 * The host's duties with the effects of one step, in this order: write and fsync `persist`, if there is one;
 * then carry out the others in their order. If the write fails, nothing after it may happen: the host tries
 * again and delivers no further event until it succeeded. A message thus never speaks of what is not on disk.
 */
import { actDeadlines, startActs, tickActs } from './acts.ts'
import { admissionDeadlines, startAdmission, tickAdmission } from './admission.ts'
import { beatDeadlines, startBeats, tickBeats } from './beats.ts'
import { commandDeadlines, startCommands, takeCommand, tickCommands } from './commanding.ts'
import type { Crypto } from './crypto.ts'
import { blockIfOut, mayHear, shunRevoked, tellOut } from './departure.ts'
import { handleLeaderRecords } from './dht.ts'
import { distributionOrder, isDistributed, ownRole, rolloutFacts, tickDistribution } from './distribution.ts'
import { beginReplication, leaderDisconnected, startReplication } from './election.ts'
import type { Effect, Event, Start } from './events.ts'
import { eligibleFounders, foundingDeadlines, startFounding, tickFounding } from './founding.ts'
import { foundingQuorum, genesisIdOf } from './genesis.ts'
import {
  announce,
  gossipDeadlines,
  handleConnected,
  maySign,
  renewRecord,
  startGossip,
  tickGossip,
} from './gossip.ts'
import { handleMessage, hear } from './hearing.ts'
import { assertNever, type Millis } from './ids.ts'
import { startJoining } from './joining.ts'
import { membershipDeadlines, startMembership, tickMembership } from './membership.ts'
import { meshOrder, meshOrderText } from './mesh.ts'
import { isAnyUnreachable } from './paths.ts'
import { firstPlan, isLeaving } from './plan.ts'
import { problemDeadlines, tickProblems } from './problems.ts'
import type { Facts } from './protocol.ts'
import { replicationDeadlines, tickReplication } from './replication.ts'
import {
  beginRecall,
  isRecalling,
  keepSignatures,
  RESTORED,
  recallDeadlines,
  recallFrom,
  startRecall,
  tickRecall,
} from './restored.ts'
import { startRolling } from './rolling.ts'
import { secretDeadlines, startSecrets, tickSecrets } from './secrets.ts'
import { type Durable, freshDurable, type NodeState } from './state.ts'
import type { Stage } from './status.ts'
import { MESH_PATIENCE_MS } from './timing.ts'
import { type Deadline, log, NEVER, persist, send, type Turn } from './turn.ts'
import { certifiedOf, isLeader, isMember, mayOrder, planOf } from './voters.ts'

/** A node as the daemon starts it, with what its disk remembers. */
export function start(crypto: Crypto, now: Millis, given: Start): { state: NodeState; effects: Effect[] } {
  const durable = given.durable ?? freshDurable(given.fingerprint)
  const seed = crypto.hash(given.entropy)
  const state: NodeState = {
    id: given.id,
    settings: given.settings,
    session: seed.slice(0, 16),
    version: given.version,
    fingerprint: given.fingerprint,
    wallOffsetMs: given.wallMs - now,
    entropy: given.entropy,
    draws: 0,
    jitter: Number.parseInt(seed.slice(16, 24), 16) || 1,
    claim: given.claim,
    addresses: [],
    endpoints: [],
    places: '',
    durable,
    formerPlans: [],
    genesisId: durable.genesis === null ? null : genesisIdOf(crypto, durable.genesis.genesis),
    blocked: null,
    links: new Map(),
    heard: new Map(),
    gossip: startGossip(now, durable.seq),
    founding: startFounding(now),
    replication: startReplication(now),
    beats: startBeats(now),
    joining: startJoining(now),
    admission: startAdmission(now),
    membership: startMembership(now),
    commands: startCommands(),
    acts: startActs(now),
    recall: startRecall(now),
    secrets: startSecrets(now),
    rolling: startRolling(),
    mesh: { up: false, peers: [], problems: [] },
    distribution: given.distribution,
    meshUpAt: null,
    meshed: false,
    startedAt: now,
    lastOrders: { meshBasis: [], mesh: '', distributionBasis: [], distribution: '', shown: [], shunned: '' },
    problemsAt: now,
    since: new Map(),
  }
  const isNew = given.durable === null && given.damaged === null
  const turn: Turn = { now, crypto, state, effects: [], dirty: isNew }
  blockIfForeign(turn, given)
  blockIfOut(turn)
  log(turn, 'info', 'node.started', { id: state.id, name: state.claim.name, version: state.version })
  if (state.durable.certified !== null) {
    state.replication.leaderTerm = state.durable.certified.term
    keepSignatures(turn, state.durable.certified)
    beginRecall(turn)
    beginReplication(turn, false)
  }
  return { state, effects: finish(turn) }
}

function blockIfForeign(turn: Turn, given: Start): void {
  const { state } = turn
  const known = state.durable.fingerprint
  if (given.damaged !== null) {
    // Rule 2: what it promised and voted is lost, so it may never promise or vote again.
    state.blocked = { code: 'state.damaged', ...given.damaged }
  } else if (given.ephemeral !== null && !state.settings.allowEphemeral) {
    state.blocked = {
      code: 'state.ephemeral',
      message: `the state directory does not survive a reboot: ${given.ephemeral}`,
      hint: 'put it on a disk (--state DIR), or set `muster.allow_ephemeral: true` in a lab',
    }
  } else if (known !== null && given.fingerprint !== null && known !== given.fingerprint) {
    state.blocked = {
      code: 'state.other-machine',
      message: 'the state on this disk was made on another machine',
      hint: 'a moved disk: `muster adopt`; a copied one: `muster reset`, and it becomes a node of its own',
    }
  } else if (state.durable.restored) {
    state.blocked = RESTORED
  } else if (known === null && given.fingerprint !== null) {
    persist(turn, { fingerprint: given.fingerprint })
  }
}

/** One event, at one moment. Changes `state` and returns what is to be done, in order. */
export function step(crypto: Crypto, state: NodeState, now: Millis, event: Event): Effect[] {
  const turn: Turn = { now, crypto, state, effects: [], dirty: false }
  handleEvent(turn, event)
  return finish(turn)
}

function handleEvent(turn: Turn, event: Event): void {
  const { state, now } = turn
  switch (event.kind) {
    case 'timer':
      return
    case 'message':
      hear(turn, event.from)
      if (mayHear(turn, event.from, event.message)) handleMessage(turn, event.from, event.message, factsNow)
      return
    case 'connected':
      state.links.set(event.peer, now)
      hear(turn, event.peer)
      state.beats.sentFacts = ''
      handleConnected(turn, event.peer)
      recallFrom(turn, event.peer)
      tellOut(turn, event.peer)
      shunRevoked(turn, event.peer)
      return
    case 'disconnected':
      state.links.delete(event.peer)
      leaderDisconnected(turn, event.peer)
      return
    case 'addresses':
      state.addresses = event.addresses
      state.endpoints = event.endpoints
      state.places = `${event.addresses.join()} ${event.endpoints.join()}`
      state.claim = { ...state.claim, lanAddress: event.lanAddress }
      return
    case 'mesh':
      state.mesh = event.facts
      state.meshUpAt = event.facts.up ? (state.meshUpAt ?? now) : null
      return
    case 'distribution':
      state.distribution = event.facts
      return
    case 'leader-records':
      handleLeaderRecords(turn, event.records)
      return
    case 'command':
      takeCommand(turn, event)
      return
    case 'adopt':
      adoptMachine(turn)
      return
    default:
      assertNever(event)
  }
}

/**
 * What follows from the event and from the time: whatever is due is done once the event is in, so that a
 * process that slept first hears what waited for it and only then draws conclusions from the silence.
 */
function finish(turn: Turn): Effect[] {
  tickFounding(turn)
  enterCluster(turn)
  if (tickRecall(turn)) beginReplication(turn, false)
  tickReplication(turn)
  tickActs(turn)
  if (certifiedOf(turn.state) !== null) tickBeats(turn, factsNow(turn))
  tickMembership(turn)
  tickCommands(turn)
  tickDistribution(turn)
  tickSecrets(turn)
  tickAdmission(turn)
  giveOrders(turn)
  shunRevoked(turn)
  showChanges(turn)
  tickGossip(turn)
  tickProblems(turn)
  if (turn.dirty) turn.effects.unshift({ kind: 'persist', durable: turn.state.durable })
  return turn.effects
}

/** The genesis is here: made by this node, or believed from another. Plan 0 follows from it. */
function enterCluster(turn: Turn): void {
  const { state, crypto } = turn
  const { genesis, certified, founding } = state.durable
  const { hasAccepted } = state.founding
  if (genesis === null || certified !== null || state.blocked !== null) return
  const id = genesisIdOf(crypto, genesis.genesis)
  state.genesisId = id
  persist(turn, { certified: firstPlan(crypto, genesis.genesis, id) })
  const isOwn = founding.candidate === state.id && founding.term === genesis.certificate.term
  log(turn, 'info', isOwn ? 'cluster.founded' : 'cluster.joined', {
    genesis: id,
    members: genesis.genesis.members.length,
    servers: genesis.genesis.voters.length,
  })
  if (isOwn)
    for (const peer of state.links.keys()) send(turn, peer, { kind: 'genesis.share', certified: genesis })
  renewRecord(turn)
  announce(turn)
  // The founder asks for votes at once; where it is no server, the first of them does.
  const leads = genesis.genesis.voters.includes(founding.candidate ?? state.id)
    ? isOwn
    : genesis.genesis.voters[0] === state.id
  // Who accepted nothing in this run may have said more than its disk knows.
  if (!hasAccepted) beginRecall(turn)
  beginReplication(turn, leads)
}

/** Orders are given when what they follow from changed, and only when they differ from the last. */
function giveOrders(turn: Turn): void {
  const { state } = turn
  const { lastOrders, distribution } = state
  const certified = certifiedOf(state)
  const { restored } = state.durable
  if (certified === null || !mayOrder(state)) return
  const { term, index } = certified
  const meshBasis = [term, index, restored, isRecalling(state), state.gossip.moves]
  if (!sameItems(lastOrders.meshBasis, meshBasis)) {
    lastOrders.meshBasis = meshBasis
    const order = meshOrder(state)
    const text = order === null ? '' : meshOrderText(order)
    if (order !== null && text !== lastOrders.mesh) {
      lastOrders.mesh = text
      turn.effects.push({ kind: 'mesh', order })
    }
  }
  const { permitted } = state.acts
  const { dataEpoch, revision } = distribution
  const generation = state.durable.agentSecret?.generation ?? null
  const owned = [isLeader(state), permitted, dataEpoch, revision, generation]
  const distributionBasis = [term, index, restored, isRecalling(state), ...owned]
  if (!sameItems(lastOrders.distributionBasis, distributionBasis)) {
    lastOrders.distributionBasis = distributionBasis
    const order = distributionOrder(turn)
    const text = JSON.stringify(order, bytesAsText)
    if (order !== null && text !== lastOrders.distribution) {
      lastOrders.distribution = text
      turn.effects.push({ kind: 'distribution', order })
    }
  }
}

/** Whether what something follows from is what it was; cheaper than to make it again and compare that. */
const sameItems = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i])

const bytesAsText = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Array.from(value).join() : value

/** The own record is signed anew when something that it says has changed. */
function showChanges(turn: Turn): void {
  const { state } = turn
  const { lastOrders } = state
  if (!state.meshed && isMeshedNow(turn)) {
    state.meshed = true
    log(turn, 'info', 'mesh.up', { peers: state.mesh.peers.length })
  }
  const { lanAddress } = state.claim
  const { dataPresent } = state.distribution
  const shown = [state.genesisId, dataPresent, maySign(state), state.places, lanAddress]
  if (sameItems(lastOrders.shown, shown)) return
  lastOrders.shown = shown
  renewRecord(turn)
}

function isMeshedNow(turn: Turn): boolean {
  const { state, now } = turn
  if (!isMember(state) || state.meshUpAt === null) return false
  return now >= state.meshUpAt + MESH_PATIENCE_MS || !isAnyUnreachable(state, now)
}

/** Where the node is in its life: see the head of this file. */
export function stageOf(state: NodeState, now: Millis): Stage {
  if (state.blocked !== null) return 'blocked'
  if (state.genesisId === null) {
    if (state.founding.candidacy !== null) return 'founding'
    const here = eligibleFounders(state, now).length
    return here >= foundingQuorum(state.settings.expect) ? 'founding' : 'discovering'
  }
  if (!isMember(state)) return 'joining'
  const plan = planOf(state)
  if (plan !== null && isLeaving(plan, state.id)) return 'leaving'
  if (!state.mesh.up || !state.meshed) return 'meshing'
  return isDistributed(state) ? 'ready' : 'distributing'
}

function factsNow(turn: Turn): Facts {
  const { state, now } = turn
  const { distribution } = state
  const { version, healthy } = distribution
  return {
    stage: stageOf(state, now),
    mesh: state.mesh.up,
    datastore:
      distribution.running && ownRole(state) === 'server'
        ? { version, healthy, members: distribution.members.slice(0, 16).map((member) => ({ ...member })) }
        : null,
    distribution: rolloutFacts(state),
    outcome: state.acts.outcome,
  }
}

function adoptMachine(turn: Turn): void {
  const { state } = turn
  if (state.blocked?.code !== 'state.other-machine') return
  const changes: Partial<Durable> = { fingerprint: state.fingerprint }
  persist(turn, changes)
  state.blocked = state.durable.restored ? RESTORED : null
  blockIfOut(turn)
  log(turn, 'info', 'node.adopted')
  if (state.durable.certified === null) return
  beginRecall(turn)
  beginReplication(turn, false)
}

/** When the node next wants to be woken though nothing happened, and why. */
export function nextDeadline(state: NodeState, now: Millis): Deadline {
  let first: Deadline = { at: NEVER, why: 'nothing' }
  for (const deadlines of DEADLINES) {
    for (const next of deadlines(state, now)) if (next.at < first.at) first = next
  }
  return first
}

const DEADLINES: readonly ((state: NodeState, now: Millis) => readonly Deadline[])[] = [
  gossipDeadlines,
  foundingDeadlines,
  replicationDeadlines,
  beatDeadlines,
  actDeadlines,
  recallDeadlines,
  secretDeadlines,
  admissionDeadlines,
  membershipDeadlines,
  commandDeadlines,
  problemDeadlines,
]
