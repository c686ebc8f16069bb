/** Mesh addresses: a counter in the plan, never given twice (rule 5: an address belongs to one node, for ever). */
import type { Claim } from './record.ts'
import type { ClusterSettings } from './settings.ts'

/** Number 0 is the network's own address; people expect the first host at .1. */
export const firstAddressNumber = 1

/** How many addresses the prefix has for nodes: without its own and the broadcast address. */
export function capacityOf(cidr: string): number {
  const bits = Number(cidr.split('/')[1])
  return 2 ** (32 - bits) - 2
}

/** Dotted IPv4 address number `n` of the prefix. The caller has checked `n` against {@link capacityOf}. */
export function meshAddress(cidr: string, n: number): string {
  const base = (cidr.split('/')[0] ?? '').split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  const value = base + n
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

/** The address that number `n` means for this machine: on the mesh, or its LAN address where there is none. */
export function addressFor(settings: ClusterSettings, n: number, claim: Claim): string {
  if (settings.vpnMode === 'none') return claim.lanAddress ?? ''
  return meshAddress(settings.vpnCidr, n)
}
