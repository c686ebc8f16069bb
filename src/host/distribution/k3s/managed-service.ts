/**
 * k3s as a service of systemd or OpenRC: they start it at boot once it is enabled and restart it when it fails, so
 * that it does not need a muster that runs; muster writes the unit, says when k3s may run, and watches.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostProblem } from '../../../core/orders.ts'
import { writeDurably } from '../../durable-file.ts'
import { HEADER } from './configuration.ts'
import { contentOf, keepFile, moveForeignAside } from './files.ts'
import type { LastWords } from './k3s-log.ts'
import type { Role } from './places.ts'
import { type Launch, type Owner, type Service, serviceName } from './service.ts'
import { environmentText, permitPath, START_VARIABLE, startPath } from './unit.ts'

export interface Seen {
  /** Main process; null where none runs. */
  readonly pid: number | null
  /** It runs, or will by itself. */
  readonly isWanted: boolean
  /** How often it was started again by itself. */
  readonly restarts: number
  /** `exit-code 1`. */
  readonly how: string
}

/** One service manager. Roles are units of their own, of which at most one may ever run. */
export interface Manager {
  /** Where the unit of the role is. */
  unitPath(role: Role): string
  environmentPath(role: Role): string
  unitText(launch: Launch): string
  readonly unitMode: number
  /** The unit's text has changed. */
  reload(): Promise<void>
  look(role: Role): Promise<Seen>
  start(role: Role): Promise<void>
  stop(role: Role): Promise<void>
  enable(role: Role): Promise<void>
  disable(role: Role): Promise<void>
  lastWords(role: Role): Promise<LastWords>
}

const ROLES: readonly Role[] = ['server', 'agent']

export function managedService(manager: Manager, run: string, owner: Owner): Service {
  let role: Role | null = null
  let seen: Seen | null = null
  let failures = 0
  let failure: HostProblem | null = null
  let wasRemoved = false

  const isOurs = (text: string): boolean => text.includes(HEADER)
  /** A unit of the same name that somebody else wrote is theirs to start and to stop. */
  const isOurUnit = async (which: Role): Promise<boolean> =>
    isOurs((await contentOf(manager.unitPath(which))) ?? '')
  const forgive = (): void => {
    failures = 0
    failure = null
    wasRemoved = false
  }

  const endAll = async (why: string): Promise<void> => {
    await rm(permitPath(run), { force: true })
    for (const each of ROLES) {
      if (!(await isOurUnit(each))) continue
      const found = await manager.look(each)
      if (found.isWanted || found.pid !== null) {
        owner.note('info', 'datastore.ending', { unit: serviceName(each), why })
        await manager.stop(each)
      }
      await manager.disable(each)
    }
    role = null
    seen = null
    forgive()
  }

  return {
    get isRunning() {
      return seen?.isWanted ?? false
    },
    get failure() {
      return failure
    },
    get wasRemoved() {
      return wasRemoved
    },
    // The service manager has its own pause between two starts.
    restartAt: 0,
    async adopt() {
      for (const each of ROLES) {
        if (!(await isOurUnit(each))) continue
        const found = await manager.look(each)
        if (found.pid === null && !found.isWanted) continue
        role = each
        seen = found
        owner.note('info', 'datastore.adopted', { unit: serviceName(each), pid: found.pid ?? 0 })
        return true
      }
      return false
    },
    async notice() {
      if (role === null || seen === null) return false
      const before = seen
      seen = await manager.look(role)
      const hasEnded = seen.restarts > before.restarts || (!seen.isWanted && before.isWanted)
      if (!hasEnded) return false
      failures += Math.max(1, seen.restarts - before.restarts)
      const words = await manager.lastWords(role)
      wasRemoved = words.cause === 'removed'
      failure = owner.failureOf(words, seen.how, failures)
      owner.note('warn', 'datastore.exited', { how: seen.how, said: words.text, failures })
      return true
    },
    async start(launch) {
      const other = launch.role === 'server' ? 'agent' : 'server'
      if (await isOurUnit(other)) {
        await manager.stop(other)
        await manager.disable(other)
      }
      const unit = manager.unitPath(launch.role)
      await moveForeignAside(unit, isOurs)
      await keepFile(manager.environmentPath(launch.role), environmentText(launch.environment))
      if (await keepFile(unit, manager.unitText(launch), manager.unitMode)) await manager.reload()
      await mkdir(run, { recursive: true, mode: 0o700 })
      await writeDurably(startPath(run), environmentText({ [START_VARIABLE]: launch.extra.join(' ') }))
      await writeDurably(permitPath(run), '')
      await manager.start(launch.role)
      role = launch.role
      seen = await manager.look(role)
      owner.note('info', 'datastore.started', { unit: serviceName(role), failures })
    },
    end: endAll,
    async enable(which) {
      await rm(startPath(run), { force: true })
      await manager.enable(which)
    },
    forgive,
    rotate: () => undefined,
  }
}

export const environmentBeside = (directory: string, role: Role, ending: string): string =>
  join(directory, `${serviceName(role)}${ending}`)
