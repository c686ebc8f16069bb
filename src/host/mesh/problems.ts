/** Everything that can be wrong with the mesh on this machine, with cause and cure. */
import type { HostProblem } from '../../core/orders.ts'

/** What stands in the way of the ordered mesh; `problem` is what status shows. */
export class MeshError extends Error {
  readonly code = 'MUSTER_E_MESH'
  readonly problem: HostProblem

  constructor(problem: HostProblem, options?: ErrorOptions) {
    super(`${problem.message} (${problem.hint})`, options)
    this.name = 'MeshError'
    this.problem = problem
  }
}

const failure = (code: string, message: string, hint: string): MeshError =>
  new MeshError({ code, severity: 'error', message, hint })

export const rangeOverlap = (cidr: string, route: string, device: string): MeshError =>
  failure(
    'mesh.range-overlap',
    `the mesh range ${cidr} overlaps the local route ${route} through ${device}, so no interface is made`,
    'set vpn.cidr to a free range before the cluster is founded, or change the local network',
  )

export const toolMissing = (tool: string): MeshError =>
  tool === 'wg'
    ? failure('mesh.no-wg', 'the command wg is not in PATH', 'install wireguard-tools')
    : failure('mesh.no-ip', 'the command ip is not in PATH', 'install iproute2')

export const noWireguard = (): MeshError =>
  failure(
    'mesh.no-wireguard',
    'this kernel has no WireGuard and the command wireguard-go is not in PATH',
    'load the kernel module wireguard, or install wireguard-go',
  )

export const noTun = (reason: string): MeshError =>
  failure(
    'mesh.no-tun',
    `/dev/net/tun cannot be used (${reason}), and wireguard-go needs it`,
    'load the kernel module tun; a container needs the device: --device /dev/net/tun',
  )

export const notPermitted = (what: string): MeshError =>
  failure(
    'mesh.not-permitted',
    `not permitted: ${what}`,
    'run muster as root or with the capability NET_ADMIN; a container needs --cap-add NET_ADMIN',
  )

export const portTaken = (port: number): MeshError =>
  failure(
    'mesh.port-taken',
    `UDP port ${port} is taken by another program`,
    `end the program that \`ss -ulpn sport = :${port}\` names, or give muster another port`,
  )

export const nameTaken = (name: string, kind: string): MeshError =>
  failure(
    'mesh.name-taken',
    `there is an interface ${name} (${kind}) that is not WireGuard`,
    `remove it with \`ip link delete ${name}\`, or give muster another name with --interface`,
  )

export const socketTaken = (socket: string): MeshError =>
  failure(
    'mesh.name-taken',
    `a WireGuard of another network namespace answers at ${socket}`,
    'give each namespace a /var/run/wireguard of its own, or muster another name with --interface',
  )

export const userspaceFailed = (name: string, how: string): MeshError =>
  failure(
    'mesh.userspace-failed',
    `wireguard-go ${how}`,
    `\`LOG_LEVEL=error wireguard-go -f ${name}\` says why; end it with Ctrl-C afterwards`,
  )

export const toolFailed = (what: string, said: string): MeshError =>
  failure(
    'mesh.failed',
    `${what} failed: ${said.trim().slice(0, 300) || 'it said nothing'}`,
    'it is tried again; if it stays, look at `ip link` and `wg show`, and report it',
  )

/** The problem that anything thrown amounts to. */
export function problemOf(error: unknown): HostProblem {
  if (error instanceof MeshError) return error.problem
  return toolFailed('the mesh', error instanceof Error ? error.message : String(error)).problem
}
