/** What a process costs, read from the kernel's own books. */
import { readFileSync } from 'node:fs'

/** The kernel's USER_HZ, which is 100 on every architecture that Linux exposes it on. */
const TICKS_PER_SECOND = 100

export interface Memory {
  /** Resident set, MiB. */
  readonly rss: number
  /** Of that, what the process wrote itself: heaps and stacks. The rest are pages of the node executable, MiB. */
  readonly own: number
}

/** CPU seconds that the process has used so far, in user and kernel mode. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // proc(5): fields 14 and 15, utime and stime; field 3 is the first after the name.
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

export function memory(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mebibytes = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+([0-9]+) kB$`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024
  return { rss: mebibytes('Rss'), own: mebibytes('Anonymous') }
}
