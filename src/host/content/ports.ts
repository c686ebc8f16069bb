/** What getting an artefact needs of the node around it, and what it tells. */
import type { LogFields } from '../../core/events.ts'
import type { NodeId } from '../../core/ids.ts'
import type { Streams } from '../network/streams.ts'
import type { ContentError } from './errors.ts'
import type { OriginOptions } from './origin.ts'
import type { Pace } from './pace.ts'
import type { ContentStore } from './store.ts'

export interface ContentNetwork {
  readonly id: NodeId
  connected(): readonly NodeId[]
  readonly streams: Streams
}

export interface ContentMember {
  readonly id: NodeId
  readonly alive: boolean
}

export interface Progress {
  readonly bytes: number
  /** Null until known. */
  readonly size: number | null
  /** Where the bytes of this run came from. */
  readonly from: { readonly origin: number; readonly peers: number; readonly reused: number }
  readonly problem: ContentError | null
}

export interface Teller {
  log(level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: LogFields): void
  count(name: string, labels?: Readonly<Record<string, string>>): void
}

export interface DownloadPorts extends Teller {
  readonly store: ContentStore
  readonly origin: OriginOptions
  readonly pace: Pace
  network(): ContentNetwork | null
  /** Admitted and not revoked, without this node. */
  members(): readonly ContentMember[]
  /** Removes what nobody needs. */
  makeRoom(): Promise<void>
  /** What the others are told has changed. */
  onChange(): void
  onProgress(progress: Progress): void
}
