/** What the API shows of a daemon, and what may be asked of it. The composition root provides it. */
import type { Command, CommandAnswer } from '../../core/commands.ts'
import type { ClusterSettings } from '../../core/settings.ts'
import type { HistoryEntry, StatusDocument } from '../../core/status.ts'
import type { CommandGiven } from '../driver.ts'
import type { LogEvent } from '../log.ts'

export const MACHINE_COMMANDS = ['adopt', 'reset'] as const

/**
 * adopt: a person says that this disk belongs to this machine. reset: a person wants this machine to be new; the
 * daemon stops what it runs, moves its state aside, answers, and ends.
 */
export type MachineCommand = { readonly kind: (typeof MACHINE_COMMANDS)[number] }

/** What the plan says that the files of all machines said on the first day, or a person since. */
export interface PlanSettings {
  readonly index: number
  readonly settings: ClusterSettings
}

/** An administrator's kubeconfig, which is a secret, or why there is none here. */
export type Kubeconfig =
  | { readonly ok: true; readonly kubeconfig: string }
  | { readonly ok: false; readonly message: string; readonly hint: string }

export interface DaemonView {
  status(): StatusDocument
  /** Oldest first. */
  history(): readonly HistoryEntry[]
  /** Null before there is a plan. */
  settings(): PlanSettings | null
  /** @param address that it reaches a server by: `lan`, `mesh`, `vip`, or a name or address as it is. */
  kubeconfig(address: string): Promise<Kubeconfig>
  /** Hands over every event from now on; the answer ends that. */
  subscribe(listener: (event: LogEvent) => void): () => void
  /** Prometheus' text format. */
  metrics(): Promise<string>
  /** About this machine alone. */
  command(command: MachineCommand): Promise<CommandAnswer>
  /** About the cluster: resolves once it is in the plan, or will not be, in bounded time. */
  order(command: Command, by: CommandGiven): Promise<CommandAnswer>
}
