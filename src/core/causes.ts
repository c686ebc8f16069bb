/** Why a plan changes: every cause as it travels in entries, and the signed word with which an act ends. */
import { z } from 'zod'
import { type Statement, statement } from './codec.ts'
import { orderedCommandSchema } from './commands.ts'
import type { Crypto } from './crypto.ts'
import { sealedSecretSchema } from './genesis.ts'
import type { Digest } from './ids.ts'
import { ownActKindSchema, type Plan } from './plan.ts'
import { countSchema, nodeIdSchema, signatureSchema, signedRecordSchema } from './record.ts'
import { revisionOf } from './revisions.ts'

/** What the holder of an act says of its end, signed: only this, an abort, or a person ends an act. */
export const outcomeSchema = z.strictObject({
  act: ownActKindSchema,
  node: nodeIdSchema,
  attempt: countSchema,
  epoch: countSchema,
  clusterId: z.string().min(1).max(64),
  /** Of the settings that it was reached with. */
  revision: countSchema,
  signature: signatureSchema,
})
export type Outcome = z.infer<typeof outcomeSchema>

const causeKinds = [
  z.strictObject({ kind: z.literal('lead') }),
  z.strictObject({ kind: z.literal('admit'), record: signedRecordSchema }),
  z.strictObject({ kind: z.literal('initialise'), node: nodeIdSchema }),
  z.strictObject({ kind: z.literal('join'), node: nodeIdSchema }),
  z.strictObject({ kind: z.literal('outcome'), outcome: outcomeSchema }),
  /** An eligible spare becomes a server, and a voter. */
  z.strictObject({ kind: z.literal('promote'), sealed: sealedSecretSchema }),
  /** A server is to go: it is dead, or was revoked while its act was broken. */
  z.strictObject({ kind: z.literal('remove'), node: nodeIdSchema, why: z.enum(['dead', 'revoked']) }),
  /** The datastore's own list of members has the act's target no more. */
  z.strictObject({ kind: z.literal('datastore-left'), node: nodeIdSchema, attempt: countSchema }),
  /** The target votes no more, and leaves. */
  z.strictObject({ kind: z.literal('left'), node: nodeIdSchema, attempt: countSchema }),
  /** A machine that came back with a new identity takes its old name. */
  z.strictObject({ kind: z.literal('rename'), node: nodeIdSchema }),
  z.strictObject({
    kind: z.literal('command'),
    ordered: orderedCommandSchema,
    /** The nodes that its words mean, in their order. */
    targets: z.array(nodeIdSchema).max(2),
    /** Records of those of them that are in no plan. */
    records: z.array(signedRecordSchema).max(2),
    /** The servers' secret for who is promoted. */
    sealed: sealedSecretSchema.nullable(),
  }),
  z.strictObject({ kind: z.literal('abort'), node: nodeIdSchema, attempt: countSchema }),
  // changes/rollout.ts
  z.strictObject({ kind: z.literal('upgrade'), node: nodeIdSchema }),
  z.strictObject({ kind: z.literal('turn'), node: nodeIdSchema }),
  z.strictObject({ kind: z.literal('turned'), node: nodeIdSchema, number: countSchema }),
  z.strictObject({
    kind: z.literal('halt'),
    node: nodeIdSchema,
    number: countSchema,
    reason: z.string().min(1).max(512),
  }),
  z.strictObject({ kind: z.literal('rolled'), number: countSchema }),
] as const

/** Why a plan changes: by which leader, in which term, first proposed at which index; `at` as in history. */
export const causeSchema = z.strictObject({
  what: z.discriminatedUnion('kind', causeKinds),
  by: nodeIdSchema,
  term: countSchema,
  index: countSchema,
  at: countSchema,
})
export type Cause = z.infer<typeof causeSchema>
export type CommandCause = Extract<Cause['what'], { kind: 'command' }>

export const outcomeStatement = (era: Digest, outcome: Omit<Outcome, 'signature'>): Statement =>
  statement(
    'outcome',
    era,
    outcome.act,
    outcome.node,
    outcome.attempt,
    outcome.epoch,
    outcome.clusterId,
    outcome.revision,
  )

/** Whether this is really the word of the act's holder on its end, for this attempt, epoch, datastore and settings. */
export function endsAct(crypto: Crypto, plan: Plan, outcome: Outcome): boolean {
  const { era, act, datastore } = plan
  return (
    act !== null &&
    act.kind === outcome.act &&
    act.node === outcome.node &&
    act.attempt === outcome.attempt &&
    datastore.epoch === outcome.epoch &&
    revisionOf(plan) === outcome.revision &&
    (act.kind === 'initialise' || datastore.clusterId === outcome.clusterId) &&
    crypto.verify(outcome.node, outcomeStatement(era, outcome), outcome.signature)
  )
}
