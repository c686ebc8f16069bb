/**
 * A process that is no part of ours: a daemon that is killed or upgraded must not take a server down with it. So
 * it runs detached, in a session of its own and with its output in a file, and the next daemon finds it again by
 * what it is. Once found, PID and start time together name it for as long as it lives.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OutputLog } from './output-log.ts'
import { PRESENCE_MS } from './timing.ts'

export interface DetachedProcess {
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

/** @throws what the kernel says where the program cannot be started */
export async function startDetached(
  binary: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  log: OutputLog,
  onExit: OnExit,
): Promise<DetachedProcess> {
  const logOffset = log.size()
  const output = log.open()
  let child: ChildProcess
  try {
    child = spawn(binary, args, {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: '/',
      env: environment,
    })
  } finally {
    closeSync(output)
  }
  child.once('exit', onExit)
  await once(child, 'spawn')
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

/** Takes over a process that an earlier daemon started; null where it is gone meanwhile. */
export function adoptDetached(
  pid: number,
  args: readonly string[],
  log: OutputLog,
  onExit: OnExit,
): DetachedProcess | null {
  const startTime = startTimeOf(pid)
  if (startTime === null) return null
  const isRunning = (): boolean => startTimeOf(pid) === startTime
  const watch = setInterval(() => {
    if (isRunning()) return
    clearInterval(watch)
    onExit()
  }, PRESENCE_MS)
  watch.unref()
  return {
    pid,
    args,
    isAdopted: true,
    logOffset: log.size(),
    since: performance.now(),
    isRunning,
    howItEnded: () => 'not our child, so nothing more is known',
    end: (graceMs) => endProcess(pid, isRunning, graceMs),
  }
}

/** What a path is, whatever it is called; null where there is nothing. */
export async function identity(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null)
  return found === null ? null : `${found.dev}:${found.ino}`
}

/** In clock ticks since boot; null for what is gone or a zombie. */
function startTimeOf(pid: number): string | null {
  const fields = statOf(pid)
  const [state, startTime] = [fields[0], fields[19]]
  return state === 'Z' || state === 'X' || startTime === undefined ? null : startTime
}

/** Whether the process leads a session, as whatever was started detached does. */
export const leadsSession = (pid: number): boolean => statOf(pid)[3] === String(pid)

/** The fields of proc(5)'s stat from the third on; none for what is gone. */
function statOf(pid: number): string[] {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return []
  }
  // The second field, the name, may itself hold spaces and parentheses.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
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
