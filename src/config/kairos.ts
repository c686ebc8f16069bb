/**
 * What Kairos' blocks of a cloud-config become here, in one table: every key of `p2p:`, `k3s:`, `k3s-agent:`,
 * `k0s:`, `k0s-worker:` and `kubevip:` has an entry. Where `muster:` says the same thing, `muster:` wins and the
 * entry is not looked at. What has no meaning here is named in a warning.
 */
import { z } from 'zod'
import type { ServerTarget, VpnMode } from '../core/settings.ts'
import { shown } from './faults.ts'
import { holdsToken } from './secrecy.ts'

/** What the blocks say in muster's words; null where they say nothing. */
export interface KairosDraft {
  token: string | null
  /** As written; made a DNS label when it names a network. */
  networkId: string | null
  /** How many machines of the first day; `isWritten` unless it is Kairos' default. */
  expect: { readonly count: number; readonly isWritten: boolean } | null
  servers: ServerTarget | null
  vpnMode: VpnMode | null
  dht: boolean | null
  serverPreference: 'prefer' | 'avoid' | null
}

export const emptyDraft = (): KairosDraft => ({
  token: null,
  networkId: null,
  expect: null,
  servers: null,
  vpnMode: null,
  dht: null,
  serverPreference: null,
})

/** Says that the key of the entry is not, or not quite, what it is in Kairos. */
export type Warn = (code: string, message: string, hint: string) => void

export interface KairosEntry {
  /** Path in the cloud-config. */
  readonly key: string
  /** The key under `muster:` that says the same, and wins; null where there is none. */
  readonly becomes: string | null
  /** What is wrong with a value, null for nothing. */
  fault(value: unknown): string | null
  /** Takes a value that has no fault, or undefined where the key is not given. */
  take(value: unknown, draft: KairosDraft, warn: Warn): void
}

function entry<T>(
  key: string,
  becomes: string | null,
  what: string,
  schema: z.ZodType<T>,
  take: (value: T | undefined, draft: KairosDraft, warn: Warn) => void,
): KairosEntry {
  return {
    key,
    becomes,
    fault: (value) => (schema.safeParse(value).success ? null : `must be ${what}, not ${shown(value)}`),
    take: (value, draft, warn) =>
      take(value === undefined ? undefined : schema.safeParse(value).data, draft, warn),
  }
}

/** Go's YAML takes the words of YAML 1.1 where a bool is wanted. */
const YAML_1_1: Readonly<Record<string, boolean>> = { yes: true, on: true, no: false, off: false }
const bool = z.preprocess(
  (value) => (typeof value === 'string' ? (YAML_1_1[value.toLowerCase()] ?? value) : value),
  z.boolean(),
)
const flag = (
  key: string,
  becomes: string | null,
  take: (value: boolean | undefined, draft: KairosDraft, warn: Warn) => void,
) => entry(key, becomes, 'true or false', bool, take)

/** A key without meaning here. What asks for nothing (false, nothing, an empty list) needs no warning. */
const ignored = (key: string, hint: string): KairosEntry =>
  entry(key, null, 'any value', z.unknown(), (value, _draft, warn) => {
    if (asksForNothing(value)) return
    warn('config.ignored', 'has no meaning here and is not looked at', hint)
  })

export function asksForNothing(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(asksForNothing)
  return value === undefined || value === null || value === false || value === ''
}

const NO_K3S = 'k3s is not in this version: muster.distribution.kind is etcd or none'
const NO_K0S = 'k0s is not a distribution of muster: muster.distribution.kind is etcd or none'
const NO_VIP = 'muster has no virtual address yet: reach the servers by their own'

const DISTRIBUTION_KEYS = ['enabled', 'env', 'args', 'replace_env', 'replace_args']

/** In this order: an entry sees what those above it left in the draft. */
export const KAIROS_TABLE: readonly KairosEntry[] = [
  entry('p2p.network_token', 'token', 'a token', z.string().min(1), (value, draft) => {
    draft.token = value ?? null
  }),
  entry(
    'p2p.network_id',
    null,
    'a name',
    z
      .string()
      .min(1)
      .refine((name) => !holdsToken(name)),
    (value, draft) => {
      draft.networkId = value ?? null
    },
  ),
  entry(
    'p2p.minimum_nodes',
    'expect',
    'a whole number from 1 to 512',
    z.int().min(1).max(512),
    (value, draft) => {
      draft.expect = { count: value ?? 2, isWritten: value !== undefined }
    },
  ),
  entry(
    'p2p.role',
    'server_preference',
    'master, worker or none',
    z.enum(['master', 'worker', 'none', '']),
    (value, draft, warn) => {
      if (value === undefined || value === '') return
      draft.serverPreference = value === 'master' ? 'prefer' : 'avoid'
      warn(
        'config.role',
        `role ${value} is read as a preference (${draft.serverPreference}): roles are agreed among the founders`,
        'write muster.server_preference instead, or leave both out',
      )
    },
  ),
  flag('p2p.disable_dht', 'discovery.dht', (value, draft) => {
    draft.dht = value !== true
  }),
  flag('p2p.vpn.create', 'vpn.mode', (value, draft) => {
    if (value === false) draft.vpnMode = 'none'
  }),
  flag('p2p.vpn.use', 'vpn.mode', (value, draft) => {
    if (value === false) draft.vpnMode = 'none'
  }),
  ignored('p2p.vpn.env', 'it sets EdgeVPN: see muster.vpn and muster.discovery for what is set here'),
  entry(
    'p2p.auto.ha.master_nodes',
    'servers',
    'a whole number from 0 to 64',
    z.int().min(0).max(64),
    (value, draft, warn) => {
      if (value === undefined) return
      // Beside the first one, which Kairos does not count.
      const wanted = value + 1
      const servers = serverTarget(wanted)
      draft.servers = servers
      if (servers === wanted) return
      warn(
        'config.servers',
        `${value} and the first make ${wanted} servers; muster takes ${servers}: an odd number, at most 7`,
        'set muster.servers to auto, 1, 3, 5 or 7',
      )
    },
  ),
  flag('p2p.auto.ha.enable', 'servers', (value, draft, warn) => {
    if (value === false) draft.servers = 1
    if (draft.servers !== null) return
    draft.servers = value === true ? 'auto' : 1
    if (value !== true) return
    warn(
      'config.servers',
      'high availability without master_nodes: muster chooses the number of servers by that of the machines',
      'set muster.servers to auto, 1, 3, 5 or 7',
    )
  }),
  ignored(
    'p2p.auto.ha.external_db',
    'muster has a datastore of its own; external ones are not in this version',
  ),
  flag('p2p.auto.enable', null, (value, _draft, warn) => {
    if (value !== false) return
    warn('config.ignored', 'has no meaning here: muster always forms the cluster by itself', 'remove it')
  }),
  ignored('p2p.dynamic_roles', 'roles change only by the plan'),
  ignored('p2p.dns', 'muster does not answer DNS in this version'),
  ignored('p2p.loglevel', 'set the environment variable MUSTER_LOG, such as debug'),
  ...['k3s', 'k3s-agent'].flatMap((block) =>
    DISTRIBUTION_KEYS.map((key) => ignored(`${block}.${key}`, NO_K3S)),
  ),
  ignored('k3s.embedded_registry', NO_K3S),
  ...['k0s', 'k0s-worker'].flatMap((block) =>
    DISTRIBUTION_KEYS.map((key) => ignored(`${block}.${key}`, NO_K0S)),
  ),
  ...['eip', 'enable', 'static_pod', 'interface', 'manifest_url', 'version', 'image'].map((key) =>
    ignored(`kubevip.${key}`, NO_VIP),
  ),
]

export const KAIROS_BLOCKS: readonly string[] = [
  ...new Set(KAIROS_TABLE.map(({ key }) => key.split('.')[0] ?? '')),
]

/** The largest number of servers that is at most the wanted. */
function serverTarget(wanted: number): 1 | 3 | 5 | 7 {
  return wanted >= 7 ? 7 : wanted >= 5 ? 5 : wanted >= 3 ? 3 : 1
}
