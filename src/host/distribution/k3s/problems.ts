/** Everything that can stand in the way of k3s on this machine, with cause and cure. */
import type { HostProblem } from '../../../core/orders.ts'
import { DatastoreError } from '../problems.ts'
import type { Overlap } from './ranges.ts'

const failure = (code: string, message: string, hint: string): DatastoreError =>
  new DatastoreError({ code: `k3s.${code}`, severity: 'error', message, hint })

// --- the program ---------------------------------------------------------------------------------------

export const noBinary = (looked: readonly string[]): DatastoreError =>
  failure(
    'no-binary',
    `there is no k3s on this machine: not at ${looked.join(', ')}`,
    'put the binary there, name its path with k3s.bin, or give a version and a URL with checksum in k3s.artefacts',
  )

export const noArtefact = (architecture: string, version: string | null): DatastoreError =>
  failure(
    'no-artefact',
    `the settings name no k3s ${version ?? ''} for ${architecture}, and this machine has none of that version`,
    `add the ${architecture} binary with its checksum to k3s.artefacts and apply that on a server`,
  )

export const notFetched = (what: string, reason: string): DatastoreError =>
  failure(
    'not-fetched',
    `${what} could not be had: ${reason}`,
    'it is tried again; check the URL, or put the file on one machine and name its path with k3s.bin',
  )

/** @param place where it is looked for on this machine */
export const notHere = (what: string, sha256: string, place: string): DatastoreError =>
  failure(
    'not-fetched',
    `${what} is not on this machine, and muster does not fetch it`,
    `put the file with the SHA-256 ${sha256} there: ${place}`,
  )

export const wrongChecksum = (path: string, found: string, wanted: string): DatastoreError =>
  failure(
    'wrong-checksum',
    `${path} has the SHA-256 ${found}, and the settings want ${wanted}; it is not used`,
    'compare with the sha256sum file of the release, and correct k3s.artefacts or replace the file',
  )

export const wrongArchitecture = (path: string, found: string, own: string): DatastoreError =>
  failure(
    'wrong-architecture',
    `${path} is a program for ${found}, and this machine is ${own}`,
    `take the binary for ${own}: releases of k3s call it ${own === 'amd64' ? 'k3s' : `k3s-${own === 'arm' ? 'armhf' : own}`}`,
  )

export const noProgram = (path: string): DatastoreError =>
  failure('no-program', `${path} is no program`, 'replace it with the k3s binary of a release')

export const noMachine = (arch: string): DatastoreError =>
  failure('wrong-architecture', `there is no k3s for ${arch} machines`, 'use amd64, arm64 or arm')

export const unusableBinary = (path: string, said: string): DatastoreError =>
  failure(
    'unusable-binary',
    `${path} --version failed: ${said.trim().slice(0, 300) || 'it said nothing'}`,
    'replace it with the k3s binary of a release',
  )

export const wrongVersion = (path: string, found: string, wanted: string): DatastoreError =>
  failure(
    'wrong-version',
    `${path} is k3s ${found}, and this node is to run ${wanted}`,
    `put k3s ${wanted} there, or give its checksum in k3s.artefacts`,
  )

// --- what people said ----------------------------------------------------------------------------------

export const reservedArgument = (flag: string, where: string): DatastoreError =>
  failure(
    'reserved-argument',
    `${where} says ${flag}, which decides about the cluster and is muster's alone to say; k3s is not started so`,
    `take ${flag} out of ${where}`,
  )

export const unreadableConfiguration = (path: string, reason: string): DatastoreError =>
  failure(
    'unreadable-config',
    `${path} cannot be read: ${reason}`,
    'correct or remove it; k3s would read it too',
  )

export const rangesOverlap = ({ flag, range, with: other }: Overlap): DatastoreError =>
  failure(
    'range-overlap',
    `the range ${range} of ${flag === 'cluster-cidr' ? 'pods' : 'services'} overlaps ${other}`,
    `choose another with --${flag} in k3s.args before the cluster is founded, or move the mesh with vpn.cidr`,
  )

export const unknownFlag = (flag: string): HostProblem =>
  failure(
    'unknown-flag',
    `k3s does not know the flag ${flag}`,
    'correct k3s.args or k3s-agent.args and apply that on a server with `muster config apply`',
  ).problem

export const badArgument = (said: string): HostProblem =>
  failure(
    'bad-argument',
    `k3s refuses what it was told: ${said}`,
    'correct k3s.args and apply that on a server',
  ).problem

export const noEndpoint = (): DatastoreError =>
  failure(
    'no-endpoint',
    'the datastore is external, but this machine’s configuration does not say where it is',
    'give ha.external_db on every machine; it is secret, so the plan does not carry it',
  )

export const hookFailed = (which: string, command: string, said: string): DatastoreError =>
  failure(
    'hook-failed',
    `the command ${which} k3s (${command.slice(0, 120)}) failed: ${said.trim().slice(0, 300) || 'it said nothing'}`,
    'it is tried again; correct it in the configuration of this machine',
  )

// --- the others ----------------------------------------------------------------------------------------

export const noTarget = (): DatastoreError =>
  failure(
    'no-server',
    'the plan names no server to go through yet',
    'it comes when the first server is ready; see `muster status`',
  )

export const noAgentSecret = (): DatastoreError =>
  failure(
    'no-agent-secret',
    'the agent token is not known yet',
    'servers give it to every member that asks; at least one must be reachable',
  )

export const serverUnreachable = (targets: readonly string[], said: string): HostProblem =>
  failure(
    'server-unreachable',
    `no server answers at ${targets.join(', ')}: ${said}`,
    'it is tried again; look at those servers with `muster status`',
  ).problem

export const caMismatch = (said: string): HostProblem =>
  failure(
    'ca-mismatch',
    `the server that was asked has another certificate authority than the plan records: ${said}`,
    'another k3s answers at that address, or the authority was replaced; nothing is joined',
  ).problem

export const wrongCa = (found: string, wanted: string): DatastoreError =>
  failure(
    'ca-mismatch',
    `k3s on this machine has the certificate authority ${found.slice(0, 16)}…, and the plan records ${wanted.slice(0, 16)}…`,
    'its data belongs to another cluster; see which machines hold data of which',
  )

export const tokenMismatch = (): HostProblem =>
  failure(
    'token-mismatch',
    'the datastore was made with another server token',
    'its data belongs to another cluster or epoch; if nobody needs it, move it away and start muster again',
  ).problem

export const nodePassword = (name: string): HostProblem =>
  failure(
    'node-password',
    `the cluster knows another machine as ${name}: its node password differs`,
    `if this machine replaces it, run \`muster node replace\` on a server; its Node and the secret ${name}.node-password.k3s go with it`,
  ).problem

export const duplicateName = (name: string): HostProblem =>
  failure(
    'duplicate-name',
    `the datastore already has a member called ${name}`,
    'it is cleared away when its node is removed: `muster node remove` on a server',
  ).problem

export const clockSkew = (said: string): HostProblem =>
  failure(
    'clock',
    `certificates are not valid by the clock of this machine, which says ${new Date().toISOString()}: ${said}`,
    'set the clocks of this machine and of the servers; it is tried again',
  ).problem

export const noCgroups = (said: string): HostProblem =>
  failure(
    'no-cgroups',
    `the kernel does not offer what containers need: ${said}`,
    'enable the cgroup controllers cpuset and memory (on a Raspberry Pi: cgroup_memory=1 cgroup_enable=memory)',
  ).problem

export const interfaceMissing = (said: string): HostProblem =>
  failure(
    'interface-missing',
    `k3s does not find the network interface it needs: ${said}`,
    'it comes with the mesh; it is tried again',
  ).problem

export const learnerWaits = (): HostProblem =>
  failure(
    'learner-waits',
    'another server is joining the datastore, and only one can at a time',
    'it is tried again; one that never finishes is cleared away after a few minutes',
  ).problem

export const keepsFailing = (times: number, how: string, said: string, where: string): HostProblem =>
  failure(
    'keeps-failing',
    `k3s ended ${times} times in a row (${how}); it last said: ${said}`,
    `its whole output is in ${where}; it is started again with growing pauses`,
  ).problem

// --- this machine --------------------------------------------------------------------------------------

export const portTaken = (address: string, port: number): DatastoreError =>
  failure(
    'port-taken',
    `TCP port ${port} of ${address} is taken by another program`,
    `\`ss -tlnp sport = :${port}\` names it; another k3s or Kubernetes must be removed first`,
  )

export const addressMissing = (address: string): DatastoreError =>
  failure(
    'interface-missing',
    `this machine does not have the address ${address}, by which the cluster knows it`,
    'it comes with the mesh interface; without the mesh (vpn.mode none) a server must keep its address',
  )

export const serviceFailed = (what: string, said: string): DatastoreError =>
  failure(
    'service-manager',
    `${what} failed: ${said.trim().slice(0, 300) || 'it said nothing'}`,
    'it is tried again; see what the service manager says of it',
  )

export const setAside = (path: string): HostProblem => ({
  code: 'k3s.file-aside',
  severity: 'info',
  message: `${path} was there before muster and is not read any more`,
  hint: 'put what is needed of it into k3s.args, then delete it; muster never does',
})

export const notReady = (what: string): HostProblem => ({
  code: 'k3s.not-ready',
  severity: 'warning',
  message: `k3s runs, but ${what}`,
  hint: '`k3s kubectl get nodes` and `k3s kubectl describe node` on a server tell more',
})

export const snapshotFailed = (said: string): DatastoreError =>
  failure(
    'snapshot-failed',
    `no snapshot of the datastore could be made: ${said.trim().slice(0, 300) || 'k3s said nothing'}`,
    'it is tried again; nothing is upgraded without it',
  )

export const notAServer = (): DatastoreError =>
  failure(
    'not-a-server',
    'only a server that runs k3s has the administrator’s credentials',
    'run this on a server: `muster status` names them',
  )

export const noSuchAddress = (address: string, hint: string): DatastoreError =>
  failure('no-address', `this cluster has no address of the kind ${address}`, hint)
