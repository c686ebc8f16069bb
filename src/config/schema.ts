/**
 * The keys under `muster:`, what each takes, and its default with the reason. Everything is optional here: what
 * must be there, and what must fit together, is looked at when all files are merged.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { z } from 'zod'
import { nodeId } from '../core/ids.ts'
import type { ServerTarget, VpnMode } from '../core/settings.ts'
import { MESH_INTERFACE, MESH_PORT } from '../host/mesh/mesh.ts'
import { listenFault, peerFault } from './addresses.ts'
import { SECTIONS as DISTRIBUTION_SECTIONS, distribution, distributionSchema } from './distribution.ts'
import { absolutePath, checked, duration, section, text, trueOrFalse, wants, whole } from './values.ts'
import { cidrFault } from './vpn.ts'

export const DEFAULTS = {
  /** One below 3 machines, 3 up to 6, then 5: what etcd recommends. */
  servers: 'auto',
  admission: 'open',
  /** Beyond it one full mesh of WireGuard peers costs more than it gives. */
  maxNodes: 1_000,
  vpn: {
    mode: 'wireguard',
    /** Beside the usual homes of LANs, containers and Kubernetes: 65,534 machines. */
    cidr: '10.86.0.0/16',
    interface: MESH_INTERFACE,
    port: MESH_PORT,
  },
  discovery: { mdns: true, dht: true, peers: [] },
  role: 'auto',
  serverPreference: 'neutral',
  allowEphemeral: false,
  /** Longer than machines of one kind differ in booting, shorter than people wait. */
  settleMs: 10_000,
  /** Every address; a machine without IPv6 does without the second. */
  listen: ['0.0.0.0', '::'],
  state: '/var/lib/muster',
  /** Where nothing else survives an update of the system. */
  stateOnKairos: '/usr/local/muster',
  socket: '/run/muster.sock',
} as const

/** Longest path that the kernel takes for a Unix socket (sun_path, with its closing zero). */
export const SOCKET_PATH_MAX = 107
export const INTERFACE_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/

const SETTLE_MAX_MS = 3_600_000
/** A month: whoever would wait longer wants no replacement at all. */
const REPLACE_AFTER_MAX_MS = 720 * 3_600_000

const founderFault = (value: string): string | null =>
  isEd25519(value) ? null : 'is no node ID: it begins with 12D3KooW, see `muster status --json`, self.id'
const operatorFault = (value: string): string | null =>
  isEd25519(value)
    ? null
    : 'is no public key of an operator: it begins with 12D3KooW, see `muster operator new`'

function isEd25519(value: string): boolean {
  try {
    return peerIdFromString(value).type === 'Ed25519'
  } catch {
    // The library's reason names base encodings.
    return false
  }
}

const SERVER_TARGETS: readonly ServerTarget[] = ['auto', 1, 3, 5, 7]
const VPN_MODES: readonly VpnMode[] = ['wireguard', 'none']

const vpn = {
  mode: z.enum(VPN_MODES, wants('wireguard or none')),
  cidr: checked('an IPv4 prefix', cidrFault),
  interface: text('the name of an interface').regex(
    INTERFACE_PATTERN,
    wants('the name of an interface: 1 to 15 letters, digits, _, . and -'),
  ),
  port: whole(1, 65_535),
}
const discovery = {
  mdns: trueOrFalse,
  dht: trueOrFalse,
  peers: z
    .array(checked('an address', peerFault), wants('a list of addresses'))
    .max(256, 'has more than 256'),
}
const muster = {
  token: z.string(wants('a token')).min(1, wants('a token')),
  token_file: text('a path'),
  expect: whole(1, 512),
  servers: z.literal(SERVER_TARGETS, wants('auto, 1, 3, 5 or 7')),
  admission: z.enum(['open', 'approve'], wants('open or approve')),
  promote: z.enum(['founders', 'any'], wants('founders or any')),
  replace_after: z.preprocess(
    (value) => (value === 'never' ? '0s' : value),
    duration(REPLACE_AFTER_MAX_MS, '720h'),
  ),
  operators: z
    .array(checked('a public key', operatorFault).transform(nodeId), wants('a list of public keys'))
    .max(16, 'has more than 16'),
  max_nodes: whole(1, 4_096),
  vpn: section(vpn),
  distribution: distributionSchema,
  discovery: section(discovery),
  founders: z
    .array(checked('a node ID', founderFault).transform(nodeId), wants('a list of node IDs'))
    .min(1, 'names nobody, so that nobody could found')
    .max(512, 'has more than 512'),
  role: z.enum(['auto', 'agent'], wants('auto or agent')),
  server_preference: z.enum(['prefer', 'neutral', 'avoid'], wants('prefer, neutral or avoid')),
  allow_ephemeral: trueOrFalse,
  settle: duration(SETTLE_MAX_MS, '60m'),
  listen: z
    .array(checked('an IP address', listenFault), wants('a list of IP addresses'))
    .min(1, 'has no address to listen on')
    .max(32, 'has more than 32'),
  state: absolutePath,
  socket: absolutePath.refine((path) => Buffer.byteLength(path) <= SOCKET_PATH_MAX, {
    error: `must not be longer than ${SOCKET_PATH_MAX} bytes`,
  }),
}

export const musterSchema = section(muster)
export type Muster = z.output<typeof musterSchema>

const SECTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  vpn,
  distribution,
  discovery,
  ...Object.fromEntries(
    Object.entries(DISTRIBUTION_SECTIONS).map(([name, shape]) => [`distribution.${name}`, shape]),
  ),
}

/** Every key that takes a value, as a path below `muster`. */
export const MUSTER_KEYS: readonly string[] = keysOf(Object.keys(muster), '')

function keysOf(names: readonly string[], under: string): string[] {
  return names.flatMap((name) => {
    const inner = SECTIONS[`${under}${name}`]
    return inner === undefined ? [`${under}${name}`] : keysOf(Object.keys(inner), `${under}${name}.`)
  })
}

/** A later block over an earlier: sections are merged key by key, lists are replaced. */
export const overlay = (under: Muster, over: Muster): Muster => merged(under, over) as Muster

function merged(under: object, over: object): object {
  const result: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    const before = result[key]
    result[key] = isMap(before) && isMap(value) ? merged(before, value) : value
  }
  return result
}

const isMap = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
