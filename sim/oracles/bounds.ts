/**
 * That nothing grows without end: the messages and bytes that a node sends in ten seconds, the largest message,
 * and what is on a disk. Bytes are known where messages are encoded. Bounds are several times what was measured
 * over thousands of seeds; they are there for storms and leaks, not for frugality (the benchmark looks at that).
 */
import { encode } from '@ipld/dag-cbor'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import type { Violate } from './watch.ts'

export interface Bounds {
  sent(machine: Machine): void
  carried(machine: Machine, bytes: number): void
  /** Looks at the disks; called once in a while, as encoding them is dear. */
  weigh(): void
}

const WINDOW_MS = 10_000
/** To each peer, in one window. */
const MESSAGES_MAX = 500
const BYTES_MAX = 100_000
/** The largest carries a genesis with its promises, or all records: it grows with the machines. */
const MESSAGE_BYTES_MAX = 16 * 1024
const MESSAGE_BYTES_PER_MACHINE_MAX = 2 * 1024
/** A plan, a genesis and an accepted proposal with all their signatures. */
const DISK_BYTES_MAX = 16 * 1024
const DISK_BYTES_PER_MACHINE_MAX = 4 * 1024

/** @param isProvoked a liar asks for more than honest nodes ever do: traffic is not bounded then, sizes are. */
export function createBounds(violate: Violate, world: () => World, isProvoked: boolean): Bounds {
  const windows = new Map<number, { since: number; messages: number; bytes: number }>()

  const windowOf = ({ index }: Machine): { since: number; messages: number; bytes: number } => {
    const { now } = world()
    const known = windows.get(index)
    if (known !== undefined && now - known.since < WINDOW_MS) return known
    const fresh = { since: now, messages: 0, bytes: 0 }
    windows.set(index, fresh)
    return fresh
  }

  /** Who was frozen, or off, answers everything that waited for it: ten times as much, not without end. */
  const patienceWith = ({ awakeSince }: Machine): number =>
    world().now - awakeSince < 2 * WINDOW_MS && awakeSince > 0 ? 10 : 1

  return {
    sent: (machine) => {
      const window = windowOf(machine)
      window.messages += 1
      const peers = Math.max(1, world().machines.length - 1)
      if (!isProvoked && window.messages > MESSAGES_MAX * peers * patienceWith(machine)) {
        violate(
          11,
          `${machine.name} says more than ${MESSAGES_MAX} messages to each in ${WINDOW_MS / 1000} s`,
        )
      }
    },
    carried: (machine, bytes) => {
      const window = windowOf(machine)
      window.bytes += bytes
      const peers = Math.max(1, world().machines.length - 1)
      const largest = MESSAGE_BYTES_MAX + MESSAGE_BYTES_PER_MACHINE_MAX * world().machines.length
      if (bytes > largest) violate(11, `${machine.name} sends a message of ${bytes} bytes`)
      if (!isProvoked && window.bytes > BYTES_MAX * peers * patienceWith(machine)) {
        violate(11, `${machine.name} sends more than ${BYTES_MAX} bytes to each in ${WINDOW_MS / 1000} s`)
      }
    },
    weigh: () => {
      // They hold much the same, so that one is enough where their bytes are not at hand anyway.
      const { machines, encoded } = world()
      for (const { name, disk } of encoded ? machines : machines.slice(0, 1)) {
        if (disk.durable === null) continue
        const { length } = encode(disk.durable)
        const limit = DISK_BYTES_MAX + DISK_BYTES_PER_MACHINE_MAX * world().machines.length
        if (length > limit) violate(11, `${name} has ${length} bytes on its disk`)
      }
    },
  }
}
