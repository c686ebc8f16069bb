/** Where others find this machine's WireGuard, and its own address on the local network. */
import { isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Event } from '../core/events.ts'
import { ipOf } from './network/addresses.ts'

/** Bridges and tunnels of container engines and hypervisors: nothing beyond this machine is there. */
const INNER = /^(docker|br-|cni|flannel|veth|virbr|lxc|lxdbr|podman|kube|cali|cilium)/
/** More endpoints than a record holds help nobody. */
const ENDPOINTS_MAX = 16
const ADDRESSES_MAX = 32

/** What the core is told when the own addresses changed; those that others are likeliest to reach come first. */
export function addressesEvent(addresses: readonly Multiaddr[], meshPort: number): Event {
  const inner = innerAddresses()
  const isOuter = (address: Multiaddr): boolean => !inner.has(ipOf(address) ?? '')
  const ordered = [...addresses.filter(isOuter), ...addresses.filter((address) => !isOuter(address))]
  const ips = [...new Set(ordered.map(ipOf).filter((ip) => ip !== null))]
  return {
    kind: 'addresses',
    addresses: ordered.slice(0, ADDRESSES_MAX).map(String),
    endpoints: ips.slice(0, ENDPOINTS_MAX).map((ip) => `${isIPv6(ip) ? `[${ip}]` : ip}:${meshPort}`),
    lanAddress: ips.find((ip) => isIPv4(ip)) ?? ips[0] ?? null,
  }
}

function innerAddresses(): Set<string> {
  const inner = Object.entries(networkInterfaces()).filter(([name]) => INNER.test(name))
  return new Set(inner.flatMap(([, list]) => list?.map(({ address }) => address) ?? []))
}
