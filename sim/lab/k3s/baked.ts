/** What differs from copy to copy of the program: its version, and how fast its clocks run. */
import { z } from 'zod'

const Baked = z.object({
  /** Such as v1.33.4+k3s1. */
  version: z.string().regex(/^v\d+\.\d+\.\d+\+k3s\d+$/),
  commit: z.string(),
  /** Factor of all of k3s' own intervals: 1 is as slow as k3s. */
  tempo: z.number().positive(),
})

export type Baked = z.infer<typeof Baked>

/** Written by {@link installK3s} above everything else in the file. */
declare const K3S_DOUBLE: unknown

export const baked: Baked = Baked.parse(K3S_DOUBLE)

/** k3s' interval of so many milliseconds as this copy keeps it. */
export const scaled = (ms: number): number => Math.max(20, Math.round(ms * baked.tempo))

/** Major and minor as one number that can be compared. */
export function minorOf(version: string): number {
  const [, major, minor] = /^v(\d+)\.(\d+)\./.exec(version) ?? []
  return Number(major) * 1000 + Number(minor)
}
