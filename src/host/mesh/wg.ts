/**
 * The language of `wg`: reads what `wg show … dump` prints, and writes the one `wg set` that turns what is into
 * what is wanted. `wg syncconf` would do with less code, but it sets the listening port each time, and
 * wireguard-go then closes its sockets and opens them again under running traffic.
 */
import ipaddr from 'ipaddr.js'
import { KEEPALIVE_S } from './timing.ts'

export interface DumpPeer {
  /** `ip:port` as WireGuard uses it now, null before any is known. */
  readonly endpoint: string | null
  readonly allowedIps: readonly string[]
  /** Seconds since 1970 on this machine's wall clock, null when there was no handshake. */
  readonly handshakeS: number | null
  /** 0 where it is off. */
  readonly keepaliveS: number
}

export interface Dump {
  /** Base64; null while the interface has no key. */
  readonly publicKey: string | null
  /** UDP port, 0 where it was never set. */
  readonly listenPort: number
  /** By public key in base64. */
  readonly peers: ReadonlyMap<string, DumpPeer>
}

const NOTHING = new Set(['', '(none)', 'off'])
const textOrNull = (field: string | undefined): string | null =>
  field === undefined || NOTHING.has(field) ? null : field
const count = (field: string | undefined): number => {
  const value = Number(textOrNull(field) ?? 0)
  return Number.isSafeInteger(value) && value >= 0 ? value : 0
}

/**
 * Reads `wg show <interface> dump` (wg(8)): tab separated, first the interface, then one peer per line. The
 * private and preshared keys in it are left where they are. Null where the text is something else.
 */
export function parseDump(text: string): Dump | null {
  const [head, ...lines] = text.split('\n').filter((line) => line !== '')
  const own = head?.split('\t')
  if (own?.length !== 4) return null
  const peers = new Map<string, DumpPeer>()
  for (const line of lines) {
    const fields = line.split('\t')
    const [publicKey, , endpoint, allowedIps, handshake, , , keepalive] = fields
    if (fields.length !== 8 || publicKey === undefined) return null
    peers.set(publicKey, {
      endpoint: textOrNull(endpoint),
      allowedIps: textOrNull(allowedIps)?.split(',') ?? [],
      handshakeS: count(handshake) || null,
      keepaliveS: count(keepalive),
    })
  }
  return { publicKey: textOrNull(own[1]), listenPort: count(own[2]), peers }
}

export interface WantedPeer {
  /** Base64. */
  readonly publicKey: string
  /** Mesh IPv4 address: the peer may send from it and gets what goes to it, nothing else. */
  readonly address: string
  /** Endpoint to use from now on; null leaves WireGuard the one it has. */
  readonly endpoint: string | null
}

export interface Wanted {
  /** Base64 of one's own. */
  readonly publicKey: string
  readonly listenPort: number
  readonly peers: readonly WantedPeer[]
}

export interface Change {
  /** For `wg set <interface>`; empty where nothing is to be done. Some 150 bytes a peer: no bound is near. */
  readonly args: readonly string[]
  /** The arguments name standard input as the place of the private key (/dev/stdin needs udev, this only /proc). */
  readonly needsKey: boolean
}

/** What `wg set` must be told so that the interface is as wanted; what is right already is not touched. */
export function changeOf(wanted: Wanted, actual: Dump): Change {
  const args: string[] = []
  const needsKey = actual.publicKey !== wanted.publicKey
  if (needsKey) args.push('private-key', '/proc/self/fd/0')
  if (actual.listenPort !== wanted.listenPort) args.push('listen-port', `${wanted.listenPort}`)
  const keys = new Set(wanted.peers.map((peer) => peer.publicKey))
  // Removed first: an address moves from one peer to another only once it is free.
  for (const key of actual.peers.keys()) if (!keys.has(key)) args.push('peer', key, 'remove')
  for (const peer of wanted.peers) args.push(...peerChange(peer, actual.peers.get(peer.publicKey)))
  return { args, needsKey }
}

function peerChange(wanted: WantedPeer, actual: DumpPeer | undefined): string[] {
  const args: string[] = []
  const allowed = `${wanted.address}/32`
  if (actual?.allowedIps.length !== 1 || actual.allowedIps[0] !== allowed) args.push('allowed-ips', allowed)
  if (wanted.endpoint !== null && wanted.endpoint !== actual?.endpoint) args.push('endpoint', wanted.endpoint)
  // Last, because it is what makes a new peer initiate a handshake at once. Not before there is an endpoint to
  // send that to: WireGuard would count it as sent, and wait for REKEY_TIMEOUT before the next.
  const isReachable = wanted.endpoint !== null || (actual?.endpoint ?? null) !== null
  if (isReachable && actual?.keepaliveS !== KEEPALIVE_S) args.push('persistent-keepalive', `${KEEPALIVE_S}`)
  return args.length === 0 ? [] : ['peer', wanted.publicKey, ...args]
}

/**
 * An endpoint in the form that `wg` prints, or null where it is none that a peer on another machine can have:
 * no host names (`wg` would look them up), nothing that stays on this machine or goes to many, and nothing
 * inside the mesh itself (a tunnel in its own tunnel).
 */
export function endpointOf(text: string, cidr: string): string | null {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || port < 1 || port > 65_535) return null
  if (match?.[1] === undefined ? !ipaddr.IPv4.isValidFourPartDecimal(host) : !ipaddr.IPv6.isValid(host)) {
    return null
  }
  const address = ipaddr.process(host)
  const scope = address.range()
  if (['unspecified', 'loopback', 'multicast', 'broadcast'].includes(scope)) return null
  if (address instanceof ipaddr.IPv4) {
    return address.match(ipaddr.IPv4.parseCIDR(cidr)) ? null : `${address.toString()}:${port}`
  }
  return scope === 'linkLocal' || !(address instanceof ipaddr.IPv6) ? null : `[${address.toString()}]:${port}`
}
