/**
 * The directory of a lab, and the note in it that tells a later run whose it is: so that what a crashed or
 * a kept lab left can be found by name and taken away, and nothing else ever is.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { signal } from './machine.ts'

/** On disk also where /tmp is memory: a state directory in memory is something that muster refuses. */
const PARENT = '/var/tmp'
const PREFIX = 'muster-lab-'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessMark {
  readonly pid: number
  /** Clock ticks since boot at which it started (proc(5), field 22). */
  readonly startTime: string
}

export interface LabNote {
  readonly name: string
  readonly owner: ProcessMark
  /** What runs the machines; killing them ends the lab, with all processes that name its directory. */
  readonly processes: readonly ProcessMark[]
  /** Left running on purpose. */
  readonly kept: boolean
}

/** Makes `/var/tmp/muster-lab-<name>-XXXXXX`. */
export function makeLabDirectory(name: string): string {
  return mkdtempSync(join(PARENT, `${PREFIX}${name}-`))
}

export function writeNote(directory: string, note: LabNote): void {
  writeFileSync(join(directory, 'lab.json'), `${JSON.stringify(note, null, 2)}\n`)
}

/** Null where the process does not exist. */
export function markOf(pid: number): ProcessMark | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, in parentheses, may hold spaces; field 22 is the 20th after it.
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return startTime === undefined ? null : { pid, startTime }
  } catch {
    return null
  }
}

function runs(mark: ProcessMark): boolean {
  return markOf(mark.pid)?.startTime === mark.startTime
}

/** Processes with `path` in their command line: one below a lab's directory is nobody else's. */
export function processesNaming(path: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path)
      } catch {
        return false
      }
    })
}

/**
 * Takes away what labs whose name begins with `name` left behind: those whose owner died, and with
 * `alsoKept` those that were left running on purpose. Returns the directories that it removed.
 */
export function cleanStale(name = '', { alsoKept = false } = {}): string[] {
  const removed: string[] = []
  for (const entry of readdirSync(PARENT)) {
    if (!entry.startsWith(`${PREFIX}${name}`)) continue
    const directory = join(PARENT, entry)
    const note = readNote(directory)
    if (note === null || (note.kept ? !alsoKept : runs(note.owner))) continue
    for (const mark of note.processes) {
      if (runs(mark)) signal(mark.pid, 'SIGKILL')
    }
    for (const pid of processesNaming(`${directory}/`)) signal(pid, 'SIGKILL')
    removeLabDirectory(directory)
    removed.push(directory)
  }
  return removed
}

/** A dying process may still write for a moment: tried a few times. */
export function removeLabDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
}

function readNote(directory: string): LabNote | null {
  try {
    return JSON.parse(readFileSync(join(directory, 'lab.json'), 'utf8')) as LabNote
  } catch {
    return null
  }
}
