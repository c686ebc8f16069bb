/**
 * The datastore's data on this disk and the marker that says whose it is. Nothing here ever deletes: what a
 * node must not use is moved aside or left (DESIGN.md rule 8).
 *
 *     <directory>/data/marker.json      genesis and epoch, synced before etcd first starts
 *     <directory>/data/etcd/member/     etcd's own
 *     <directory>/data.aside-1-1/       the same, abandoned: epoch 1, first time
 *     <directory>/etcd.log              what etcd says
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Digest, digest } from '../../core/ids.ts'
import { syncDirectory, writeDurably } from '../durable-file.ts'

/** Which datastore data belongs to. */
export interface Marker {
  readonly genesis: Digest
  /** Number of the initialisation, 1…. */
  readonly epoch: number
}

export interface DataState {
  /** There is a write-ahead log: etcd starts as the member that it says, whatever its flags say. */
  readonly hasLog: boolean
  /** There is something of etcd's: a log, or at least files of a start that did not get that far. */
  readonly isPresent: boolean
  /** Null where there is none, or one that cannot be read. May be there without data: etcd was not started. */
  readonly marker: Marker | null
}

/** The part of DistributionFacts that the disk alone tells. */
export interface DataProbe {
  readonly dataPresent: boolean
  readonly dataEpoch: number | null
  readonly dataGenesis: Digest | null
}

/**
 * What the disk says, before anything is started. Never throws: what cannot be read counts as somebody's
 * data, because the one mistake that cannot be mended is to found or initialise beside it (rule 4).
 */
export function probe(directory: string): DataProbe {
  const { isPresent, marker } = readData(directory)
  return { dataPresent: isPresent, dataEpoch: marker?.epoch ?? null, dataGenesis: marker?.genesis ?? null }
}

export const dataDirectory = (directory: string): string => join(directory, 'data')
export const etcdDirectory = (directory: string): string => join(directory, 'data', 'etcd')
const markerPath = (directory: string): string => join(directory, 'data', 'marker.json')

export function readData(directory: string): DataState {
  const member = join(etcdDirectory(directory), 'member')
  const files = namesIn(member)
  const hasLog = namesIn(join(member, 'wal')).some((name) => name.endsWith('.wal') || name === UNREADABLE)
  return { hasLog, isPresent: files.length > 0, marker: readMarker(directory) }
}

export function sameDatastore(a: Marker | null, b: Marker): boolean {
  return a !== null && a.genesis === b.genesis && a.epoch === b.epoch
}

/** Durable when it resolves: a crash afterwards finds either this marker, or this marker and etcd's data. */
export async function writeMarker(directory: string, marker: Marker): Promise<void> {
  const data = dataDirectory(directory)
  await mkdir(data, { recursive: true, mode: 0o700 })
  await syncDirectory(directory)
  await writeDurably(markerPath(directory), `${JSON.stringify({ version: 1, ...marker })}\n`)
}

/** Renames data and marker together. @returns where they are now. */
export async function moveAside(directory: string, epoch: number): Promise<string> {
  let aside: string
  let n = 1
  do aside = `${dataDirectory(directory)}.aside-${epoch}-${n++}`
  while (existsSync(aside))
  await rename(dataDirectory(directory), aside)
  await syncDirectory(directory)
  return aside
}

/** Everything that was moved aside and still is there, ordered. */
export function dataAside(directory: string): string[] {
  return namesIn(directory)
    .filter((name) => name.startsWith('data.aside-'))
    .sort()
    .map((name) => join(directory, name))
}

const UNREADABLE = '(unreadable)'

function namesIn(path: string): string[] {
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

function readMarker(directory: string): Marker | null {
  try {
    const { genesis, epoch } = markerSchema.parse(JSON.parse(readFileSync(markerPath(directory), 'utf8')))
    return { genesis: digest(genesis), epoch }
  } catch {
    return null
  }
}
