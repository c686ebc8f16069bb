/**
 * The data of etcd on this disk and the marker that says whose it is.
 *
 *     <directory>/data/marker.json      genesis and epoch, synced before etcd first starts
 *     <directory>/data/etcd/member/     etcd's own
 *     <directory>/data.aside-1-1/       the same, abandoned: epoch 1, first time
 *     <directory>/etcd.log              what etcd says
 */
import { join } from 'node:path'
import { type DataProbe, type Marker, namesIn, readMarker, UNREADABLE } from './marker.ts'

export interface DataState {
  /** There is a write-ahead log: etcd starts as the member that it says, whatever its flags say. */
  readonly hasLog: boolean
  /** There is something of etcd's: a log, or at least files of a start that did not get that far. */
  readonly isPresent: boolean
  /** Null where there is none, or one that cannot be read. May be there without data: etcd was not started. */
  readonly marker: Marker | null
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
export const markerPath = (directory: string): string => join(directory, 'data', 'marker.json')

export function readData(directory: string): DataState {
  const member = join(etcdDirectory(directory), 'member')
  const files = namesIn(member)
  const hasLog = namesIn(join(member, 'wal')).some((name) => name.endsWith('.wal') || name === UNREADABLE)
  return { hasLog, isPresent: files.length > 0, marker: readMarker(markerPath(directory)) }
}
