/** The documents of the local API, as schemas: what a client believes only after it has parsed it. */
import { z } from 'zod'
import { type CommandAnswer, commandSchema, type SignedCommand } from '../../core/commands.ts'
import { clusterSettingsSchema } from '../../core/genesis.ts'
import { countSchema, nodeIdSchema } from '../../core/record.ts'
import type { HistoryEntry, StatusDocument } from '../../core/status.ts'
import type { LogEvent } from '../log.ts'
import type { Kubeconfig, PlanSettings } from './view.ts'

const stageSchema = z.enum([
  'discovering',
  'founding',
  'joining',
  'meshing',
  'distributing',
  'ready',
  'blocked',
  'leaving',
])
const roleSchema = z.enum(['server', 'agent', 'pending'])
const severitySchema = z.enum(['info', 'warning', 'error'])
const listOf = <T extends z.ZodType>(item: T) => z.array(item).readonly()

export const statusSchema = z.object({
  apiVersion: z.literal('muster/v1'),
  self: z.object({
    id: z.string(),
    name: z.string(),
    stage: stageSchema,
    address: z.string().nullable(),
    role: roleSchema,
  }),
  cluster: z.object({
    id: z.string().nullable(),
    network: z.string(),
    state: z.enum(['discovering', 'founding', 'formed', 'degraded', 'conflict']),
    expect: z.number(),
    era: z.string().nullable(),
    term: z.number(),
    leader: z.string().nullable(),
    planIndex: z.number().nullable(),
  }),
  nodes: listOf(
    z.object({
      id: z.string(),
      name: z.string(),
      address: z.string().nullable(),
      role: roleSchema,
      stage: stageSchema.nullable(),
      alive: z.boolean(),
      lastSeenMs: z.number().nullable(),
      path: z.enum(['direct', 'relayed', 'none', 'self']),
      os: z.object({
        slot: z.string().nullable(),
        version: z.string().nullable(),
        digest: z.string().nullable(),
      }),
    }),
  ),
  distribution: z.object({
    kind: z.string(),
    version: z.string().nullable(),
    healthy: z.boolean(),
    members: listOf(z.object({ name: z.string(), voter: z.boolean(), healthy: z.boolean() })),
  }),
  act: z.object({ kind: z.string(), node: z.string(), attempt: z.number(), ageMs: z.number() }).nullable(),
  rollout: z
    .object({
      kind: z.enum(['distribution', 'os']),
      number: z.number(),
      state: z.enum(['running', 'paused', 'halted', 'done']),
      reason: z.string().nullable(),
      target: z.string().nullable(),
      nodes: listOf(
        z.object({
          name: z.string(),
          role: z.enum(['server', 'agent']),
          state: z.enum(['waiting', 'changing', 'done']),
        }),
      ),
    })
    .nullable(),
  waitingFor: listOf(z.string()),
  problems: listOf(
    z.object({
      code: z.string(),
      severity: severitySchema,
      since: z.string(),
      message: z.string(),
      hint: z.string(),
    }),
  ),
})

export const historySchema = z.object({
  apiVersion: z.literal('muster/v1'),
  history: listOf(
    z.object({
      index: z.number(),
      term: z.number(),
      at: z.string().nullable(),
      cause: z.string(),
      node: z.string().nullable(),
      text: z.string(),
      by: z.object({ who: z.string(), where: z.string(), why: z.string().nullable() }).nullable(),
    }),
  ),
})

export const eventSchema = z.object({
  at: z.string(),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  event: z.string(),
  fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})

export const settingsSchema = z.object({
  apiVersion: z.literal('muster/v1'),
  index: z.number(),
  settings: clusterSettingsSchema,
})

export const kubeconfigSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), kubeconfig: z.string() }),
  z.object({ ok: z.literal(false), message: z.string(), hint: z.string() }),
])

export const commandAnswerSchema = z.object({
  ok: z.boolean(),
  message: z.string(),
  hint: z.string().nullable(),
})

/** About this machine: nothing is to be said beside the verb; what is not known is refused rather than ignored. */
export const machineBodySchema = z.strictObject({})

/** An operator's word, as JSON has it: the signature in base64. */
export const signedJsonSchema = z.strictObject({
  operator: nodeIdSchema,
  index: countSchema,
  signature: z.base64().max(128),
})

/** About the cluster: the verb's arguments, and beside them who gives it, why, and with whose signature. */
const byShape = {
  /** Information, not proof: whoever may open the socket may say so. */
  who: z.string().min(1).max(64).default('somebody at the socket'),
  why: z.string().min(1).max(256).nullable().default(null),
  operator: signedJsonSchema.nullable().default(null),
}
export const orderBodySchema = z.looseObject(byShape)

export const ORDER_VERBS = commandSchema.options.map((option) => option.shape.verb.value)

export const signedOf = (signed: z.infer<typeof signedJsonSchema> | null): SignedCommand | null =>
  signed === null ? null : { ...signed, signature: new Uint8Array(Buffer.from(signed.signature, 'base64')) }

export const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string() }),
})
export type ErrorDocument = z.infer<typeof errorSchema>

/** The schema and the contract are one: a field that only one of them has does not compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never
true satisfies Same<z.infer<typeof statusSchema>, StatusDocument>
true satisfies Same<z.infer<typeof historySchema>['history'][number], HistoryEntry>
true satisfies Same<z.infer<typeof eventSchema>, LogEvent>
true satisfies Same<z.infer<typeof kubeconfigSchema>, Kubeconfig>
true satisfies Same<z.infer<typeof commandAnswerSchema>, CommandAnswer>
true satisfies Same<Omit<z.infer<typeof settingsSchema>, 'apiVersion'>, PlanSettings>
