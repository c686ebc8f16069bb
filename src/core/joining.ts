/**
 * How a node without a genesis comes to one that others made: decides which to ask for and which to believe.
 * A pinned token joins its own cluster only; an unpinned node joins none while it sees two, and none that
 * expects another number of machines than itself (DESIGN.md section 7).
 */
import { type CertifiedGenesis, verifyCertifiedGenesis } from './genesis.ts'
import { freshInAnyOrder } from './gossip.ts'
import type { Digest, Millis, NodeId } from './ids.ts'
import type { MessageOf } from './protocol.ts'
import type { NodeState } from './state.ts'
import { GENESIS_ASK_MS, GENESIS_REFUSED_MS } from './timing.ts'
import { after, log, persist, refuse, send, type Turn } from './turn.ts'

export interface JoiningState {
  /** When a genesis may be asked for again. */
  askAt: Millis
  /** The last genesis that was not joined and why, so that it is said once. */
  refused: string
}

export const startJoining = (now: Millis): JoiningState => ({ askAt: now, refused: '' })

/** Geneses that living nodes show, in order. */
export function visibleGeneses(state: NodeState, now: Millis): Digest[] {
  const ids = freshInAnyOrder(state, now)
    .map((record) => record.genesis)
    .filter((id) => id !== null)
  return [...new Set(state.genesisId === null ? ids : [state.genesisId, ...ids])].sort()
}

/** A peer showed a genesis: ask for it, if it may be ours. */
export function considerGenesis(turn: Turn, from: NodeId, shown: Digest | null): void {
  const { state } = turn
  if (shown === null || state.genesisId !== null || state.blocked !== null) return
  if (state.settings.pin !== null && state.settings.pin !== shown) return
  if (turn.now < state.joining.askAt) return
  state.joining.askAt = after(turn, state.joining.refused === '' ? GENESIS_ASK_MS : GENESIS_REFUSED_MS)
  send(turn, from, { kind: 'genesis.pull' })
}

export function handleGenesisPull(turn: Turn, from: NodeId): void {
  const { genesis } = turn.state.durable
  if (genesis !== null) send(turn, from, { kind: 'genesis.share', certified: genesis })
}

export function handleGenesisShare(turn: Turn, from: NodeId, message: MessageOf<'genesis.share'>): void {
  const { state } = turn
  if (state.genesisId !== null || state.blocked !== null) return
  const id = verifyCertifiedGenesis(turn.crypto, state.settings.networkId, message.certified)
  if (id === null) {
    refuse(turn, from, 'genesis', 'its certificate does not prove it')
    return
  }
  const fault = reasonAgainst(turn, id, message.certified)
  if (fault !== null) {
    const said = `${id} ${fault}`
    if (state.joining.refused === said) return
    state.joining.refused = said
    log(turn, 'warn', 'genesis.not-joined', { genesis: id, why: fault })
    return
  }
  persist(turn, { genesis: message.certified })
}

function reasonAgainst(turn: Turn, id: Digest, { genesis }: CertifiedGenesis): string | null {
  const { state, now } = turn
  const { pin, expect } = state.settings
  if (pin !== null) return pin === id ? null : 'the token is pinned to another cluster'
  if (genesis.expect !== expect) return `it expects ${genesis.expect} machines, this node ${expect}`
  return visibleGeneses(state, now).some((other) => other !== id) ? 'two clusters are in sight' : null
}
