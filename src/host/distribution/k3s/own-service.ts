/**
 * k3s as a detached process of muster's own, where no service manager is. k3s writes over its command line and with
 * it its environment, so it is found by what it cannot change: it leads a session in this network namespace, and
 * its output goes into this very file.
 */
import { readdir, readlink } from 'node:fs/promises'
import {
  adoptDetached,
  type DetachedProcess,
  identity,
  leadsSession,
  type OnExit,
  startDetached,
} from '../detached.ts'
import { OutputLog } from '../output-log.ts'
import { type Supervised, Supervisor } from '../supervisor.ts'
import { K3S_END_GRACE_MS } from '../timing.ts'
import { explain } from './k3s-log.ts'
import { unusableBinary } from './problems.ts'
import type { Launch, Owner, Service } from './service.ts'

export function ownService(logPath: string, owner: Owner): Service {
  const log = new OutputLog(logPath)
  let launch: Launch | null = null
  const supervised: Supervised = {
    onExit: owner.onExit,
    note: owner.note,
    find: (onExit) => findByOutput(log, onExit),
    async start(args, onExit) {
      if (launch === null) throw new Error('nothing is to be started')
      try {
        return await startDetached(launch.binary, args, launch.environment, log, onExit)
      } catch (error) {
        throw unusableBinary(launch.binary, error instanceof Error ? error.message : String(error))
      }
    },
    autopsy(ended, failures) {
      const words = explain(log.tail(ended.logOffset))
      return {
        said: words.text,
        wasRemoved: words.cause === 'removed',
        failure: owner.failureOf(words, ended.howItEnded(), failures),
      }
    },
  }
  const supervisor = new Supervisor(supervised, K3S_END_GRACE_MS)
  return {
    get isRunning() {
      return supervisor.process !== null
    },
    get failure() {
      return supervisor.failure
    },
    get wasRemoved() {
      return supervisor.wasRemoved
    },
    get restartAt() {
      return supervisor.restartAt
    },
    adopt: () => supervisor.adopt(),
    notice: async (now) => supervisor.notice(now),
    async start(next) {
      launch = next
      await supervisor.start([...next.args, ...next.extra])
    },
    end: (why) => supervisor.end(why),
    // Without a service manager only muster itself starts anything, after a reboot too.
    enable: async () => undefined,
    forgive: () => supervisor.forgive(),
    rotate: () => log.rotate(),
  }
}

async function findByOutput(log: OutputLog, onExit: OnExit): Promise<DetachedProcess | null> {
  const pid = await pidByOutput(log)
  return pid === null ? null : adoptDetached(pid, [], log, onExit)
}

/** @returns the session leader whose output goes into this log, null where none does */
export async function pidByOutput(log: OutputLog): Promise<number | null> {
  const own = await identity(log.path)
  if (own === null) return null
  const network = await readlink('/proc/self/ns/net')
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const pid = Number(entry)
    if (!leadsSession(pid) || (await identity(`/proc/${pid}/fd/2`)) !== own) continue
    if ((await readlink(`/proc/${pid}/ns/net`).catch(() => null)) === network) return pid
  }
  return null
}
