/** The mesh's range: what it may be. Whether it is free on a machine is for the mesh to see when it comes up. */
import ipaddr from 'ipaddr.js'
import { shown } from './faults.ts'

type Prefix = readonly [address: ipaddr.IPv4, bits: number]

/** The default. */
const FREE = '10.86.0.0/16'

/** Smaller than /24 is too few machines, larger than /8 is no private range. */
const BITS_MIN = 8
const BITS_MAX = 24

/** Ranges with a meaning of their own, in which no host may have an address. */
const SPECIAL = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4']
/** What k3s, and others after it, take for pods and services unless told otherwise, and how it is told. */
export const KUBERNETES_RANGES = [
  { flag: 'cluster-cidr', what: 'pods', range: '10.42.0.0/16' },
  { flag: 'service-cidr', what: 'services', range: '10.43.0.0/16' },
] as const
/** RFC 1918, and the carriers' RFC 6598. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10']

/** What is wrong with a text as the mesh's range, null for nothing. */
export function cidrFault(text: string): string | null {
  const prefix = read(text)
  if (prefix === null) return `must be an IPv4 prefix such as 10.86.0.0/16, not ${shown(text)}`
  const [, bits] = prefix
  if (bits < BITS_MIN || bits > BITS_MAX)
    return `must be a prefix from /${BITS_MIN} to /${BITS_MAX}, not /${bits}`
  const network = ipaddr.IPv4.networkAddressFromCIDR(text).toString()
  if (`${network}/${bits}` !== text) return `must begin with its network address: ${network}/${bits}`
  const special = overlapping(prefix, SPECIAL)
  if (special !== null) return `overlaps with ${special}, in which no host may have an address`
  return null
}

/** What is wrong with the range where Kubernetes may come to stand on the mesh later, null for nothing. */
export function kubernetesFault(cidr: string): string | null {
  const taken = KUBERNETES_RANGES.find(({ range }) => overlaps(cidr, range))
  return taken === undefined
    ? null
    : `overlaps with ${taken.range}, which Kubernetes takes for ${taken.what}; ${FREE} is free of that`
}

/** Whether all of the range is for private use. */
export function isPrivate(cidr: string): boolean {
  const prefix = read(cidr)
  return prefix !== null && PRIVATE.some((range) => contains(ipaddr.IPv4.parseCIDR(range), prefix))
}

function read(text: string): Prefix | null {
  return /^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(text) && ipaddr.IPv4.isValidCIDR(text)
    ? ipaddr.IPv4.parseCIDR(text)
    : null
}

const contains = (outer: Prefix, inner: Prefix): boolean => outer[1] <= inner[1] && inner[0].match([...outer])

function overlapping(prefix: Prefix, ranges: readonly string[]): string | null {
  return ranges.find((range) => meet(ipaddr.IPv4.parseCIDR(range), prefix)) ?? null
}

const meet = (one: Prefix, other: Prefix): boolean => contains(one, other) || contains(other, one)

/** Whether two prefixes have addresses in common; never where one is of IPv6, or none at all. */
export function overlaps(one: string, other: string): boolean {
  const [a, b] = [read(one), read(other)]
  return a !== null && b !== null && meet(a, b)
}
