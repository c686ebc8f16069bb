/**
 * Every message between nodes: its schema, its limits, its encoding. Nothing else crosses the network, and
 * nothing of it is believed beyond its shape before the module that it is for has checked it.
 * The sender's ID is proven by the connection (noise), so messages carry signatures only where a third
 * party must be convinced.
 */
import { z } from 'zod'
import { causeSchema, outcomeSchema } from './causes.ts'
import { decode, encode } from './codec.ts'
import { orderedCommandSchema } from './commands.ts'
import { acceptanceSchema, certifiedGenesisSchema, genesisSchema } from './genesis.ts'
import { type Digest, term } from './ids.ts'
import { planPatchSchema } from './patch.ts'
import { certifiedPlanSchema, ownActKindSchema, planSignatureSchema, stageSchema } from './plan.ts'
import {
  bytesSchema,
  claimSchema,
  countSchema,
  digestSchema,
  nodeIdSchema,
  signatureSchema,
  signedRecordSchema,
} from './record.ts'
import { BOOK_PARTS, RECORDS_MAX, RECORDS_PER_MESSAGE } from './timing.ts'

const termSchema = countSchema.transform(term)

/** Most changes in one entry of the plan. */
export const CAUSES_MAX = 64

/** What a founder says in a founding: signed, because acceptors and later readers must believe it too. */
export const promiseSchema = z.strictObject({
  node: nodeIdSchema,
  term: termSchema,
  candidate: nodeIdSchema,
  expect: z.number().int().min(1).max(512),
  /** The highest proposal that it accepted before, by term and genesis ID. */
  accepted: z.strictObject({ term: termSchema, genesis: digestSchema }).nullable(),
  claim: claimSchema,
  signature: signatureSchema,
})
export type FoundingPromise = z.infer<typeof promiseSchema>

/** One term in which the genesis was proposed: the promises that allowed it, and the candidate's word. */
export const layerSchema = z.strictObject({
  term: termSchema,
  candidate: nodeIdSchema,
  promises: z.array(promiseSchema).min(1).max(513),
  signature: signatureSchema,
})
export type Layer = z.infer<typeof layerSchema>

/**
 * A genesis with its whole justification: the first layer made it from promises that knew of none, each
 * later layer adopted it because its promises named it as the highest accepted.
 */
export const proposalSchema = z.strictObject({
  genesis: genesisSchema,
  layers: z.array(layerSchema).min(1).max(32),
})
export type Proposal = z.infer<typeof proposalSchema>

const refusalReasons = [
  'term',
  'term-jump',
  'expect',
  'formed',
  'datastore',
  'pinned',
  'blocked',
  'not-founder',
  'invalid',
] as const

/**
 * Beats carry the first eight hexadecimal digits of the era only: they are most of an idle network's bytes,
 * and name it merely to be ignored elsewhere; nothing is proven by them.
 */
const eraTagSchema = z.string().length(8)
export const eraTag = (era: Digest): string => era.slice(0, 8)

const aliveSchema = z.strictObject({
  id: nodeIdSchema,
  alive: z.boolean(),
  stage: stageSchema,
})
export type Aliveness = z.infer<typeof aliveSchema>

const datastoreViewSchema = z.strictObject({
  version: z.string().max(64).nullable(),
  healthy: z.boolean(),
  members: z
    .array(z.strictObject({ name: z.string().max(63), voter: z.boolean(), healthy: z.boolean() }))
    .max(16),
})
export type DatastoreView = z.infer<typeof datastoreViewSchema>

/** What a node tells its leader of itself: the leader's volatile picture of the cluster is made of these. */
const factsSchema = z.strictObject({
  stage: stageSchema,
  /** The mesh interface is up. */
  mesh: z.boolean(),
  /** Data of a datastore lies on its disk. */
  datastore: datastoreViewSchema.nullable(),
  /** Of a distribution with settings that change: what a rollout needs to know. Null for the others. */
  distribution: z
    .strictObject({
      version: z.string().max(64).nullable(),
      revision: countSchema.nullable(),
      prepared: countSchema.nullable(),
      ready: z.boolean(),
      /** The first error that its driver tells of. */
      problem: z.string().max(400).nullable(),
    })
    .nullable(),
  /** Signed result of the act that it holds, until the plan shows it. */
  outcome: outcomeSchema.nullable(),
})
export type Facts = z.infer<typeof factsSchema>

/** What a leader tells of the others, since the version that the reader has. */
const viewSchema = z.strictObject({
  version: countSchema,
  /** Whether `nodes` is everything (a reader of another term's view starts anew). */
  whole: z.boolean(),
  nodes: z.array(aliveSchema).max(RECORDS_MAX),
  datastore: datastoreViewSchema.nullable(),
})
export type View = z.infer<typeof viewSchema>

const partSchema = z
  .number()
  .int()
  .min(0)
  .max(BOOK_PARTS - 1)

export const messageSchema = z.discriminatedUnion('kind', [
  // gossip.ts
  z.strictObject({
    kind: z.literal('digest'),
    /** First 16 hexadecimal digits of the hash over all (id, seq). */
    records: z.string().length(16),
    genesis: digestSchema.nullable(),
    plan: z.strictObject({ term: termSchema, index: countSchema }).nullable(),
    /** Whether an answer is wanted. */
    pull: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal('inventory'),
    seqs: z.array(z.tuple([nodeIdSchema, countSchema])).max(RECORDS_MAX),
    /** The parts of the book that it is about; null: the whole book. */
    parts: z.array(partSchema).max(BOOK_PARTS).nullable(),
    /** Whether the receiver should answer with its own inventory. */
    pull: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal('summary'),
    /** First 8 hexadecimal digits of the hash over each part of the book: whole, they are in `digest`. */
    parts: z.array(z.string().length(8)).length(BOOK_PARTS),
  }),
  z.strictObject({
    kind: z.literal('records'),
    records: z.array(signedRecordSchema).max(RECORDS_PER_MESSAGE),
  }),
  // founding.ts
  z.strictObject({
    kind: z.literal('prepare'),
    term: termSchema,
    expect: z.number().int().min(1).max(512),
  }),
  z.strictObject({
    kind: z.literal('promise'),
    promise: promiseSchema,
    proposal: proposalSchema.nullable(),
  }),
  z.strictObject({
    kind: z.literal('founding.refused'),
    term: termSchema,
    reason: z.enum(refusalReasons),
    /** The refuser's highest promised term. */
    promised: termSchema,
    expect: z.number().int().min(1).max(512),
  }),
  z.strictObject({ kind: z.literal('propose'), term: termSchema, proposal: proposalSchema }),
  z.strictObject({
    kind: z.literal('accepted'),
    term: termSchema,
    genesis: digestSchema,
    acceptance: acceptanceSchema,
  }),
  z.strictObject({ kind: z.literal('genesis.pull') }),
  z.strictObject({ kind: z.literal('genesis.share'), certified: certifiedGenesisSchema }),
  // replication.ts
  z.strictObject({
    kind: z.literal('poll'),
    pre: z.boolean(),
    era: digestSchema,
    term: termSchema,
    lastTerm: termSchema,
    lastIndex: countSchema,
  }),
  z.strictObject({
    kind: z.literal('poll.answer'),
    pre: z.boolean(),
    era: digestSchema,
    term: termSchema,
    granted: z.boolean(),
    /** Over the vote, for the leader record; only with a granted real vote. */
    signature: signatureSchema.nullable(),
  }),
  z.strictObject({
    kind: z.literal('offer'),
    era: digestSchema,
    term: termSchema,
    index: countSchema,
    plan: digestSchema,
    base: digestSchema,
    baseIndex: countSchema,
    causes: z.array(causeSchema).max(CAUSES_MAX),
  }),
  z.strictObject({
    kind: z.literal('signed'),
    era: digestSchema,
    term: termSchema,
    index: countSchema,
    plan: digestSchema,
    signature: planSignatureSchema,
  }),
  z.strictObject({
    kind: z.literal('certify'),
    era: digestSchema,
    term: termSchema,
    index: countSchema,
    plan: digestSchema,
    signatures: z.array(planSignatureSchema).max(16),
  }),
  /** A leader that is to go names who should lead next: nobody waits for its silence. */
  z.strictObject({
    kind: z.literal('resign'),
    era: digestSchema,
    term: termSchema,
    successor: nodeIdSchema.nullable(),
  }),
  z.strictObject({ kind: z.literal('plan.pull'), era: digestSchema, index: countSchema }),
  z.strictObject({ kind: z.literal('plan.share'), certified: certifiedPlanSchema }),
  z.strictObject({
    kind: z.literal('plan.patch'),
    certified: certifiedPlanSchema.omit({ plan: true }),
    patch: planPatchSchema,
  }),
  // beats.ts
  z.strictObject({
    kind: z.literal('lead'),
    era: eraTagSchema,
    term: termSchema,
    planIndex: countSchema,
    view: viewSchema.nullable(),
  }),
  z.strictObject({
    kind: z.literal('beat'),
    era: eraTagSchema,
    /** Term of the leader that it beats to; a voter's answer to `lead`, or an agent's own beat. */
    term: termSchema,
    planIndex: countSchema,
    /** Version of the view that it has. */
    seen: countSchema,
    /** Null: as in the last beat of this session that carried them. */
    facts: factsSchema.nullable(),
  }),
  z.strictObject({
    kind: z.literal('beat.answer'),
    era: eraTagSchema,
    term: termSchema,
    /** `me` is the sender: an ID has 53 bytes, and a leader says so to every node every two seconds. */
    leader: z.union([z.literal('me'), nodeIdSchema]).nullable(),
    planIndex: countSchema,
    view: viewSchema.nullable(),
  }),
  // admission.ts
  z.strictObject({ kind: z.literal('join'), era: digestSchema, record: signedRecordSchema }),
  z.strictObject({
    kind: z.literal('join.answer'),
    era: digestSchema,
    leader: nodeIdSchema.nullable(),
    state: z.enum(['queued', 'elsewhere', 'pending', 'full']),
  }),
  // restored.ts
  z.strictObject({ kind: z.literal('recall'), era: digestSchema }),
  z.strictObject({
    kind: z.literal('recalled'),
    era: digestSchema,
    /** The latest entry that the receiver signed, and the latest vote that it gave, as far as the sender knows. */
    entry: z
      .strictObject({
        before: z.array(nodeIdSchema).max(16),
        voters: z.array(nodeIdSchema).max(16),
        term: termSchema,
        index: countSchema,
        plan: digestSchema,
        base: digestSchema,
        signature: signatureSchema,
      })
      .nullable(),
    vote: z
      .strictObject({
        term: termSchema,
        candidate: nodeIdSchema,
        signature: signatureSchema,
      })
      .nullable(),
  }),
  // commanding.ts
  z.strictObject({ kind: z.literal('command'), era: digestSchema, ordered: orderedCommandSchema }),
  z.strictObject({
    kind: z.literal('command.answer'),
    era: digestSchema,
    id: digestSchema,
    ok: z.boolean(),
    message: z.string().max(512),
    hint: z.string().max(512).nullable(),
  }),
  // acts.ts
  z.strictObject({
    kind: z.literal('permit.ask'),
    era: digestSchema,
    act: ownActKindSchema,
    attempt: countSchema,
    nonce: z.string().min(1).max(64),
  }),
  z.strictObject({
    kind: z.literal('permit'),
    era: digestSchema,
    act: ownActKindSchema,
    attempt: countSchema,
    nonce: z.string().min(1).max(64),
    signature: signatureSchema,
  }),
  // secrets.ts
  z.strictObject({ kind: z.literal('secret.ask'), era: digestSchema, generation: countSchema }),
  z.strictObject({
    kind: z.literal('secret'),
    era: digestSchema,
    generation: countSchema,
    /** The agents' secret, sealed to the receiver. */
    sealed: bytesSchema(512),
  }),
])
export type Message = z.infer<typeof messageSchema>
export type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>

/** Largest encoded message, bytes: a whole plan of 4,096 members and its chain. The network refuses larger frames. */
export const MESSAGE_BYTES_MAX = 2 * 1024 * 1024

export class ProtocolError extends Error {
  readonly code = 'MUSTER_E_PROTOCOL'
  override readonly name = 'ProtocolError'
}

export const encodeMessage = (message: Message): Uint8Array => encode(message)

/** @throws ProtocolError when the bytes are no message: too large, malformed, unknown, or out of bounds. */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length > MESSAGE_BYTES_MAX)
    throw new ProtocolError(`message of ${bytes.length} bytes is too large`)
  let value: unknown
  try {
    value = decode(bytes)
  } catch (error) {
    throw new ProtocolError(`not DAG-CBOR: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
  const parsed = messageSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new ProtocolError(
    `${issue?.path.join('.') || 'message'}: ${issue?.message ?? 'does not fit its schema'}`,
  )
}
