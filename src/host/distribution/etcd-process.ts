/**
 * The etcd process. It is no part of ours: a daemon that is killed or upgraded must not take a member of the
 * datastore with it. So etcd runs detached, in a session of its own and with its output in a file, and the
 * next daemon finds it again.
 *
 * It is found by what it is, not by a number in a file: a process of this program in this network namespace,
 * given this data directory, for which that path is this very directory (containers may share process IDs).
 * A PID file would be stale after a crash and absent in the moment between the start and its writing; this is
 * never either. Once found, PID and start time together name the process for as long as it lives.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, readFileSync } from 'node:fs'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { EtcdLog } from './etcd-log.ts'
import { noEtcd, unknownEtcd, unusableEtcd } from './problems.ts'
import { PRESENCE_MS } from './timing.ts'

export interface EtcdProcess {
  readonly pid: number
  readonly args: readonly string[]
  /** Started by an earlier daemon. */
  readonly isAdopted: boolean
  /** Bytes in the log when it started, or was found. */
  readonly logOffset: number
  /** Monotonic milliseconds, likewise. */
  readonly since: number
  isRunning(): boolean
  /** `code 1`, `signal SIGKILL`; of an adopted process nothing is known. */
  howItEnded(): string
  /** Asks it to end, kills it after `graceMs`; resolves when it is gone. */
  end(graceMs: number): Promise<void>
}

/** Calls that wake the caller's loop; may come late, or more than once. */
export type OnExit = () => void

/**
 * Those whose flags are the ones that we give. Before 3.4 there are no learners, and a datastore that an etcd of
 * another series has opened may be closed to those before it.
 */
const KNOWN_SERIES: readonly string[] = ['3.4', '3.5']

/**
 * @returns the version, such as 3.4.23
 * @throws DatastoreError where the program is missing, cannot run, or is of a series that is not known
 */
export async function etcdVersion(binary: string): Promise<string> {
  const result = await execa(binary, ['--version'], {
    reject: false,
    timeout: 10_000,
    env: ENVIRONMENT,
    extendEnv: false,
  })
  if (result.code === 'ENOENT') throw noEtcd(binary)
  const version = /^etcd Version: (\S{1,32})/m.exec(result.stdout)?.[1]
  if (result.failed || version === undefined) {
    throw unusableEtcd(binary, result.stderr || (result.shortMessage ?? result.stdout))
  }
  const series = version.split('.').slice(0, 2).join('.')
  if (!KNOWN_SERIES.includes(series)) throw unknownEtcd(binary, version, KNOWN_SERIES)
  return version
}

export async function startEtcd(
  binary: string,
  args: readonly string[],
  log: EtcdLog,
  onExit: OnExit,
): Promise<EtcdProcess> {
  const logOffset = log.size()
  const output = log.open()
  let child: ChildProcess
  try {
    child = spawn(binary, args, {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: '/',
      env: ENVIRONMENT,
    })
  } finally {
    closeSync(output)
  }
  child.once('exit', onExit)
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw unusableEtcd(binary, error instanceof Error ? error.message : String(error))
  }
  child.unref()
  const pid = child.pid ?? 0
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  return {
    pid,
    args,
    isAdopted: false,
    logOffset,
    since: performance.now(),
    isRunning,
    howItEnded: () => (child.signalCode === null ? `code ${child.exitCode}` : `signal ${child.signalCode}`),
    end: (graceMs) => endProcess(pid, isRunning, graceMs),
  }
}

/** @returns the etcd that already serves this data directory, null where none does. */
export async function findEtcd(
  binary: string,
  dataDirectory: string,
  log: EtcdLog,
  onExit: OnExit,
): Promise<EtcdProcess | null> {
  const own = await identity(dataDirectory)
  if (own === null) return null
  const network = await readlink('/proc/self/ns/net')
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const pid = Number(entry)
    const args = await argumentsOf(pid)
    if (args === null || basename(args[0] ?? '') !== basename(binary)) continue
    if (!args.includes(`--data-dir=${dataDirectory}`)) continue
    if ((await readlink(`/proc/${pid}/ns/net`).catch(() => null)) !== network) continue
    if ((await identity(`/proc/${pid}/root${dataDirectory}`)) !== own) continue
    const startTime = startTimeOf(pid)
    if (startTime === null) continue
    const isRunning = (): boolean => startTimeOf(pid) === startTime
    const watch = setInterval(() => {
      if (isRunning()) return
      clearInterval(watch)
      onExit()
    }, PRESENCE_MS)
    watch.unref()
    return {
      pid,
      args: args.slice(1),
      isAdopted: true,
      logOffset: log.size(),
      since: performance.now(),
      isRunning,
      howItEnded: () => 'not our child, so nothing more is known',
      end: (graceMs) => endProcess(pid, isRunning, graceMs),
    }
  }
  return null
}

/**
 * Nothing else of our environment: etcd reads ETCD_… from it, and ours may name a token. etcd 3.4 starts on ARM
 * only when this variable says that we know.
 */
const ENVIRONMENT: NodeJS.ProcessEnv = {
  PATH: process.env.PATH,
  ...(process.arch.startsWith('arm') ? { ETCD_UNSUPPORTED_ARCH: process.arch } : {}),
}

async function identity(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null)
  return found === null ? null : `${found.dev}:${found.ino}`
}

async function argumentsOf(pid: number): Promise<string[] | null> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text === '' ? null : text.split('\0').slice(0, -1)
}

/** In clock ticks since boot; null for what is gone or a zombie. */
function startTimeOf(pid: number): string | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null
  }
  // The second field, the name, may itself hold spaces and parentheses: proc(5).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, startTime] = [fields[0], fields[19]]
  return state === 'Z' || state === 'X' || startTime === undefined ? null : startTime
}

async function endProcess(pid: number, isRunning: () => boolean, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs
  signal(pid, isRunning, 'SIGTERM')
  while (isRunning() && performance.now() < deadline) await sleep(25)
  signal(pid, isRunning, 'SIGKILL')
  while (isRunning()) await sleep(25)
}

function signal(pid: number, isRunning: () => boolean, name: 'SIGTERM' | 'SIGKILL'): void {
  if (!isRunning()) return
  try {
    process.kill(pid, name)
  } catch (error) {
    // It ended in between.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
