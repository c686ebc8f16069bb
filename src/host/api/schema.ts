/** The documents of the local API, as schemas: what a client believes only after it has parsed it. */
import { z } from 'zod'
import type { HistoryEntry, StatusDocument } from '../../core/status.ts'
import type { LogEvent } from '../log.ts'
import type { CommandResult } from './view.ts'

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

export const commandResultSchema = z.object({ ok: z.boolean(), message: z.string() })

/** Commands carry nothing yet; what is not known is refused rather than ignored. */
export const commandBodySchema = z.strictObject({})

export const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string() }),
})
export type ErrorDocument = z.infer<typeof errorSchema>

/** The schema and the contract are one: a field that only one of them has does not compile. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never
true satisfies Same<z.infer<typeof statusSchema>, StatusDocument>
true satisfies Same<z.infer<typeof historySchema>['history'][number], HistoryEntry>
true satisfies Same<z.infer<typeof eventSchema>, LogEvent>
true satisfies Same<z.infer<typeof commandResultSchema>, CommandResult>
