/**
 * A machine's disk: the durable state as it would be found after a power cut at this moment. Replacing is
 * atomic (host/store.ts: write, fsync, rename), so a cut in the middle leaves the old state or the new one.
 * In a share of the seeds every write passes through the real encoding and schema.
 */
import { decode, encode } from '../src/core/codec.ts'
import { type Durable, durableSchema } from '../src/core/state.ts'
import type { Random } from './random.ts'

/** Where in a write the machine dies. */
export type CrashPoint = 'before-write' | 'in-write' | 'after-write' | 'between-effects'

export interface Disk {
  /** What a start finds; null where nothing was ever written. */
  readonly durable: Durable | null
  /** Refuses writes: full, or read-only after an error. */
  full: boolean
  /** How long the next write takes, milliseconds. */
  latency(): number
  /** The write has reached the disk for good. */
  replace(durable: Durable): void
  /** The cut came in the middle: either is on the disk. @returns whether it is the new one. */
  tear(durable: Durable): boolean
  /** Another disk, or an old copy of this one, is put in. */
  restore(durable: Durable | null): void
}

export function createDisk(random: Random, latencies: readonly number[], encoded: boolean): Disk {
  let held: Durable | null = null
  const stored = (durable: Durable): Durable =>
    encoded ? durableSchema.parse(decode(encode(durable))) : durable
  return {
    get durable() {
      return held
    },
    full: false,
    latency: () => (latencies.length === 1 ? (latencies[0] ?? 0) : random.pick(latencies)),
    replace: (durable) => {
      held = stored(durable)
    },
    tear: (durable) => {
      if (random.perMille(500)) return false
      held = stored(durable)
      return true
    },
    restore: (durable) => {
      held = durable
    },
  }
}
