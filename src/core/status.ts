/** The status document, `muster/v1`: the contract with users and scripts. Fields are only ever added. */
import type { PathKind } from './orders.ts'

export type Stage =
  | 'discovering'
  | 'founding'
  | 'joining'
  | 'meshing'
  | 'distributing'
  | 'ready'
  | 'blocked'
  | 'leaving'

export interface StatusProblem {
  readonly code: string
  readonly severity: 'info' | 'warning' | 'error'
  /** RFC 3339, this machine's wall clock. */
  readonly since: string
  readonly message: string
  readonly hint: string
}

export interface StatusNode {
  readonly id: string
  readonly name: string
  readonly address: string | null
  readonly role: 'server' | 'agent' | 'pending'
  readonly stage: Stage | null
  readonly alive: boolean
  /** Age of the last sign of life, null where there was none since this daemon started. */
  readonly lastSeenMs: number | null
  readonly path: PathKind | 'self'
  readonly os: {
    readonly slot: string | null
    readonly version: string | null
    readonly digest: string | null
  }
}

/** New settings, or a new system, on its way to every node. */
export interface StatusRollout {
  readonly kind: 'distribution' | 'os'
  /** Counts up with every rollout of its kind. */
  readonly number: number
  readonly state: 'running' | 'paused' | 'halted' | 'done'
  /** Why it does not go on. */
  readonly reason: string | null
  /** What it brings: a version; null where only settings change. */
  readonly target: string | null
  readonly nodes: readonly {
    readonly name: string
    readonly role: 'server' | 'agent'
    readonly state: 'waiting' | 'changing' | 'done'
  }[]
}

export interface StatusDocument {
  readonly apiVersion: 'muster/v1'
  readonly self: {
    readonly id: string
    readonly name: string
    readonly stage: Stage
    readonly address: string | null
    readonly role: 'server' | 'agent' | 'pending'
  }
  readonly cluster: {
    /** Genesis ID, null before founding. */
    readonly id: string | null
    readonly network: string
    readonly state: 'discovering' | 'founding' | 'formed' | 'degraded' | 'conflict'
    readonly expect: number
    readonly era: string | null
    readonly term: number
    /** ID of the leader, null while there is none in sight. */
    readonly leader: string | null
    readonly planIndex: number | null
  }
  /** Ordered by name, then ID; self included. */
  readonly nodes: readonly StatusNode[]
  readonly distribution: {
    readonly kind: string
    readonly version: string | null
    readonly healthy: boolean
    readonly members: readonly { readonly name: string; readonly voter: boolean; readonly healthy: boolean }[]
  }
  readonly act: {
    readonly kind: string
    readonly node: string
    readonly attempt: number
    readonly ageMs: number
  } | null
  /** The last one; null before the first. */
  readonly rollout: StatusRollout | null
  readonly waitingFor: readonly string[]
  readonly problems: readonly StatusProblem[]
}

/** One line of `muster history`: what the plan went through, oldest first. */
export interface HistoryEntry {
  readonly index: number
  readonly term: number
  /** RFC 3339 by the wall clock of the leader that proposed it; null where unknown (the founding). */
  readonly at: string | null
  /** Stable name of the cause: `founded`, `admitted`, `initialise`, `datastore.done`, `joined`, … */
  readonly cause: string
  readonly node: string | null
  readonly text: string
  /** Of a person's command: who gave it, on which node, and why. */
  readonly by: { readonly who: string; readonly where: string; readonly why: string | null } | null
}
