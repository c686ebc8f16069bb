/** etcd's command line: what it is told, and why. Nothing secret is ever in it, only names of files. */
import { isIPv6 } from 'node:net'
import type { CredentialPaths } from './credentials.ts'
import { ETCD_ELECTION_MS, ETCD_HEARTBEAT_MS } from './timing.ts'

/** Where one member lives. */
export interface MemberPlace {
  readonly name: string
  readonly address: string
  readonly clientPort: number
  readonly peerPort: number
  readonly dataDirectory: string
  readonly credentials: CredentialPaths
}

/** What etcd is told about the others; ignored by etcd itself where it finds a write-ahead log. */
export interface Bootstrap {
  /** `new` creates a datastore, and must be said once only; `existing` can but join. */
  readonly state: 'new' | 'existing'
  /** Peer URLs of every member but this one. */
  readonly others: readonly string[]
  /** Enters every ID of a new datastore, so that members of two can never take each other for their own. */
  readonly token: string
}

export const urlOf = (address: string, port: number): string =>
  `https://${isIPv6(address) ? `[${address}]` : address}:${port}`

export function etcdArguments(place: MemberPlace, bootstrap: Bootstrap): string[] {
  const { name, address, clientPort, peerPort, credentials } = place
  const peerUrl = urlOf(address, peerPort)
  const clientUrl = urlOf(address, clientPort)
  // Only the own name matters in a list of existing members: etcd matches the others by URL.
  const cluster = [`${name}=${peerUrl}`, ...bootstrap.others.map((url, i) => `member-${i}=${url}`)]
  return [
    `--name=${name}`,
    `--data-dir=${place.dataDirectory}`,
    `--listen-peer-urls=${peerUrl}`,
    // Nowhere but on the mesh. 127.0.0.1 often is taken: Debian's package starts an etcd of its own there.
    `--listen-client-urls=${clientUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--cert-file=${credentials.server}`,
    `--key-file=${credentials.server}`,
    `--trusted-ca-file=${credentials.ca}`,
    '--client-cert-auth',
    `--peer-cert-file=${credentials.peer}`,
    `--peer-key-file=${credentials.peer}`,
    `--peer-trusted-ca-file=${credentials.ca}`,
    '--peer-client-cert-auth',
    // A caller must have a certificate of the CA, but may call from another of its addresses than the one in
    // it (a second address on the LAN): whoever holds the CA could put any address there anyway.
    '--experimental-peer-skip-client-san-verification',
    `--initial-cluster=${cluster.join(',')}`,
    `--initial-cluster-state=${bootstrap.state}`,
    `--initial-cluster-token=${bootstrap.token}`,
    // A change of membership that would cost the quorum is refused, whoever asks for it.
    '--strict-reconfig-check',
    // A member that comes back from a cut does not depose a leader that the others still hear.
    '--pre-vote',
    `--heartbeat-interval=${ETCD_HEARTBEAT_MS}`,
    `--election-timeout=${ETCD_ELECTION_MS}`,
    // The log between two snapshots lives in memory: a tenth of the default costs little and spares a small
    // machine about 100 MB under load.
    '--snapshot-count=10000',
    // An hour of history serves every watcher that was away for a moment, and keeps the database small.
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=1h',
    // etcd's own default, written out: the database is mapped into memory, and at this size etcd raises the
    // alarm NOSPACE instead of filling the disk.
    `--quota-backend-bytes=${2 * 1024 ** 3}`,
    '--logger=zap',
    '--log-outputs=stderr',
    '--log-level=warn',
  ]
}

/** Flags that say which member a process is. The others may differ until its next start: they are tuning. */
const IDENTITY = [
  '--name=',
  '--data-dir=',
  '--listen-peer-urls=',
  '--listen-client-urls=',
  '--advertise-client-urls=',
  '--cert-file=',
  '--trusted-ca-file=',
  '--peer-cert-file=',
]

/** Whether a running process serves what `wanted` would. */
export function isSameMember(running: readonly string[], wanted: readonly string[]): boolean {
  return IDENTITY.every((flag) => {
    const value = wanted.find((argument) => argument.startsWith(flag))
    return value !== undefined && running.includes(value)
  })
}
