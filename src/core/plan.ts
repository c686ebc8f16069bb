/**
 * The plan: the one small document that says who is in, with which address and role, and what happens next.
 * Decides whether signatures certify a plan; what may change it is in causes.ts, how it then changes in
 * changes.ts. Reads nothing else.
 */
import { z } from 'zod'
import { hashOf, type Statement, statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import {
  clusterSettingsSchema,
  type Genesis,
  type Member,
  memberSchema,
  sealedSecretSchema,
} from './genesis.ts'
import { type Digest, type NodeId, term } from './ids.ts'
import { countSchema, digestSchema, nodeIdSchema, signatureSchema } from './record.ts'
import { rolloutSchema } from './rollout.ts'

/** Version of the rules by which this program computes changes. */
export const RULES = 1
/** Lines of history that a plan carries. */
export const HISTORY_MAX = 64

/** Most commands within the window in which one is good: whoever gives more must wait. */
export const COMMANDS_MAX = 64

export const stageSchema = z.enum([
  'discovering',
  'founding',
  'joining',
  'meshing',
  'distributing',
  'ready',
  'blocked',
  'leaving',
])

/** Steps that are dangerous, one at a time, and carried out by their holder with a majority's permit. */
export const ownActKindSchema = z.enum(['initialise', 'join', 'upgrade'])

const actSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: ownActKindSchema,
    node: nodeIdSchema,
    /** Counts every act of the era: no two acts share a number. For initialise it is the epoch's ticket. */
    attempt: countSchema,
  }),
  /** Done to a server by whoever leads: out of the datastore, then of the voters, then of the plan. */
  z.strictObject({
    kind: z.literal('remove'),
    node: nodeIdSchema,
    attempt: countSchema,
    why: z.enum(['removed', 'dead', 'replaced', 'revoked', 'demoted']),
    /** Who takes its name afterwards. */
    successor: nodeIdSchema.nullable(),
  }),
])
export type Act = z.infer<typeof actSchema>
export type RemoveAct = Extract<Act, { kind: 'remove' }>
/** Carried out by its node itself. */
export type OwnAct = Exclude<Act, RemoveAct>

/** Most of those who left that a plan remembers. The revoked are never forgotten. */
export const DEPARTED_MAX = 256

const departedSchema = z.strictObject({
  id: nodeIdSchema,
  name: z.string().max(63),
  /** Never given again (rule 5); empty for who was revoked before it had one. */
  address: z.string().max(64),
  why: z.enum(['removed', 'dead', 'replaced', 'revoked']),
  /** It had the servers' secrets. */
  server: z.boolean(),
  /** Who takes its name once nothing of it is left. */
  successor: nodeIdSchema.nullable(),
})
export type Departed = z.infer<typeof departedSchema>

/** Most joins given up that a plan remembers. */
export const ABORTED_MAX = 64

const datastoreSchema = z.strictObject({
  /** Number of the initialisation that is under way or done; 0 before the first. */
  epoch: countSchema,
  initialiser: nodeIdSchema.nullable(),
  /** The datastore's own ID, once and for all of the era. */
  clusterId: z.string().max(64).nullable(),
  /** Voting members, in the order in which they joined. */
  members: z.array(nodeIdSchema).max(16),
  /** Servers whose join was given up, oldest first: they queue behind those who never failed. */
  aborted: z.array(nodeIdSchema).max(ABORTED_MAX),
})

export const historySchema = z.strictObject({
  index: countSchema,
  term: countSchema,
  cause: z.string().max(32),
  node: nodeIdSchema.nullable(),
  /** Wall clock of the leader that proposed it, milliseconds since 1970: for people, never compared. */
  at: countSchema,
  /** Of a person's command: who gave it, at which node, and why. */
  by: z
    .strictObject({ who: z.string().max(64), where: nodeIdSchema, why: z.string().max(256).nullable() })
    .nullable(),
})

export const planSchema = z.strictObject({
  rules: z.number().int().min(1).max(1_000),
  era: digestSchema,
  settings: clusterSettingsSchema,
  /** Ordered by ID. */
  members: z.array(memberSchema).max(4_096),
  /** Ordered by ID. */
  voters: z.array(nodeIdSchema).min(1).max(8),
  /** In the order in which they left. */
  departed: z.array(departedSchema).max(DEPARTED_MAX),
  nextAddress: countSchema,
  secrets: z.array(sealedSecretSchema).max(16),
  acts: countSchema,
  act: actSchema.nullable(),
  datastore: datastoreSchema,
  /** Number of the agents' secret: it counts up when the secret is rotated. */
  agentGeneration: countSchema,
  /** The last one; null before the settings first change. */
  rollout: rolloutSchema.nullable(),
  /** Commands carried out lately, so that none is carried out twice. */
  commands: z.array(z.strictObject({ id: digestSchema, index: countSchema })).max(COMMANDS_MAX),
  history: z.array(historySchema).max(HISTORY_MAX),
})
export type Plan = z.infer<typeof planSchema>

/** The plan with these changes and a line of history, named after its cause unless another name says more. */
export type Next = (changes: Partial<Plan>, node: NodeId | null, name?: string) => Plan

export const planSignatureSchema = z.strictObject({ node: nodeIdSchema, signature: signatureSchema })
export type PlanSignature = z.infer<typeof planSignatureSchema>

/** A change of the voters, as any node can check it from the genesis on. */
export const voterChangeSchema = z.strictObject({
  term: countSchema.transform(term),
  index: countSchema,
  plan: digestSchema,
  base: digestSchema,
  voters: z.array(nodeIdSchema).min(1).max(8),
  signatures: z.array(planSignatureSchema).max(16),
})
export type VoterChange = z.infer<typeof voterChangeSchema>

export const certifiedPlanSchema = z.strictObject({
  term: countSchema.transform(term),
  index: countSchema,
  base: digestSchema,
  plan: planSchema,
  signatures: z.array(planSignatureSchema).max(16),
  /** Every change of the voters before this plan, from the genesis on. */
  chain: z.array(voterChangeSchema).max(256),
})
export type CertifiedPlan = z.infer<typeof certifiedPlanSchema>

const planHashes = new WeakMap<Plan, Digest>()

/** Plans are never changed in place, so that each is encoded and hashed once. */
export function planHashOf(crypto: Crypto, plan: Plan): Digest {
  const known = planHashes.get(plan)
  if (known !== undefined) return known
  const hash = hashOf(crypto, 'plan', plan)
  planHashes.set(plan, hash)
  return hash
}
export const votersHashOf = (crypto: Crypto, voters: readonly NodeId[]): Digest =>
  hashOf(crypto, 'voters', voters)

/** The tuple that a voter signs: era, old and new voters, term, index, plan, base. */
export function planStatement(
  crypto: Crypto,
  era: Digest,
  oldVoters: readonly NodeId[],
  newVoters: readonly NodeId[],
  position: { readonly term: number; readonly index: number },
  plan: Digest,
  base: Digest,
): Statement {
  return statement(
    'plan signature',
    era,
    votersHashOf(crypto, oldVoters),
    votersHashOf(crypto, newVoters),
    position.term,
    position.index,
    plan,
    base,
  )
}

/** Plan 0, which every holder of the genesis computes for itself. */
export function firstPlan(crypto: Crypto, genesis: Genesis, era: Digest): CertifiedPlan {
  const plan: Plan = {
    rules: RULES,
    era,
    settings: genesis.settings,
    members: genesis.members,
    voters: genesis.voters,
    departed: [],
    nextAddress: genesis.nextAddress,
    secrets: genesis.secrets,
    acts: 0,
    act: null,
    datastore: { epoch: 0, initialiser: null, clusterId: null, members: [], aborted: [] },
    agentGeneration: 0,
    rollout: null,
    commands: [],
    history: [],
  }
  return { term: term(0), index: 0, base: hashOf(crypto, 'no base', era), plan, signatures: [], chain: [] }
}

const membersById = new WeakMap<Plan['members'], ReadonlyMap<NodeId, Member>>()
/** Fewer are found as quickly by looking at each. */
const INDEXED_FROM = 16

export function memberOf({ members }: Plan, id: NodeId): Member | undefined {
  if (members.length < INDEXED_FROM) return members.find((member) => member.id === id)
  let index = membersById.get(members)
  if (index === undefined) {
    index = new Map(members.map((member) => [member.id, member]))
    membersById.set(members, index)
  }
  return index.get(id)
}
export const departedOf = (plan: Plan, id: NodeId): Departed | undefined =>
  plan.departed.find((left) => left.id === id)
export const nameOf = (plan: Plan, id: NodeId): string =>
  (memberOf(plan, id) ?? departedOf(plan, id))?.name ?? id
/** Whether the act under way takes this server out. */
export const isLeaving = (plan: Plan, id: NodeId): boolean =>
  plan.act?.kind === 'remove' && plan.act.node === id
export const isServer = (plan: Plan, id: NodeId): boolean => memberOf(plan, id)?.role === 'server'
export const isMajority = (voters: readonly NodeId[], signers: ReadonlySet<NodeId>): boolean =>
  voters.filter((id) => signers.has(id)).length * 2 > voters.length

/** Which of the signatures are really their voters', over exactly this statement. */
function signersOf(
  crypto: Crypto,
  said: Statement,
  voters: readonly NodeId[],
  signatures: readonly PlanSignature[],
) {
  const signers = new Set<NodeId>()
  for (const { node, signature } of signatures) {
    if (voters.includes(node) && !signers.has(node) && crypto.verify(node, said, signature)) signers.add(node)
  }
  return signers
}

/** Voters before this plan took effect: the genesis' own, or those of the last change in the chain. */
export function votersBefore(genesis: Genesis, chain: readonly VoterChange[]): readonly NodeId[] {
  return chain.at(-1)?.voters ?? genesis.voters
}

/** Whether the chain and the signatures prove the plan to anyone who holds the genesis (rule 9). */
export function verifyCertifiedPlan(
  crypto: Crypto,
  genesis: Genesis,
  era: Digest,
  certified: CertifiedPlan,
): boolean {
  if (certified.plan.era !== era) return false
  if (certified.index === 0) {
    return planHashOf(crypto, certified.plan) === planHashOf(crypto, firstPlan(crypto, genesis, era).plan)
  }
  let voters: readonly NodeId[] = genesis.voters
  for (const change of certified.chain) {
    if (!certifies(crypto, era, voters, change.voters, change, change.plan, change.base, change.signatures))
      return false
    voters = change.voters
  }
  const { plan } = certified
  return certifies(
    crypto,
    era,
    voters,
    plan.voters,
    certified,
    planHashOf(crypto, plan),
    certified.base,
    certified.signatures,
  )
}

/** A majority of the old voters, and of the new ones where they differ, over one identical tuple. */
export function certifies(
  crypto: Crypto,
  era: Digest,
  oldVoters: readonly NodeId[],
  newVoters: readonly NodeId[],
  position: { readonly term: number; readonly index: number },
  plan: Digest,
  base: Digest,
  signatures: readonly PlanSignature[],
): boolean {
  const bytes = planStatement(crypto, era, oldVoters, newVoters, position, plan, base)
  const signers = signersOf(crypto, bytes, [...new Set([...oldVoters, ...newVoters])], signatures)
  return isMajority(oldVoters, signers) && isMajority(newVoters, signers)
}
