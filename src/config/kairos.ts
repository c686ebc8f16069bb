/**
 * What Kairos' blocks of a cloud-config become here, in one table: every key of `p2p:`, `k3s:`, `k3s-agent:`,
 * `k0s:`, `k0s-worker:` and `kubevip:` has an entry. Where `muster:` says the same thing, `muster:` wins and the
 * entry is not looked at. What has no meaning here is named in a warning.
 */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import type { ServerTarget, VpnMode } from '../core/settings.ts'
import { externalDbFault } from './external-db.ts'
import { shown } from './faults.ts'
import { argumentFault, variableFault } from './k3s-reserved.ts'
import { holdsToken } from './secrecy.ts'

/** Command line and environment of one role; null where nothing is said. */
export interface KairosArguments {
  args: readonly string[] | null
  env: Readonly<Record<string, string>> | null
  replaceArgs: boolean | null
  replaceEnv: boolean | null
}

export interface KairosK3s {
  readonly server: KairosArguments
  /** Kairos looks at these only where `enabled` is true. */
  readonly agent: KairosArguments & { enabled: boolean }
  registry: boolean | null
  /** Secret. */
  externalDb: string | null
  readonly kubevip: {
    eip: string | null
    enabled: boolean | null
    staticPod: boolean | null
    interface: string | null
    version: string | null
    image: string | null
  }
}

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
  /** Never a server. */
  isAgent: boolean
  readonly k3s: KairosK3s
  /** `k0s.enabled`: another distribution is wanted. */
  wantsK0s: boolean
}

const noArguments = (): KairosArguments => ({ args: null, env: null, replaceArgs: null, replaceEnv: null })

export const emptyDraft = (): KairosDraft => ({
  token: null,
  networkId: null,
  expect: null,
  servers: null,
  vpnMode: null,
  dht: null,
  serverPreference: null,
  isAgent: false,
  k3s: {
    server: noArguments(),
    agent: { ...noArguments(), enabled: false },
    registry: null,
    externalDb: null,
    kubevip: { eip: null, enabled: null, staticPod: null, interface: null, version: null, image: null },
  },
  wantsK0s: false,
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

const NO_K0S = 'k0s is not a distribution of muster: muster.distribution.kind is k3s, etcd or none'

const DISTRIBUTION_KEYS = ['enabled', 'env', 'args', 'replace_env', 'replace_args']

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

/** Kairos joins the items by spaces: one of them may hold several words. */
const wordsOf = (value: readonly unknown[]): string[] =>
  value.flatMap((item) => (/["']/.test(String(item)) ? [String(item)] : String(item).trim().split(/\s+/)))

function argumentsEntry(
  key: string,
  becomes: string,
  take: (args: readonly string[], k3s: KairosK3s, warn: Warn) => void,
): KairosEntry {
  return {
    key,
    becomes,
    fault: (value) => {
      if (!Array.isArray(value) || !value.every(isScalar))
        return `must be a list of arguments, not ${shown(value)}`
      const words = wordsOf(value)
      if (words.some((word) => holdsToken(word))) return 'holds a network token'
      return words.map(argumentFault).find((fault) => fault !== null) ?? null
    },
    take: (value, draft, warn) => {
      if (Array.isArray(value) && value.length > 0) take(wordsOf(value), draft.k3s, warn)
    },
  }
}

function environmentEntry(
  key: string,
  becomes: string,
  take: (env: Readonly<Record<string, string>>, k3s: KairosK3s, warn: Warn) => void,
): KairosEntry {
  return {
    key,
    becomes,
    fault: (value) => {
      if (
        typeof value !== 'object' ||
        value === null ||
        Array.isArray(value) ||
        !Object.values(value).every(isScalar)
      )
        return `must be a map of texts, not ${shown(value)}`
      if (Object.values(value).some((each) => holdsToken(String(each)))) return 'holds a network token'
      const wrong = Object.keys(value).map((name) => ({ name, fault: variableFault(name) }))
      const first = wrong.find(({ fault }) => fault !== null)
      return first === undefined ? null : `${shown(first.name)} ${first.fault}`
    },
    take: (value, draft, warn) => {
      if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) return
      const texts = Object.entries(value).map(([name, each]) => [name, String(each)] as const)
      take(Object.fromEntries(texts), draft.k3s, warn)
    },
  }
}

/** A key of `k3s-agent:`, of which Kairos takes none unless `enabled` is true. */
const ifEnabled =
  <T>(take: (value: T, k3s: KairosK3s) => void) =>
  (value: T, k3s: KairosK3s, warn: Warn): void => {
    if (k3s.agent.enabled) take(value, k3s)
    else warn('config.ignored', 'is not looked at, as in Kairos', 'set k3s-agent.enabled to true')
  }

const kubevipText = (key: 'interface' | 'version' | 'image', longest: number): KairosEntry =>
  entry(
    `kubevip.${key}`,
    `distribution.kubevip.${key}`,
    'a text',
    z
      .string()
      .max(longest)
      .refine((value) => !holdsToken(value)),
    (value, draft) => {
      if (value !== undefined && value !== '') draft.k3s.kubevip[key] = value
    },
  )

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
    'role',
    'master, worker or none',
    z.enum(['master', 'worker', 'none', '']),
    (value, draft, warn) => {
      if (value === undefined || value === '') return
      if (value === 'worker') {
        draft.isAgent = true
        return
      }
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
  {
    key: 'p2p.auto.ha.external_db',
    becomes: 'distribution.external_db',
    fault: (value) =>
      typeof value === 'string' ? externalDbFault(value) : 'must be the address of a datastore',
    take: (value, draft) => {
      if (typeof value === 'string' && value !== '') draft.k3s.externalDb = value
    },
  },
  flag('p2p.auto.enable', null, (value, _draft, warn) => {
    if (value !== false) return
    warn('config.ignored', 'has no meaning here: muster always forms the cluster by itself', 'remove it')
  }),
  ignored('p2p.dynamic_roles', 'roles change only by the plan'),
  ignored('p2p.dns', 'muster does not answer DNS in this version'),
  ignored('p2p.loglevel', 'set the environment variable MUSTER_LOG, such as debug'),
  // In auto mode Kairos starts k3s whatever this says; only k0s takes its place.
  flag('k3s.enabled', null, () => undefined),
  argumentsEntry('k3s.args', 'distribution.args', (args, { server }) => {
    server.args = args
  }),
  environmentEntry('k3s.env', 'distribution.env', (env, { server }) => {
    server.env = env
  }),
  flag('k3s.replace_args', 'distribution.replace_args', (value, { k3s }) => {
    k3s.server.replaceArgs = value ?? null
  }),
  flag('k3s.replace_env', 'distribution.replace_env', (value, { k3s }) => {
    k3s.server.replaceEnv = value ?? null
  }),
  flag('k3s.embedded_registry', 'distribution.registry', (value, { k3s }) => {
    k3s.registry = value ?? null
  }),
  flag('k3s-agent.enabled', null, (value, { k3s }) => {
    k3s.agent.enabled = value === true
  }),
  argumentsEntry(
    'k3s-agent.args',
    'distribution.agent.args',
    ifEnabled((args, { agent }) => {
      agent.args = args
    }),
  ),
  environmentEntry(
    'k3s-agent.env',
    'distribution.agent.env',
    ifEnabled((env, { agent }) => {
      agent.env = env
    }),
  ),
  flag('k3s-agent.replace_args', 'distribution.agent.replace_args', (value, { k3s }) => {
    if (k3s.agent.enabled) k3s.agent.replaceArgs = value ?? null
  }),
  flag('k3s-agent.replace_env', 'distribution.agent.replace_env', (value, { k3s }) => {
    if (k3s.agent.enabled) k3s.agent.replaceEnv = value ?? null
  }),
  flag('k0s.enabled', null, (value, draft, warn) => {
    draft.wantsK0s = value === true
    if (draft.wantsK0s) warn('config.ignored', 'has no meaning here and is not looked at', NO_K0S)
  }),
  ...['k0s', 'k0s-worker'].flatMap((block) =>
    DISTRIBUTION_KEYS.filter((key) => `${block}.${key}` !== 'k0s.enabled').map((key) =>
      ignored(`${block}.${key}`, NO_K0S),
    ),
  ),
  entry(
    'kubevip.eip',
    'distribution.kubevip.eip',
    'an IP address',
    z.string().refine((value) => value === '' || ipaddr.isValid(value)),
    (value, draft) => {
      if (value !== undefined && value !== '') draft.k3s.kubevip.eip = value
    },
  ),
  flag('kubevip.enable', null, (value, { k3s }, warn) => {
    k3s.kubevip.enabled = value ?? null
    if (value !== true || k3s.kubevip.eip !== null) return
    warn('config.ignored', 'has no meaning here without an address', 'write kubevip.eip')
  }),
  flag('kubevip.static_pod', 'distribution.kubevip.mode', (value, { k3s }) => {
    k3s.kubevip.staticPod = value ?? null
  }),
  kubevipText('interface', 15),
  kubevipText('version', 64),
  kubevipText('image', 256),
  ignored('kubevip.manifest_url', 'muster writes the manifest of kube-vip itself'),
]

export const KAIROS_BLOCKS: readonly string[] = [
  ...new Set(KAIROS_TABLE.map(({ key }) => key.split('.')[0] ?? '')),
]

/** Whether the key speaks of k3s, so that it means nothing where something else is to run. */
export const isOfK3s = (key: string): boolean =>
  /^(k3s|k3s-agent|kubevip)\./.test(key) || key === 'p2p.auto.ha.external_db'

/** The largest number of servers that is at most the wanted. */
function serverTarget(wanted: number): 1 | 3 | 5 | 7 {
  return wanted >= 7 ? 7 : wanted >= 5 ? 5 : wanted >= 3 ? 3 : 1
}
