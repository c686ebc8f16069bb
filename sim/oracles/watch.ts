/** What an oracle sees: everything that reaches a disk or leaves a machine, in order, and nothing else. */
import type { Effect, LogFields } from '../../src/core/events.ts'
import type { NodeId } from '../../src/core/ids.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import type { Datastore } from '../datastore.ts'
import type { K3sOrder } from '../k3s.ts'
import type { Machine } from '../machine.ts'

export type Order = Extract<Effect, { kind: 'mesh' | 'distribution' }>

/** One rule's eyes. None of these may ask the core whether it is right. */
export interface Oracle {
  /** `durable` is on the disk of this identity for good; `before` is what was there. */
  persisted?(id: NodeId, durable: Durable, before: Durable | null): void
  /** The message leaves; what `machine.disk` has now is what it may speak of. */
  sent?(machine: Machine, to: NodeId, message: Message): void
  ordered?(machine: Machine, order: Order): void
  /** A core says something of note; only what it should never have to say is of interest. */
  logged?(machine: Machine, event: string, fields: LogFields): void
  datastoreJoined?(machine: Machine, datastore: Datastore): void
  /** This machine took a member, voter or learner, out of the datastore's list. */
  datastoreLeft?(machine: Machine, target: NodeId): void
  /** Its k3s gets other settings, or its first; `wasRunning`: it is taken down for them. */
  k3sChanged?(
    machine: Machine,
    order: K3sOrder,
    before: { readonly revision: number | null; readonly version: string },
    wasRunning: boolean,
  ): void
  snapshotTaken?(machine: Machine, name: string): void
}

/** @param rule number in DESIGN.md section 2. */
export type Violate = (rule: number, message: string) => void

/** Position of an entry, compared as elections compare it: first the term, then the index. */
export interface Position {
  readonly term: number
  readonly index: number
}
export const isBefore = (a: Position, b: Position): boolean =>
  a.term < b.term || (a.term === b.term && a.index < b.index)
