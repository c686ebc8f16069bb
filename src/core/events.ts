/** What happens to a node, and what it wants done: the whole surface between core and host. */
import type { Command, CommandAnswer, SignedCommand } from './commands.ts'
import type { Digest, NodeId } from './ids.ts'
import type { LeaderRecord } from './leader-record.ts'
import type { DistributionFacts, DistributionOrder, MeshFacts, MeshOrder } from './orders.ts'
import type { Message } from './protocol.ts'
import type { Claim } from './record.ts'
import type { Settings } from './settings.ts'
import type { Durable } from './state.ts'

/** What the host knows when the daemon starts. */
export interface Start {
  readonly id: NodeId
  readonly settings: Settings
  readonly claim: Claim
  readonly version: string
  /** Hash of the machine's own ID; null where it has none. */
  readonly fingerprint: Digest | null
  /** Why the state directory does not survive a reboot; null where it does. */
  readonly ephemeral: string | null
  /** What became of a state that was there and cannot be read; null where it can, or there never was one. */
  readonly damaged: { readonly message: string; readonly hint: string } | null
  /** 32 random bytes, new at every start. */
  readonly entropy: Uint8Array
  /** Wall clock, milliseconds since 1970. */
  readonly wallMs: number
  readonly durable: Durable | null
  readonly distribution: DistributionFacts
}

export type Event =
  | { readonly kind: 'timer' }
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: Message }
  /** A connection to a peer that holds the token opened; its ID is proven. */
  | { readonly kind: 'connected'; readonly peer: NodeId }
  | { readonly kind: 'disconnected'; readonly peer: NodeId }
  /** Own addresses changed: for libp2p, for WireGuard (`ip:port`), and the first LAN address. */
  | {
      readonly kind: 'addresses'
      readonly addresses: readonly string[]
      readonly endpoints: readonly string[]
      readonly lanAddress: string | null
    }
  | { readonly kind: 'mesh'; readonly facts: MeshFacts }
  | { readonly kind: 'distribution'; readonly facts: DistributionFacts }
  /** Answers to a look-up in the DHT: hints until their signatures are checked. */
  | { readonly kind: 'leader-records'; readonly records: readonly LeaderRecord[] }
  /** A person commands; who gave it at this node's socket, and why, is for the history. */
  | {
      readonly kind: 'command'
      /** The host's own number for it, in the answer again. */
      readonly request: string
      readonly command: Command
      readonly who: string
      readonly why: string | null
      readonly operator: SignedCommand | null
    }
  /** A person says that this disk belongs to this machine (`muster adopt`). */
  | { readonly kind: 'adopt' }

export type LogFields = Readonly<Record<string, string | number | boolean | null>>

/**
 * Carried out in order. `persist`, where present, is the first: when it fails, nothing after it may happen
 * before it has succeeded.
 */
export type Effect =
  | { readonly kind: 'persist'; readonly durable: Durable }
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: Message }
  | { readonly kind: 'dial'; readonly peer: NodeId; readonly addresses: readonly string[] }
  | { readonly kind: 'mesh'; readonly order: MeshOrder }
  | { readonly kind: 'distribution'; readonly order: DistributionOrder }
  | { readonly kind: 'publish'; readonly record: LeaderRecord }
  | { readonly kind: 'lookup'; readonly genesis: Digest }
  /** How a command ended: exactly one for each. */
  | ({ readonly kind: 'answer'; readonly request: string } & CommandAnswer)
  /** With whom no connection may be, from now on: the whole list, whenever it changes. */
  | { readonly kind: 'shun'; readonly peers: readonly NodeId[] }
  | {
      readonly kind: 'log'
      readonly level: 'debug' | 'info' | 'warn'
      readonly event: string
      readonly fields: LogFields
    }
