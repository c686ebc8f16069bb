/**
 * How records spread: push-pull anti-entropy. One hash over all versions first, details only where it
 * differs, so that an idle network sends tens of bytes. Decides which records are kept and what is sent to
 * whom; reads records only. News of one's own is pushed at once to every connected peer.
 */
import { hashOf, sortedBy } from './codec.ts'
import { rankOf } from './genesis.ts'
import { compareText, type Millis, millis, type NodeId, term } from './ids.ts'
import { RULES } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import { type NodeRecord, type SignedRecord, signRecord, verifyRecord } from './record.ts'
import type { NodeState } from './state.ts'
import {
  BOOK_PARTS,
  CROWD_FROM,
  GOSSIP_FANOUT,
  GOSSIP_FORMED_MS,
  GOSSIP_FOUNDING_MS,
  PUSH_MAX,
  RECORD_FORMED_RENEW_MS,
  RECORD_FRESH_MS,
  RECORD_RENEW_MS,
  RECORD_SEQ_BLOCK,
  RECORDS_MAX,
  RECORDS_PER_ANSWER,
  RECORDS_PER_MESSAGE,
} from './timing.ts'
import { after, type Deadline, jitter, log, persist, refuse, send, sendAll, type Turn } from './turn.ts'

export interface Known {
  readonly signed: SignedRecord
  /** When this node first saw its sequence number; never from the record itself. */
  readonly advancedAt: Millis
  /** Its place among founders: hashed once, compared at every step before there is a genesis. */
  readonly rank: string
}

/** Records that the rank's first digits put together: the same ones everywhere. */
interface BookPart {
  readonly seqs: Map<NodeId, number>
  /** Cached; null when a record of it changed since. */
  digest: string | null
}

export interface GossipState {
  readonly records: Map<NodeId, Known>
  /** Sequence number of the own record as last signed. */
  seq: number
  renewAt: Millis
  roundAt: Millis
  /** Counts changes of the record book: cheap to compare. */
  changes: number
  /** Counts changes of where nodes are found. */
  moves: number
  /** Cached digest over all versions; null when a record changed since. */
  digest: string | null
  /** The book in parts, in a crowd; null while it is small. */
  parts: readonly BookPart[] | null
  /** Another session with our key was outbid once; twice is a clone. */
  outbid: string | null
  /** When a node that was not known before was last seen, for founding's settle time. */
  newcomerAt: Millis
}

export const startGossip = (now: Millis, seq: number): GossipState => ({
  records: new Map(),
  seq,
  renewAt: now,
  roundAt: now,
  changes: 0,
  digest: null,
  parts: null,
  moves: 0,
  outbid: null,
  newcomerAt: now,
})

export const recordOf = (state: NodeState, id: NodeId): NodeRecord | undefined =>
  state.gossip.records.get(id)?.signed.record

/** Records that advanced within {@link RECORD_FRESH_MS} of this node's own clock, its own included, by ID. */
export const freshRecords = (state: NodeState, now: Millis): NodeRecord[] =>
  sortedBy(freshInAnyOrder(state, now), (record) => record.id)

export function freshInAnyOrder(state: NodeState, now: Millis): NodeRecord[] {
  const fresh: NodeRecord[] = []
  for (const known of state.gossip.records.values()) {
    if (isFresh(state, known, now)) fresh.push(known.signed.record)
  }
  return fresh
}

export const isFresh = (state: NodeState, { signed, advancedAt }: Known, now: Millis): boolean =>
  signed.record.id === state.id || now - advancedAt < RECORD_FRESH_MS

/** Signs the own record anew with what is true now, and pushes it to everyone connected. */
export function renewRecord(turn: Turn): void {
  const { state } = turn
  const { gossip } = state
  gossip.seq += 1
  // A sequence number is reserved on disk before it is used, so that a restart never signs one twice.
  if (gossip.seq > state.durable.seq) persist(turn, { seq: gossip.seq + RECORD_SEQ_BLOCK })
  const signed = signRecord(turn.crypto, {
    id: state.id,
    seq: gossip.seq,
    session: state.session,
    network: state.settings.networkId,
    expect: state.settings.expect,
    genesis: state.genesisId,
    pin: state.settings.pin,
    datastore: state.distribution.dataPresent,
    founding: maySign(state),
    claim: state.claim,
    addresses: [...state.addresses],
    endpoints: [...state.endpoints],
    version: state.version,
    rules: RULES,
  })
  keep(turn, signed)
  gossip.renewAt = after(turn, renewalPeriod(turn))
  sendAll(turn, somePeers(state, PUSH_MAX), { kind: 'records', records: [signed] })
}

/** Often while anyone looks for a cluster, so that all can tell the living from the remembered; else rarely. */
function renewalPeriod(turn: Turn): number {
  const { state, now } = turn
  if (state.genesisId === null) return RECORD_RENEW_MS
  const searched = [...state.gossip.records.values()].some(
    ({ signed, advancedAt }) =>
      signed.record.genesis !== state.genesisId && now - advancedAt < RECORD_FRESH_MS,
  )
  return crowding(state) * (searched ? RECORD_RENEW_MS : RECORD_FORMED_RENEW_MS)
}

/** How many members stand for one where each would tell all others: all together then say as much as a crowd's least. */
const crowding = ({ durable }: NodeState): number =>
  Math.max(1, Math.ceil((durable.certified?.plan.members.length ?? 0) / CROWD_FROM))

/** Whether this node could promise in a founding, as far as it itself is concerned. */
export function maySign(state: NodeState): boolean {
  return (
    state.blocked === null &&
    state.genesisId === null &&
    state.settings.pin === null &&
    !state.distribution.dataPresent
  )
}

export function handleConnected(turn: Turn, peer: NodeId): void {
  const own = turn.state.gossip.records.get(turn.state.id)
  if (own !== undefined) send(turn, peer, { kind: 'records', records: [own.signed] })
  sendDigest(turn, peer, true)
}

export function handleDigest(turn: Turn, from: NodeId, message: MessageOf<'digest'>): void {
  const { state } = turn
  if (message.records !== digestOf(turn)) {
    const { parts } = state.gossip
    if (parts === null)
      send(turn, from, { kind: 'inventory', seqs: inventoryOf(state), parts: null, pull: true })
    else send(turn, from, { kind: 'summary', parts: parts.map((part) => digestOfPart(turn, part)) })
  } else if (message.pull && differs(state, message)) {
    sendDigest(turn, from, false)
  }
}

function differs(state: NodeState, message: MessageOf<'digest'>): boolean {
  const index = state.durable.certified?.index ?? -1
  return message.genesis !== state.genesisId || (message.plan?.index ?? -1) < index
}

/** Asks for what is newer in the parts that differ; a small book is no work to compare whole. */
export function handleSummary(turn: Turn, from: NodeId, message: MessageOf<'summary'>): void {
  const { state } = turn
  const own = state.gossip.parts
  if (own === null) {
    send(turn, from, { kind: 'inventory', seqs: inventoryOf(state), parts: null, pull: true })
    return
  }
  const parts = own.flatMap((part, i) => (message.parts[i] === digestOfPart(turn, part) ? [] : i))
  if (parts.length === 0) return
  send(turn, from, { kind: 'inventory', seqs: inventoryOf(state, parts), parts, pull: true })
}

export function handleInventory(turn: Turn, from: NodeId, message: MessageOf<'inventory'>): void {
  const { state } = turn
  const { parts } = message
  const theirs = new Map(message.seqs)
  const newer = sortedBy(
    recordsIn(state, parts).filter(({ record }) => record.seq > (theirs.get(record.id) ?? -1)),
    ({ record }) => record.id,
  )
  const answer = newer.length <= RECORDS_PER_ANSWER ? newer : someOf(state, newer, RECORDS_PER_ANSWER)
  for (let i = 0; i < answer.length; i += RECORDS_PER_MESSAGE) {
    send(turn, from, { kind: 'records', records: answer.slice(i, i + RECORDS_PER_MESSAGE) })
  }
  const behind = message.seqs.some(([id, seq]) => seq > (recordOf(state, id)?.seq ?? -1))
  if (message.pull && behind) {
    send(turn, from, { kind: 'inventory', seqs: inventoryOf(state, parts), parts, pull: false })
  }
}

function recordsIn({ gossip }: NodeState, parts: readonly number[] | null): SignedRecord[] {
  if (parts === null) return [...gossip.records.values()].map((known) => known.signed)
  const { parts: own, records } = gossip
  if (own !== null) {
    return parts.flatMap((i) =>
      [...(own[i]?.seqs.keys() ?? [])].flatMap((id) => records.get(id)?.signed ?? []),
    )
  }
  const wanted = new Set(parts)
  return [...gossip.records.values()]
    .filter((known) => wanted.has(partOf(known.rank)))
    .map((known) => known.signed)
}

/** @returns the records that were new, for the modules that live by them. */
export function handleRecords(turn: Turn, from: NodeId, message: MessageOf<'records'>): NodeRecord[] {
  const { state } = turn
  const { gossip } = state
  const fresh: NodeRecord[] = []
  for (const signed of message.records) {
    const { record } = signed
    const known = recordOf(state, record.id)
    if (known !== undefined && record.seq <= known.seq && record.id !== state.id) {
      if (record.seq === known.seq && record.session !== known.session) {
        log(turn, 'warn', 'record.clone', { id: record.id, name: record.claim.name })
      }
      continue
    }
    if (record.network !== state.settings.networkId || !verifyRecord(turn.crypto, signed)) {
      refuse(turn, from, 'record', 'not signed by the node that it names')
      continue
    }
    if (record.id === state.id) {
      meetOwnRecord(turn, record)
      continue
    }
    if (!keep(turn, signed)) continue
    fresh.push(record)
  }
  // So many at once are a part of what the other has: the rest is asked for soon.
  if (message.records.length === RECORDS_PER_MESSAGE && fresh.length > 0) {
    gossip.roundAt = millis(Math.min(gossip.roundAt, turn.now + GOSSIP_FOUNDING_MS))
  }
  return fresh
}

/**
 * A record with our own ID that we did not sign in this run: an earlier run's (then we go beyond it, once),
 * or a second machine with our key that goes on outbidding us: a clone.
 */
function meetOwnRecord(turn: Turn, record: NodeRecord): void {
  const { state } = turn
  const { gossip } = state
  if (record.session === state.session || record.seq < gossip.seq) return
  if (gossip.outbid === record.session && state.blocked === null) {
    state.blocked = {
      code: 'node.cloned',
      message: `another machine runs with this node's identity (${state.id})`,
      hint: 'a disk image was copied after first boot: run `muster reset` on the copy, it becomes a node of its own',
    }
    log(turn, 'warn', 'node.cloned')
  }
  gossip.outbid = record.session
  gossip.seq = record.seq
  renewRecord(turn)
}

function keep(turn: Turn, signed: SignedRecord): boolean {
  const { gossip, durable, settings } = turn.state
  const { id } = signed.record
  const before = gossip.records.get(id)
  if (before === undefined) {
    if (gossip.records.size >= RECORDS_MAX && !evictStranger(turn)) return false
    gossip.newcomerAt = turn.now
    if (id !== turn.state.id && durable.certified === null) {
      log(turn, 'info', 'node.found', { id, name: signed.record.claim.name })
    }
  }
  // Whoever looks for a cluster, again too, must soon see that this one lives: else it founds beside it.
  const isBack = before === undefined || !isFresh(turn.state, before, turn.now)
  if (isBack && turn.state.genesisId !== null && signed.record.genesis === null) {
    const share = crowding(turn.state)
    if (share === 1 || jitter(turn.state, share) === 0) gossip.renewAt = turn.now
  }
  const rank = before?.rank ?? rankOf(turn.crypto, settings.networkId, id)
  gossip.records.set(id, { signed, advancedAt: turn.now, rank })
  gossip.digest = null
  gossip.changes += 1
  if (before === undefined || !sameTexts(before.signed.record.endpoints, signed.record.endpoints)) {
    gossip.moves += 1
  }
  noteInPart(gossip, rank, signed)
  return true
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, i) => text === b[i])

/** A book that became large is put into parts once, and kept so. */
function noteInPart(gossip: GossipState, rank: string, { record }: SignedRecord): void {
  if (gossip.parts === null) {
    if (gossip.records.size < CROWD_FROM) return
    gossip.parts = Array.from({ length: BOOK_PARTS }, () => ({ seqs: new Map(), digest: null }))
    for (const known of gossip.records.values()) {
      gossip.parts[partOf(known.rank)]?.seqs.set(known.signed.record.id, known.signed.record.seq)
    }
    return
  }
  const part = gossip.parts[partOf(rank)]
  if (part === undefined) return
  part.seqs.set(record.id, record.seq)
  part.digest = null
}

/** By the first six bits of the rank. */
const partOf = (rank: string): number => Number.parseInt(rank.slice(0, 2), 16) >> 2

/** The not admitted go first, the longest silent of them before the others. */
function evictStranger(turn: Turn): boolean {
  const { gossip, durable, id: self } = turn.state
  const admitted = new Set(durable.certified?.plan.members.map((member) => member.id))
  let oldest: NodeId | null = null
  let oldestAt = Number.POSITIVE_INFINITY
  for (const [id, known] of gossip.records) {
    if (id !== self && !admitted.has(id) && known.advancedAt < oldestAt) {
      oldest = id
      oldestAt = known.advancedAt
    }
  }
  if (oldest === null) return false
  const part = gossip.parts?.[partOf(gossip.records.get(oldest)?.rank ?? '')]
  if (part !== undefined) {
    part.seqs.delete(oldest)
    part.digest = null
  }
  gossip.records.delete(oldest)
  return true
}

export function tickGossip(turn: Turn): void {
  const { state, now } = turn
  const { gossip } = state
  if (now >= gossip.renewAt) renewRecord(turn)
  if (now < gossip.roundAt) return
  const period = state.genesisId === null ? GOSSIP_FOUNDING_MS : GOSSIP_FORMED_MS
  gossip.roundAt = millis(now + period + jitter(state, period / 4))
  for (const peer of somePeers(state, GOSSIP_FANOUT)) sendDigest(turn, peer, true)
}

export function gossipDeadlines(state: NodeState): Deadline[] {
  const { gossip } = state
  return [
    { at: gossip.roundAt, why: 'gossip' },
    { at: gossip.renewAt, why: 'record renewal' },
  ]
}

/** News of genesis or plan to some of those connected, without waiting for the next round. */
export function announce(turn: Turn, fanout: number = PUSH_MAX): void {
  for (const peer of somePeers(turn.state, fanout)) sendDigest(turn, peer, false)
}

function sendDigest(turn: Turn, peer: NodeId, pull: boolean): void {
  const { durable, genesisId } = turn.state
  const plan = durable.certified
  send(turn, peer, {
    kind: 'digest',
    records: digestOf(turn),
    genesis: genesisId,
    plan: plan === null ? null : { term: term(plan.term), index: plan.index },
    pull,
  })
}

const inventoryOf = (state: NodeState, parts: readonly number[] | null = null): [NodeId, number][] =>
  recordsIn(state, parts)
    .map(({ record }): [NodeId, number] => [record.id, record.seq])
    .sort(([a], [b]) => compareText(a, b))

function digestOf(turn: Turn): string {
  const { gossip } = turn.state
  gossip.digest ??= hashOf(
    turn.crypto,
    'records',
    gossip.parts === null ? inventoryOf(turn.state) : gossip.parts.map((part) => digestOfPart(turn, part)),
  ).slice(0, 16)
  return gossip.digest
}

function digestOfPart(turn: Turn, part: BookPart): string {
  part.digest ??= hashOf(
    turn.crypto,
    'records',
    sortedBy(part.seqs, ([id]) => id),
  ).slice(0, 8)
  return part.digest
}

const somePeers = (state: NodeState, count: number): NodeId[] => {
  const peers = [...state.links.keys()]
  return peers.length <= count ? peers : someOf(state, peers, count)
}

/** So many in a row, from anywhere on. */
function someOf<T>(state: NodeState, items: readonly T[], count: number): T[] {
  const first = jitter(state, items.length)
  return [...items.slice(first, first + count), ...items.slice(0, Math.max(0, first + count - items.length))]
}
