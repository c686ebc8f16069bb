/**
 * The data of k3s on this disk, as far as it decides about the cluster: what lies under `server`.
 *
 *     <data>/server/muster.json         the marker: genesis and epoch, synced before k3s first starts
 *     <data>/server/db/etcd/member/     etcd's own
 *     <data>/server/db/state.db         of a k3s that has no etcd (SQLite): never ours
 *     <data>/server/tls/                the cluster's authorities, of an epoch too
 *     <data>/server.aside-1-1/          the same, abandoned: epoch 1, first time
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type DataProbe, type Marker, namesIn, readMarker } from '../marker.ts'

export interface DataState {
  /** There is a write-ahead log: k3s starts as the member that it says, and ignores cluster-init and server. */
  readonly hasLog: boolean
  /** There is something of a server: a datastore, or authorities of one. */
  readonly isPresent: boolean
  readonly marker: Marker | null
  /** k3s has seen that its member was removed, and would join as a new one by itself. */
  readonly isTombstone: boolean
}

export function readData(server: string): DataState {
  const etcd = join(server, 'db/etcd')
  // For k3s the directory itself is what counts, also an empty one.
  const wal = join(etcd, 'member/wal')
  const hasLog = existsSync(wal) || namesIn(wal).length > 0
  const isPresent =
    hasLog ||
    namesIn(join(etcd, 'member')).length > 0 ||
    existsSync(join(server, 'db/state.db')) ||
    existsSync(join(server, 'tls/server-ca.key'))
  return {
    hasLog,
    isPresent,
    marker: readMarker(join(server, 'muster.json')),
    isTombstone: existsSync(join(etcd, 'tombstone')),
  }
}

/** What the disk says, before anything is started; see etcd's. */
export function probe(server: string): DataProbe {
  const { isPresent, marker } = readData(server)
  return { dataPresent: isPresent, dataEpoch: marker?.epoch ?? null, dataGenesis: marker?.genesis ?? null }
}
