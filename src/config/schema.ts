/**
 * The keys under `muster:`, what each takes, and its default with the reason. Everything is optional here: what
 * must be there, and what must fit together, is looked at when all files are merged.
 */
import { isAbsolute } from 'node:path'
import { peerIdFromString } from '@libp2p/peer-id'
import { z } from 'zod'
import { nodeId } from '../core/ids.ts'
import type { DistributionKind, ServerTarget, VpnMode } from '../core/settings.ts'
import { MESH_INTERFACE, MESH_PORT } from '../host/mesh/mesh.ts'
import { listenFault, peerFault } from './addresses.ts'
import { shown } from './faults.ts'
import { holdsToken } from './secrecy.ts'
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

/** The message for every way in which a value can be wrong. */
const wants = (what: string) => ({
  error: (issue: { readonly input?: unknown }) =>
    issue.input === null ? `has no value: it must be ${what}` : `must be ${what}, not ${shown(issue.input)}`,
})

const TOKEN_ASTRAY = 'is a network token: only `token` may hold it'
const text = (what: string) =>
  z
    .string(wants(what))
    .min(1, wants(what))
    .refine((value) => !holdsToken(value), { error: TOKEN_ASTRAY, abort: true })
const trueOrFalse = z.boolean(wants('true or false'))
const whole = (min: number, max: number) => {
  const error = wants(`a whole number from ${min} to ${max}`)
  return z.int(error).min(min, error).max(max, error)
}
/** A text that a function finds fault with, or not. */
const checked = (what: string, faultOf: (value: string) => string | null) =>
  text(what).superRefine((value, context) => {
    const message = faultOf(value)
    if (message !== null) context.addIssue({ code: 'custom', message })
  })
const absolutePath = checked('a path', (path) => (isAbsolute(path) ? null : 'must be an absolute path'))

/** A section that is there without content, because all of it is commented out, is no mistake. */
const section = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess(
    (value) => value ?? {},
    z
      .strictObject(shape, {
        error: (issue) =>
          issue.code === 'invalid_type' ? `must be a map of settings, not ${shown(issue.input)}` : undefined,
      })
      .partial(),
  )

const DURATION = /^(\d{1,6})(ms|s|m)$/
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 }
const SETTLE_MAX_MS = 3_600_000

const duration = checked('a time such as 10s, 500ms or 2m', (value) =>
  durationMs(value) > SETTLE_MAX_MS
    ? `must be a time from 0s to 60m, such as 10s or 2m, not ${shown(value)}`
    : null,
).transform(durationMs)

/** Infinite for what is none. */
function durationMs(value: string): number {
  const match = DURATION.exec(value)
  return match === null ? Number.POSITIVE_INFINITY : Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? 1)
}

function founderFault(value: string): string | null {
  try {
    if (peerIdFromString(value).type === 'Ed25519') return null
  } catch {
    // Said below: the library's reason names base encodings.
  }
  return 'is no node ID: it begins with 12D3KooW, see `muster status --json`, self.id'
}

const SERVER_TARGETS: readonly ServerTarget[] = ['auto', 1, 3, 5, 7]
const VPN_MODES: readonly VpnMode[] = ['wireguard', 'none']
export const DISTRIBUTIONS = ['etcd', 'none'] as const satisfies readonly DistributionKind[]

const vpn = {
  mode: z.enum(VPN_MODES, wants('wireguard or none')),
  cidr: checked('an IPv4 prefix', cidrFault),
  interface: text('the name of an interface').regex(
    INTERFACE_PATTERN,
    wants('the name of an interface: 1 to 15 letters, digits, _, . and -'),
  ),
  port: whole(1, 65_535),
}
const distribution = {
  kind: z.enum(DISTRIBUTIONS, {
    error: ({ input }) =>
      input === 'k3s'
        ? 'k3s is not in this version: it must be etcd or none'
        : `must be etcd or none, not ${shown(input)}`,
  }),
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
  admission: z.literal('open', {
    error: ({ input }) =>
      input === 'approve'
        ? 'approve is not in this version: it must be open'
        : `must be open, not ${shown(input)}`,
  }),
  max_nodes: whole(1, 4_096),
  vpn: section(vpn),
  distribution: section(distribution),
  discovery: section(discovery),
  founders: z
    .array(checked('a node ID', founderFault).transform(nodeId), wants('a list of node IDs'))
    .min(1, 'names nobody, so that nobody could found')
    .max(512, 'has more than 512'),
  server_preference: z.enum(['prefer', 'neutral', 'avoid'], wants('prefer, neutral or avoid')),
  allow_ephemeral: trueOrFalse,
  settle: duration,
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

const SECTIONS = { vpn, distribution, discovery }

/** Every key that takes a value, as a path below `muster`. */
export const MUSTER_KEYS: readonly string[] = Object.keys(muster).flatMap((key) =>
  isSection(key) ? Object.keys(SECTIONS[key]).map((inner) => `${key}.${inner}`) : [key],
)

function isSection(key: string): key is keyof typeof SECTIONS {
  return Object.hasOwn(SECTIONS, key)
}

/** A later block over an earlier: sections are merged, lists are replaced. */
export function overlay(under: Muster, over: Muster): Muster {
  const merged = { ...under, ...over }
  if (under.vpn !== undefined) merged.vpn = { ...under.vpn, ...over.vpn }
  if (under.distribution !== undefined) merged.distribution = { ...under.distribution, ...over.distribution }
  if (under.discovery !== undefined) merged.discovery = { ...under.discovery, ...over.discovery }
  return merged
}
