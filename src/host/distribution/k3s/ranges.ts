/** Whether the ranges of pods and services are free here: k3s asks nobody, and traffic would vanish. */
import ipaddr from 'ipaddr.js'
import { valuesOf } from './arguments.ts'

export const POD_RANGE = '10.42.0.0/16'
export const SERVICE_RANGE = '10.43.0.0/16'

export interface Overlap {
  readonly flag: 'cluster-cidr' | 'service-cidr'
  readonly range: string
  /** What it overlaps: an interface and its range, or a server and its address. */
  readonly with: string
}

/** @param servers by name and address, of which this machine may know no route yet */
export function rangeOverlap(
  args: readonly string[],
  interfaces: readonly { readonly interface: string; readonly cidr: string }[],
  servers: readonly { readonly name: string; readonly address: string }[],
): Overlap | null {
  const taken = [
    ...interfaces.map(({ interface: name, cidr }) => ({ name, cidr })),
    ...servers.map(({ name, address }) => ({ name, cidr: `${address}/32` })),
  ]
  for (const [flag, standard] of [
    ['cluster-cidr', POD_RANGE],
    ['service-cidr', SERVICE_RANGE],
  ] as const) {
    const said = valuesOf(args, flag)
    for (const range of said.length > 0 ? said : [standard]) {
      const found = taken.find(({ cidr }) => overlaps(range, cidr))
      if (found !== undefined) return { flag, range, with: `${found.name} (${found.cidr})` }
    }
  }
  return null
}

/** False for what is no range: k3s itself says so. */
function overlaps(a: string, b: string): boolean {
  if (!ipaddr.isValidCIDR(a) || !ipaddr.isValidCIDR(b)) return false
  const [one, other] = [ipaddr.parseCIDR(a), ipaddr.parseCIDR(b)]
  if (one[0].kind() !== other[0].kind()) return false
  const length = Math.min(one[1], other[1])
  return one[0].match([other[0], length])
}
