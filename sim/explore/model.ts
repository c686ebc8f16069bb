/** What a model of the exhaustive search consists of: who hears what, which times may come, what must hold. */
import type { Event } from '../../src/core/events.ts'
import type { NodeId } from '../../src/core/ids.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { ClusterSettings } from '../../src/core/settings.ts'
import type { Durable, NodeState } from '../../src/core/state.ts'

/** No clock moves: what a core may do later it does when a {@link Move} says that the time has come. */
export const NOW = 1_000_000_000
export const FAR = 2_000_000_000
export const LONG_AGO = 0

/** A message that was sent: it stays in the network, to be delivered any number of times, in any order, or never. */
export interface Letter {
  readonly from: number
  readonly sender: NodeId
  readonly to: number
  readonly receiver: NodeId
  readonly message: Message
}

/** What somebody's disk or word says; two values under one key break the rule. */
export interface Claim {
  readonly rule: number
  readonly key: string
  readonly value: string
}

export interface Broken {
  readonly rule: number
  readonly message: string
}

/** A moment that comes: changes the times in the state so that it is due. */
export interface Move {
  readonly name: string
  /** @returns what then happens; null where there is nothing to come, or the bounds are reached. */
  comes(state: NodeState): Event | null
}

export const TIMER: Event = { kind: 'timer' }

export interface Bounds {
  readonly terms: number
  readonly crashes: number
}

export interface Model {
  readonly name: string
  readonly machines: number
  readonly expect: number
  readonly cluster: ClusterSettings
  readonly bounds: Bounds
  /** Messages that are delivered; the others do not exist here. */
  readonly hears: ReadonlySet<Message['kind']>
  readonly moves: readonly Move[]
  /** What is on the disks at the beginning; nothing where machines are new. */
  readonly disks: readonly (Durable | null)[]
  /** Sent before the beginning, by somebody outside. */
  readonly letters: readonly Letter[]
  /** What a machine with a new certified plan lets everyone else hear; nothing where it has no voice in this. */
  shares(before: Durable, after: Durable): readonly Message[]
  /** Takes the times out of a state. */
  settle(state: NodeState): void
  /**
   * Whether a letter can never again change anything: nothing of its receiver, as it is or may become, and
   * nothing that it would say in answer. Such a letter is taken out, so that states that differ in nothing
   * else are one. The core is asked whether it is so.
   */
  isOver(letter: Letter, receiver: NodeState, sender: NodeState): boolean
  onDisk(id: NodeId, durable: Durable): readonly Claim[]
  said(letter: Letter): readonly Claim[]
  /** One step of one machine: what came on its disk, and what it said. */
  faultOfStep(
    before: Durable,
    after: Durable,
    id: NodeId,
    said: readonly { readonly receiver: NodeId; readonly message: Message }[],
  ): Broken | null
  /** Asked when a machine came to hold a proof of its own making, or leads: what all disks must show then. */
  faultOfProof(durable: Durable, id: NodeId, disks: ReadonlyMap<NodeId, Durable>): Broken | null
  /** Whether the step from `before` to `after` is one that {@link Model.faultOfProof} looks at. */
  proves(before: Durable, after: Durable, said: readonly Message[]): boolean
}
