/** What k3s must be told of this machine: which interface has its address, and how the LAN reaches it. */
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'

export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>

/** Made by a CNI, a container runtime or a hypervisor: nothing that the LAN knows. */
const INNER = /^(cni|flannel|veth|cali|cilium|lxc|kube-|docker|br-|virbr|tailscale|wg)/

export interface Machine {
  /** Interface that holds the node's address; null while none does. */
  readonly interface: string | null
  /** IPv4 address by which the LAN knows this machine, null where that is the node's own, or none. */
  readonly lanAddress: string | null
  /** Interface of that address, else the one of the node's. */
  readonly lanInterface: string | null
  /** Ranges of the interfaces that pods and services must not overlap, by interface. */
  readonly ranges: readonly { readonly interface: string; readonly cidr: string }[]
}

export function lookAtMachine(address: string): Machine {
  return machineOf(address, networkInterfaces(), defaultRouteInterface())
}

export function machineOf(address: string, all: Interfaces, defaultRoute: string | null): Machine {
  const held = Object.entries(all).map(([name, infos]) => ({ name, infos: infos ?? [] }))
  const own = held.find(({ infos }) => infos.some((info) => info.address === address))?.name ?? null
  const outer = held.filter(({ name }) => name !== own && name !== 'lo' && !INNER.test(name))
  const lan = [...outer]
    .sort((a, b) => Number(b.name === defaultRoute) - Number(a.name === defaultRoute))
    .flatMap(({ name, infos }) =>
      infos
        .filter((info) => info.family === 'IPv4' && !info.internal && !info.address.startsWith('169.254.'))
        .map((info) => ({ name, address: info.address })),
    )[0]
  return {
    interface: own,
    lanAddress: lan?.address ?? null,
    lanInterface: lan?.name ?? own,
    ranges: held
      .filter(({ name }) => name !== 'lo' && (name === own || !INNER.test(name)))
      .flatMap(({ name, infos }) =>
        infos.flatMap(({ cidr }) =>
          cidr !== null && isIPv4(cidr.split('/')[0] ?? '') ? [{ interface: name, cidr }] : [],
        ),
      ),
  }
}

/** Where the kernel sends what it knows no better way for (proc(5), net/route). */
function defaultRouteInterface(): string | null {
  try {
    const lines = readFileSync('/proc/self/net/route', 'utf8').split('\n').slice(1)
    const found = lines.map((line) => line.split('\t')).find((fields) => fields[1] === '00000000')
    return found?.[0] ?? null
  } catch {
    return null
  }
}
