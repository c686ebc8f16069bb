/**
 * The port to whoever keeps k3s running on this machine: systemd, OpenRC, or muster itself. All three start it only
 * when told, find again what runs, and say why it ended.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LogFields } from '../../../core/events.ts'
import type { HostProblem } from '../../../core/orders.ts'
import type { LastWords } from './k3s-log.ts'
import type { Role } from './places.ts'

export interface Launch {
  readonly role: Role
  readonly binary: string
  /** Role and flags, as they are said at every start. */
  readonly args: readonly string[]
  /** Said at this start alone: they must not survive a reboot. */
  readonly extra: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export interface Service {
  /** It runs or is about to by itself, as of the last `adopt`, `start` or `notice`. */
  readonly isRunning: boolean
  /** Why it does not stay up, once that is worth saying. */
  readonly failure: HostProblem | null
  /** Its last exit was because the cluster has removed this member for good. */
  readonly wasRemoved: boolean
  /** Monotonic milliseconds before which it is not to be started. */
  readonly restartAt: number
  /** Takes over what runs already. @returns whether there is something */
  adopt(): Promise<boolean>
  /** Sees whether it ended, and why. @returns whether it did since the last look */
  notice(now: number): Promise<boolean>
  start(launch: Launch): Promise<void>
  /** Ends it, whoever started it, and does not let it come back by itself. */
  end(why: string): Promise<void>
  /** From now on it comes back after a reboot: this machine is a member. */
  enable(role: Role): Promise<void>
  /** What failed is over, or something else is wanted now. */
  forgive(): void
  /** Keeps its output small. */
  rotate(): void
}

/** What a service tells its owner. */
export interface Owner {
  /** It ended, or may have. */
  onExit(): void
  note(level: 'info' | 'warn', event: string, fields: LogFields): void
  /** What to tell people of an exit, null where it is not worth saying yet. */
  failureOf(words: LastWords, how: string, failures: number): HostProblem | null
}

export type ServiceManager = 'systemd' | 'openrc' | 'own'

/** As sd_booted(3) and OpenRC's own scripts do. */
export function serviceManager(root = '/'): ServiceManager {
  if (existsSync(join(root, 'run/systemd/system'))) return 'systemd'
  if (existsSync(join(root, 'run/openrc'))) return 'openrc'
  return 'own'
}

/** The unit's name: k3s' own installer calls them so, and other tools know them by it. */
export const serviceName = (role: Role): string => (role === 'server' ? 'k3s' : 'k3s-agent')
