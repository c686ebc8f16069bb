/**
 * What the plan says of k3s: the settings that every machine follows, and which version may follow which.
 * Decides nothing else; when a node gets them is the rollout's business. Nothing in here is secret: every member
 * reads the plan.
 */
import { z } from 'zod'
import { encode, sameBytes } from './codec.ts'
import { NAME_PATTERN } from './record.ts'

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)
const urlSchema = z.string().min(1).max(1_024)
const wordSchema = z.string().min(1).max(512)

/** Release names of k3s: v1.33.4+k3s1, v1.34.0-rc1+k3s1. */
const VERSION_PATTERN = /^v(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-[0-9a-z.-]{1,32})?\+k3s(\d{1,4})$/

const argumentsSchema = z.strictObject({
  args: z.array(wordSchema).max(64),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), z.string().max(2_048)),
  /** Instead of what muster would say, not beside it. */
  replaceArgs: z.boolean(),
  replaceEnv: z.boolean(),
})
/** Command line and environment of one role. */
export type K3sArguments = z.infer<typeof argumentsSchema>

const kubevipSchema = z.strictObject({
  eip: z.union([z.ipv4(), z.ipv6()]),
  /** Null: the one that the machine's LAN address is on. */
  interface: z.string().min(1).max(15).nullable(),
  mode: z.enum(['manifest', 'static-pod']),
  version: z.string().min(1).max(64),
  image: z.string().min(1).max(256),
})

const ruleSchema = z.strictObject({
  /** Null matches every node: of every name (globs), of either role. */
  match: z.strictObject({
    names: z.array(z.string().min(1).max(63)).max(64).nullable(),
    role: z.enum(['server', 'agent']).nullable(),
  }),
  labels: z.record(z.string().min(1).max(317), z.string().max(63)),
  taints: z.array(wordSchema).max(32),
})
/** Labels and taints by what a node is called or does, never by role templates of machines. */
export type K3sRule = z.infer<typeof ruleSchema>

/** Plans travel whole, and one under rollout carries the settings of before too. */
const SETTINGS_CHARACTERS_MAX = 16_384

export const k3sSettingsSchema = z
  .strictObject({
    /** Null: whatever binary the machine has. */
    version: z.string().max(64).regex(VERSION_PATTERN).nullable(),
    /** The binary. Without a URL a peer or a path on the machine has it. */
    artefacts: z
      .array(
        z.strictObject({
          arch: z.enum(['amd64', 'arm64', 'arm']),
          url: urlSchema.nullable(),
          sha256: sha256Schema,
        }),
      )
      .max(3),
    /** Archives of container images for machines without a registry. */
    images: z
      .array(
        z.strictObject({
          name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/),
          url: urlSchema.nullable(),
          sha256: sha256Schema,
        }),
      )
      .max(16),
    server: argumentsSchema,
    agent: argumentsSchema,
    flannel: z.enum(['vxlan', 'host-gw', 'none']),
    /** The registry mirror that is built into k3s. */
    registry: z.boolean(),
    /** The datastore is somewhere else; its address is secret and stays in each machine's file. */
    external: z.boolean(),
    kubevip: kubevipSchema.nullable(),
    rules: z.array(ruleSchema).max(64),
  })
  .refine((settings) => JSON.stringify(settings).length <= SETTINGS_CHARACTERS_MAX, {
    error: `must have at most ${SETTINGS_CHARACTERS_MAX} characters in all`,
  })
export type K3sSettings = z.infer<typeof k3sSettingsSchema>

/** Settings that say nothing: the machine's own binary, and k3s' defaults over the mesh. */
export const plainK3s = (): K3sSettings => ({
  version: null,
  artefacts: [],
  images: [],
  server: { args: [], env: {}, replaceArgs: false, replaceEnv: false },
  agent: { args: [], env: {}, replaceArgs: false, replaceEnv: false },
  flannel: 'vxlan',
  registry: false,
  external: false,
  kubevip: null,
  rules: [],
})

/** What differs, in the words of the configuration; short, because args and rules are long. */
export function k3sDifferences(here: K3sSettings | null, inPlan: K3sSettings | null): string[] {
  if (here === null || inPlan === null) return []
  const { version } = here
  const keys = Object.keys(inPlan) as (keyof K3sSettings)[]
  return keys
    .filter((key) => !sameBytes(encode(here[key]), encode(inPlan[key])))
    .map((key) =>
      key === 'version'
        ? `version is ${version ?? 'not given'} here, ${inPlan.version ?? 'not given'} in the plan`
        : `${key} differ`,
    )
}

export const sameK3s = (a: K3sSettings, b: K3sSettings): boolean => sameBytes(encode(a), encode(b))

export interface K3sVersion {
  readonly major: number
  readonly minor: number
  readonly patch: number
  /** Of k3s' own releases of one Kubernetes. */
  readonly release: number
}

/** @returns null for what is no release name of k3s. */
export function k3sVersion(text: string): K3sVersion | null {
  const match = VERSION_PATTERN.exec(text)
  if (match === null) return null
  const [major, minor, patch, release] = match.slice(1).map(Number)
  if (major === undefined || minor === undefined || patch === undefined || release === undefined) return null
  return { major, minor, patch, release }
}

/** Whether a node of this name and role gets the rule's labels and taints. */
export function matchesRule(rule: K3sRule, name: string, role: 'server' | 'agent'): boolean {
  const { names, role: only } = rule.match
  return (only === null || only === role) && (names === null || names.some((glob) => matchesGlob(glob, name)))
}

/** `*` stands for any characters, `?` for one. */
function matchesGlob(glob: string, name: string): boolean {
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return NAME_PATTERN.test(name) && new RegExp(`^${pattern}$`).test(name)
}
