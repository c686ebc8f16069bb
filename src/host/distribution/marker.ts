/**
 * The marker that says which datastore some data belongs to: inside the directory that holds the data, so that
 * the two can only move together. Nothing here ever deletes: what a node must not use is moved aside or left
 * (DESIGN.md rule 8).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { type Digest, digest } from '../../core/ids.ts'
import { makeDirectoryDurably, syncDirectory, writeDurably } from '../durable-file.ts'

/** Which datastore data belongs to. */
export interface Marker {
  readonly genesis: Digest
  /** Number of the initialisation, 1…. */
  readonly epoch: number
}

/** The part of DistributionFacts that the disk alone tells. */
export interface DataProbe {
  readonly dataPresent: boolean
  readonly dataEpoch: number | null
  readonly dataGenesis: Digest | null
}

export function sameDatastore(a: Marker | null, b: Marker): boolean {
  return a !== null && a.genesis === b.genesis && a.epoch === b.epoch
}

/** Durable when it resolves: a crash afterwards finds either this marker, or this marker and the data. */
export async function writeMarker(path: string, marker: Marker): Promise<void> {
  await makeDirectoryDurably(dirname(path))
  await writeDurably(path, `${JSON.stringify({ version: 1, ...marker })}\n`)
}

/** Null where there is none, or one that cannot be read. */
export function readMarker(path: string): Marker | null {
  try {
    const { genesis, epoch } = markerSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
    return { genesis: digest(genesis), epoch }
  } catch {
    return null
  }
}

/** Renames a directory, data and marker together, beside itself. @returns where it is now. */
export async function moveAside(directory: string, epoch: number): Promise<string> {
  let aside: string
  let n = 1
  do aside = `${directory}.aside-${epoch}-${n++}`
  while (existsSync(aside))
  await rename(directory, aside)
  await syncDirectory(dirname(directory))
  return aside
}

/** Everything that was moved aside from there and still is there, ordered. */
export function asideOf(directory: string): string[] {
  const parent = dirname(directory)
  return namesIn(parent)
    .filter((name) => name.startsWith(`${basename(directory)}.aside-`))
    .sort()
    .map((name) => join(parent, name))
}

/** What stands for the content of a directory that is there and cannot be read: it counts as somebody's data. */
export const UNREADABLE = '(unreadable)'

export function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    return code === 'ENOENT' || code === 'ENOTDIR' ? [] : [UNREADABLE]
  }
}

const markerSchema = z.strictObject({
  version: z.literal(1),
  genesis: z.string().regex(/^[0-9a-f]{64}$/),
  epoch: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
})
