/** What the API shows of a daemon, and what may be asked of it. The composition root provides it. */
import type { HistoryEntry, StatusDocument } from '../../core/status.ts'
import type { LogEvent } from '../log.ts'

export const COMMANDS = ['adopt', 'reset'] as const

/**
 * adopt: a person says that this disk belongs to this machine. reset: a person wants this machine to be new; the
 * daemon stops what it runs, moves its state aside, answers, and ends.
 */
export type Command = { readonly kind: (typeof COMMANDS)[number] }

export interface CommandResult {
  readonly ok: boolean
  /** For people: what was done, or why not. */
  readonly message: string
}

export interface DaemonView {
  status(): StatusDocument
  /** Oldest first. */
  history(): readonly HistoryEntry[]
  /** Hands over every event from now on; the answer ends that. */
  subscribe(listener: (event: LogEvent) => void): () => void
  /** Prometheus' text format. */
  metrics(): Promise<string>
  command(command: Command): Promise<CommandResult>
}
