/** Addresses as people write them, as libp2p wants them, and which of them are worth telling others. */
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import ipaddr from 'ipaddr.js'
import { NetworkError } from './errors.ts'

/** TCP, for libp2p: the port of memberlist and Serf, whose role this is; firewalls' lists know it. */
export const DEFAULT_PORT = 7946

const ADDRESS_TEXT_MAX = 512
/** The last label of a name is never all digits (RFC 3696 §2): `10.0.0` and `10.0.0.256` are mistyped IPs. */
const HOST =
  /^(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*(?!\d+$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/

/**
 * `ip`, `ip:port`, `[ip6]:port`, `host`, `host:port`, or a TCP multiaddr with or without a peer ID.
 * @throws NetworkError MUSTER_E_ADDRESS
 */
export function parseAddress(text: string, defaultPort: number = DEFAULT_PORT): Multiaddr {
  try {
    if (text.length > ADDRESS_TEXT_MAX) throw new Error(`longer than ${ADDRESS_TEXT_MAX} characters`)
    return text.startsWith('/') ? parseMultiaddr(text) : parsePlain(text, defaultPort)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new NetworkError(
      'MUSTER_E_ADDRESS',
      `${JSON.stringify(text.slice(0, 80))} is no address: ${why}`,
      `write IP, IP:PORT, HOST:PORT, or a multiaddr such as /ip4/192.0.2.1/tcp/${DEFAULT_PORT}`,
    )
  }
}

/** A multiaddr from a peer or from disk; null where it is none that can be dialled. */
export function readMultiaddr(text: string): Multiaddr | null {
  try {
    return text.length > ADDRESS_TEXT_MAX ? null : parseMultiaddr(text)
  } catch {
    return null
  }
}

function parseMultiaddr(text: string): Multiaddr {
  const address = multiaddr(text)
  const names = address.getComponents().map((component) => component.name)
  const shape = names
    .map((name) => (name.startsWith('ip') || name.startsWith('dns') ? 'host' : name))
    .join('/')
  if (shape !== 'host/tcp' && shape !== 'host/tcp/p2p')
    throw new Error('not of the form /host/tcp/port[/p2p/id]')
  const id = peerIdOf(address)
  if (id !== null) peerIdFromString(id)
  return address
}

function parsePlain(text: string, defaultPort: number): Multiaddr {
  const { host, port } = splitHostPort(text, defaultPort)
  const family = isIP(host)
  if (family === 0 && !HOST.test(host))
    throw new Error(`${JSON.stringify(host)} is neither an IP nor a host name`)
  const protocol = family === 4 ? 'ip4' : family === 6 ? 'ip6' : 'dns'
  return multiaddr(`/${protocol}/${host}/tcp/${port}`)
}

function splitHostPort(text: string, defaultPort: number): { host: string; port: number } {
  if (isIP(text) !== 0) return { host: text, port: defaultPort }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined) throw new Error('neither HOST nor HOST:PORT')
  if (match?.[1] !== undefined && isIP(host) !== 6) throw new Error('only an IPv6 address goes into brackets')
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  if (port > 65_535) throw new Error(`port ${port} is above 65535`)
  return { host, port }
}

/** `ip:port`, `[ip6]:port` or `host:port`: what {@link parseAddress} reads, for people. */
export function formatAddress(address: Multiaddr): string {
  const [host, tcp] = address.getComponents()
  const name = host?.value ?? ''
  return `${host?.name === 'ip6' ? `[${name}]` : name}:${tcp?.value ?? DEFAULT_PORT}`
}

/** The IP address in a multiaddr, null where there is none. */
export function ipOf(address: Multiaddr): string | null {
  const part = address
    .getComponents()
    .find((component) => component.name === 'ip4' || component.name === 'ip6')
  return part?.value ?? null
}

/** The TCP port in a multiaddr, null where there is none. */
export function portOf(address: Multiaddr): number | null {
  const part = address.getComponents().find((component) => component.name === 'tcp')
  return part?.value === undefined ? null : Number(part.value)
}

/** The peer ID at the end of a multiaddr, null where there is none. */
export function peerIdOf(address: Multiaddr): string | null {
  return address.getComponents().findLast((component) => component.name === 'p2p')?.value ?? null
}

/** The address alone. */
export function withoutPeerId(address: Multiaddr): Multiaddr {
  const id = peerIdOf(address)
  return id === null ? address : address.decapsulate(`/p2p/${id}`)
}

export function isLoopback(ip: string): boolean {
  return ipaddr.isValid(ip) && ipaddr.process(ip).range() === 'loopback'
}

/** Whether an IP lies in a prefix; false where they are of different families. */
export function isWithin(ip: string, cidr: string): boolean {
  if (!ipaddr.isValid(ip)) return false
  const address = ipaddr.process(ip)
  const [range, bits] = ipaddr.parseCIDR(cidr)
  return address.kind() === range.kind() && address.match(range, bits)
}

/** Addresses that others may reach: never the mesh itself, and loopback only where there is nothing else. */
export function dialable(addresses: readonly Multiaddr[], excludedCidr: string | null): Multiaddr[] {
  const useful = addresses.filter((address) => {
    const ip = ipOf(address)
    return ip === null || (!isLinkLocal(ip) && (excludedCidr === null || !isWithin(ip, excludedCidr)))
  })
  const beyond = useful.filter((address) => !isLoopback(ipOf(address) ?? ''))
  return beyond.length > 0 ? beyond : useful
}

/** Whether the IP is on a network that this machine is itself on: dialled first, for it answers at once. */
export function isNear(ip: string): boolean {
  return Object.values(networkInterfaces())
    .flat()
    .some((own) => typeof own?.cidr === 'string' && isWithin(ip, own.cidr))
}

const isLinkLocal = (ip: string): boolean => ipaddr.isValid(ip) && ipaddr.process(ip).range() === 'linkLocal'
