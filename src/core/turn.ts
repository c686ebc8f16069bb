/** One turn of a node: the event's time, the state, and the effects collected so far, in order. */
import { statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import type { Effect } from './events.ts'
import { type Millis, millis, type NodeId } from './ids.ts'
import type { Message } from './protocol.ts'
import type { Durable, NodeState } from './state.ts'

export interface Turn {
  readonly now: Millis
  readonly crypto: Crypto
  readonly state: NodeState
  readonly effects: Effect[]
  /** The durable state changed: it is written before anything else of this turn happens. */
  dirty: boolean
}

/** Changes durable state: the write is the first effect of the turn, before everything that depends on it. */
export function persist(turn: Turn, changes: Partial<Durable>): void {
  turn.state.durable = { ...turn.state.durable, ...changes }
  turn.dirty = true
}

export function send(turn: Turn, to: NodeId, message: Message): void {
  if (to !== turn.state.id) turn.effects.push({ kind: 'send', to, message })
}

export function sendAll(turn: Turn, to: Iterable<NodeId>, message: Message): void {
  for (const id of to) send(turn, id, message)
}

type Fields = Readonly<Record<string, string | number | boolean | null>>

/** A log line with a stable name; also counted under that name. */
export function log(turn: Turn, level: 'debug' | 'info' | 'warn', event: string, fields: Fields = {}): void {
  turn.effects.push({ kind: 'log', level, event, fields })
}

/** Something from outside was not believed: counted and logged, with no other consequence. */
export function refuse(turn: Turn, from: NodeId, what: string, why: string): void {
  turn.effects.push({ kind: 'log', level: 'warn', event: 'message.refused', fields: { from, what, why } })
}

/** A number in [0, bound) for spreading timers (Marsaglia's xorshift32). */
export function jitter(state: NodeState, bound: number): number {
  let x = state.jitter
  x ^= x << 13
  x ^= x >>> 17
  x ^= x << 5
  state.jitter = x >>> 0
  return state.jitter % Math.max(1, Math.floor(bound))
}

/** 32 fresh secret bytes, from the run's entropy and a counter. */
export function draw(turn: Turn, label: string): Uint8Array {
  const { state } = turn
  state.draws += 1
  const hex = turn.crypto.hash(statement('draw', state.entropy, state.draws, label))
  return Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}

export const after = (turn: Turn, ms: number): Millis => millis(turn.now + ms)

/** A moment at which something is due, and why the node wakes up for it. */
export interface Deadline {
  readonly at: Millis
  readonly why: string
}

export const NEVER: Millis = millis(Number.MAX_SAFE_INTEGER)
