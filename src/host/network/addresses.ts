/** Addresses as people write them, as libp2p wants them, and which of them are worth telling others. */
import { isIP } from 'node:net'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import ipaddr from 'ipaddr.js'
import { NetworkError } from './errors.ts'

/** TCP, for libp2p: the port of memberlist and Serf, whose role this is; firewalls' lists know it. */
export const DEFAULT_PORT = 7946

/**
 * `ip`, `ip:port`, `[ip6]:port`, `host`, `host:port`, or a multiaddr with or without a peer ID.
 * @throws NetworkError MUSTER_E_ADDRESS
 */
export function parseAddress(text: string, defaultPort: number = DEFAULT_PORT): Multiaddr {
  try {
    if (text.startsWith('/')) return multiaddr(text)
    const { host, port } = splitHostPort(text, defaultPort)
    const family = isIP(host)
    const protocol = family === 4 ? 'ip4' : family === 6 ? 'ip6' : 'dns'
    return multiaddr(`/${protocol}/${host}/tcp/${port}`)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new NetworkError(
      'MUSTER_E_ADDRESS',
      `${JSON.stringify(text)} is no address: ${why}`,
      'write IP, IP:PORT, HOST:PORT, or a multiaddr such as /ip4/192.0.2.1/tcp/7946',
    )
  }
}

function splitHostPort(text: string, defaultPort: number): { host: string; port: number } {
  if (isIP(text) !== 0) return { host: text, port: defaultPort }
  const match = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined) throw new Error('neither a host nor host:port')
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  if (port > 65_535) throw new Error(`port ${port} is above 65535`)
  return { host, port }
}

/** The IP address in a multiaddr, null where there is none. */
export function ipOf(address: Multiaddr): string | null {
  const part = address
    .getComponents()
    .find((component) => component.name === 'ip4' || component.name === 'ip6')
  return part?.value ?? null
}

/** The peer ID at the end of a multiaddr, null where there is none. */
export function peerIdOf(address: Multiaddr): string | null {
  return address.getComponents().findLast((component) => component.name === 'p2p')?.value ?? null
}

export function isLoopback(ip: string): boolean {
  return ipaddr.isValid(ip) && ipaddr.parse(ip).range() === 'loopback'
}

/** Whether an IP lies in a prefix; false where they are of different families. */
export function isWithin(ip: string, cidr: string): boolean {
  if (!ipaddr.isValid(ip)) return false
  const address = ipaddr.parse(ip)
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

const isLinkLocal = (ip: string): boolean => ipaddr.isValid(ip) && ipaddr.parse(ip).range() === 'linkLocal'
