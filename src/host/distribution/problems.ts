/** Everything that can stand in the way of the datastore on this machine, with cause and cure. */
import type { HostProblem } from '../../core/orders.ts'
import type { Marker } from './marker.ts'

/** Ends one attempt to carry out the order; `problem` is what status shows. */
export class DatastoreError extends Error {
  readonly code = 'MUSTER_E_DATASTORE'
  readonly problem: HostProblem

  constructor(problem: HostProblem, options?: ErrorOptions) {
    super(`${problem.message} (${problem.hint})`, options)
    this.name = 'DatastoreError'
    this.problem = problem
  }
}

const failure = (code: string, message: string, hint: string): DatastoreError =>
  new DatastoreError({ code: `datastore.${code}`, severity: 'error', message, hint })

const describe = (marker: Marker | null): string =>
  marker === null
    ? 'without a readable marker'
    : `of cluster ${marker.genesis.slice(0, 12)}, epoch ${marker.epoch}`

export const foreignData = (path: string, found: Marker | null, wanted: Marker): DatastoreError =>
  failure(
    'foreign-data',
    `${path} holds a datastore ${describe(found)}, but this node belongs to one ${describe(wanted)}; it is not touched`,
    'if nobody needs that data, stop muster, move the directory away, and start muster again',
  )

export const noData = (path: string): DatastoreError =>
  failure(
    'no-data',
    `this node is a member of the datastore, but ${path} holds none of its data`,
    'bring the data back, or run `muster reset` here: the node then joins as a new one',
  )

export const noKubernetes = (): DatastoreError =>
  failure(
    'no-kubernetes',
    'this cluster runs etcd alone, which has no kubeconfig',
    'found it with distribution.kind k3s, or use etcdctl with the files in the run directory',
  )

export const memberRemoved = (path: string): DatastoreError =>
  failure(
    'member-removed',
    'the datastore has removed this member for good; its data here is of no further use',
    `it stays in ${path}; \`muster reset\` here lets the node join as a new one`,
  )

export const staleMember = (name: string): DatastoreError =>
  failure(
    'stale-member',
    `the datastore still counts ${name} as a voter, but the data of that member is gone from this machine`,
    'bring the data back, or remove that member from the datastore: it is never removed by muster alone',
  )

export const wrongCluster = (found: string, wanted: string): DatastoreError =>
  failure(
    'wrong-cluster',
    `etcd says that it is cluster ${found}, but the plan knows ${wanted}`,
    'nothing is joined or changed; see which machines hold data of which cluster',
  )

export const noEtcd = (binary: string): DatastoreError =>
  failure('no-etcd', `the program ${binary} is not installed`, 'apt-get install etcd-server')

export const unusableEtcd = (binary: string, said: string): DatastoreError =>
  failure(
    'no-etcd',
    `${binary} --version failed: ${said.trim().slice(0, 300) || 'it said nothing'}`,
    'apt-get install --reinstall etcd-server',
  )

export const unknownEtcd = (binary: string, version: string, known: readonly string[]): DatastoreError =>
  failure(
    'etcd-version',
    `${binary} is etcd ${version}, and muster knows how to run ${known.join(' and ')} only`,
    'install the etcd-server of Debian 12 or 13; no data was touched',
  )

export const portTaken = (address: string, port: number): DatastoreError =>
  failure(
    'port-taken',
    `TCP port ${port} of ${address} is taken by another program`,
    `\`ss -tlnp sport = :${port}\` names it; Debian's package starts an etcd of its own: \`systemctl disable --now etcd\``,
  )

export const addressMissing = (address: string): DatastoreError =>
  failure(
    'address-missing',
    `this machine does not have the address ${address}, on which its datastore member must listen`,
    'it comes with the mesh interface; without the mesh (vpn.mode none) a server must keep its address',
  )

export const noSpace = (what: string): DatastoreError =>
  failure('no-space', `no space left for the datastore: ${what}`, 'free space on the disk; it is tried again')

export const spaceAlarm = (): HostProblem => ({
  code: 'datastore.no-space',
  severity: 'error',
  message: 'the datastore has reached its quota and refuses writes (alarm NOSPACE)',
  hint: 'delete keys that nobody needs, then `etcdctl compact`, `etcdctl defrag` and `etcdctl alarm disarm`',
})

export const unusableDirectory = (path: string, reason: string): DatastoreError =>
  failure(
    'directory-unusable',
    `${path} cannot be used: ${reason}`,
    'make it a directory on a writable disk that belongs to the user who runs muster',
  )

export const noMemberReachable = (names: readonly string[], reason: string): DatastoreError =>
  failure(
    'no-member-reachable',
    `no healthy member of the datastore answers (${names.join(', ') || 'the plan names none'}): ${reason}`,
    'it is tried again; look at those members with `muster status`',
  )

export const changeRefused = (what: string, said: string): DatastoreError =>
  failure(
    'change-refused',
    `the datastore refuses to ${what} now: ${said}`,
    'it is tried again; all members must be there and another joiner must have finished',
  )

export const keepsFailing = (times: number, how: string, said: string): DatastoreError =>
  failure(
    'keeps-failing',
    `etcd ended ${times} times in a row (${how}); it last said: ${said}`,
    'its whole output is in etcd.log of the state directory; it is started again with growing pauses',
  )

export const notAnswering = (): HostProblem => ({
  code: 'datastore.not-answering',
  severity: 'warning',
  message: 'etcd runs but does not answer',
  hint: 'a slow disk or a large log can be the reason; its whole output is in etcd.log of the state directory',
})

export const noQuorum = (silent: readonly string[]): HostProblem => ({
  code: 'datastore.no-quorum',
  severity: 'error',
  message: `the datastore has no leader${silent.length > 0 ? `; not healthy: ${silent.join(', ')}` : ''}`,
  hint: 'bring the missing members back; nothing is done to the data without them',
})

export const movedAside = (paths: readonly string[]): HostProblem => ({
  code: 'datastore.moved-aside',
  severity: 'info',
  message: `data of an abandoned datastore was moved aside: ${paths.join(', ')}`,
  hint: 'delete it when nobody needs it any more; muster never does',
})

/** The problem that anything thrown amounts to. */
export function problemOf(error: unknown, directory: string): HostProblem {
  if (error instanceof DatastoreError) return error.problem
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error ? error.code : null
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return noSpace(message).problem
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
    case 'ENOTDIR':
    case 'EIO':
      return unusableDirectory(directory, message).problem
    default:
      return failure('failed', message, 'it is tried again; if it stays, report it').problem
  }
}
