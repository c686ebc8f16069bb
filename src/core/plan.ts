/**
 * The plan: the one small document that says who is in, with which address and role, and what happens next.
 * Decides `plan × cause → plan`, the pure change that every voter computes again before it signs, and whether
 * signatures certify a plan. Reads nothing else.
 */
import { z } from 'zod'
import { addressFor, capacityOf } from './addresses.ts'
import { hashOf, sortedBy, statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import {
  clusterSettingsSchema,
  type Genesis,
  type Member,
  memberSchema,
  sealedSecretSchema,
} from './genesis.ts'
import { assertNever, type Digest, type NodeId, term } from './ids.ts'
import { uniqueName } from './names.ts'
import {
  countSchema,
  digestSchema,
  nodeIdSchema,
  signatureSchema,
  signedRecordSchema,
  verifyRecord,
} from './record.ts'

/** Version of the rules by which this program computes changes. */
export const RULES = 1
/** Lines of history that a plan carries. */
const HISTORY_MAX = 64

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

const actSchema = z.strictObject({
  kind: z.enum(['initialise', 'join']),
  node: nodeIdSchema,
  /** Counts every act of the era: no two acts share a number. For initialise it is the epoch's ticket. */
  attempt: countSchema,
})
export type Act = z.infer<typeof actSchema>

const datastoreSchema = z.strictObject({
  /** Number of the initialisation that is under way or done; 0 before the first. */
  epoch: countSchema,
  initialiser: nodeIdSchema.nullable(),
  /** The datastore's own ID, once and for all of the era. */
  clusterId: z.string().max(64).nullable(),
  /** Voting members, in the order in which they joined. */
  members: z.array(nodeIdSchema).max(16),
  /** Servers whose join was given up, oldest first: they queue behind those who never failed. */
  aborted: z.array(nodeIdSchema).max(64),
})

const historySchema = z.strictObject({
  index: countSchema,
  term: countSchema,
  cause: z.string().max(32),
  node: nodeIdSchema.nullable(),
  /** Wall clock of the leader that proposed it, milliseconds since 1970: for people, never compared. */
  at: countSchema,
})

export const planSchema = z.strictObject({
  rules: z.number().int().min(1).max(1_000),
  era: digestSchema,
  settings: clusterSettingsSchema,
  /** Ordered by ID. */
  members: z.array(memberSchema).max(4_096),
  /** Ordered by ID. */
  voters: z.array(nodeIdSchema).min(1).max(8),
  nextAddress: countSchema,
  secrets: z.array(sealedSecretSchema).max(16),
  acts: countSchema,
  act: actSchema.nullable(),
  datastore: datastoreSchema,
  history: z.array(historySchema).max(HISTORY_MAX),
})
export type Plan = z.infer<typeof planSchema>

/** What the holder of an act says of its end, signed: only this, an abort, or a person ends an act. */
export const outcomeSchema = z.strictObject({
  act: z.enum(['initialise', 'join']),
  node: nodeIdSchema,
  attempt: countSchema,
  epoch: countSchema,
  clusterId: z.string().min(1).max(64),
  signature: signatureSchema,
})
export type Outcome = z.infer<typeof outcomeSchema>

const causeKinds = [
  z.strictObject({ kind: z.literal('lead') }),
  z.strictObject({ kind: z.literal('admit'), record: signedRecordSchema }),
  z.strictObject({ kind: z.literal('initialise'), node: nodeIdSchema }),
  z.strictObject({ kind: z.literal('join'), node: nodeIdSchema }),
  z.strictObject({ kind: z.literal('outcome'), outcome: outcomeSchema }),
  z.strictObject({ kind: z.literal('abort'), node: nodeIdSchema, attempt: countSchema }),
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
): Uint8Array {
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
    nextAddress: genesis.nextAddress,
    secrets: genesis.secrets,
    acts: 0,
    act: null,
    datastore: { epoch: 0, initialiser: null, clusterId: null, members: [], aborted: [] },
    history: [],
  }
  return { term: term(0), index: 0, base: hashOf(crypto, 'no base', era), plan, signatures: [], chain: [] }
}

export const memberOf = (plan: Plan, id: NodeId): Member | undefined => plan.members.find((m) => m.id === id)
export const isMajority = (voters: readonly NodeId[], signers: ReadonlySet<NodeId>): boolean =>
  voters.filter((id) => signers.has(id)).length * 2 > voters.length

/** Which of the signatures are really their voters', over exactly this statement. */
function signersOf(
  crypto: Crypto,
  bytes: Uint8Array,
  voters: readonly NodeId[],
  signatures: readonly PlanSignature[],
) {
  const signers = new Set<NodeId>()
  for (const { node, signature } of signatures) {
    if (voters.includes(node) && !signers.has(node) && crypto.verify(node, bytes, signature))
      signers.add(node)
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

export const outcomeStatement = (era: Digest, outcome: Omit<Outcome, 'signature'>): Uint8Array =>
  statement('outcome', era, outcome.act, outcome.node, outcome.attempt, outcome.epoch, outcome.clusterId)

/** Whether this is really the word of the act's holder on its end, for this attempt, epoch and datastore. */
export function endsAct(crypto: Crypto, { era, act, datastore }: Plan, outcome: Outcome): boolean {
  return (
    act !== null &&
    act.kind === outcome.act &&
    act.node === outcome.node &&
    act.attempt === outcome.attempt &&
    datastore.epoch === outcome.epoch &&
    (act.kind === 'initialise' || datastore.clusterId === outcome.clusterId) &&
    crypto.verify(outcome.node, outcomeStatement(era, outcome), outcome.signature)
  )
}

/** The change that a cause makes, or null where it does not follow from the plan: then no honest voter signs it. */
export function applyCause(crypto: Crypto, plan: Plan, cause: Cause): Plan | null {
  const { what } = cause
  const next = (changes: Partial<Plan>, node: NodeId | null, name: string = what.kind): Plan => ({
    ...plan,
    ...changes,
    history: [
      ...plan.history,
      { index: cause.index, term: cause.term, cause: name, node, at: cause.at },
    ].slice(-HISTORY_MAX),
  })
  switch (what.kind) {
    case 'lead':
      return plan.voters.includes(cause.by) ? next({}, cause.by) : null
    case 'admit':
      return admit(crypto, plan, what.record, next)
    case 'initialise': {
      if (plan.datastore.clusterId !== null || !isServer(plan, what.node)) return null
      if (plan.act !== null && plan.act.kind !== 'initialise') return null
      const acts = plan.acts + 1
      return next(
        {
          acts,
          act: { kind: 'initialise', node: what.node, attempt: acts },
          datastore: { ...plan.datastore, epoch: plan.datastore.epoch + 1, initialiser: what.node },
        },
        what.node,
      )
    }
    case 'join': {
      const { datastore } = plan
      if (datastore.clusterId === null || plan.act !== null || !isServer(plan, what.node)) return null
      if (datastore.members.includes(what.node)) return null
      const acts = plan.acts + 1
      return next({ acts, act: { kind: 'join', node: what.node, attempt: acts } }, what.node)
    }
    case 'outcome': {
      const { outcome } = what
      const { datastore } = plan
      if (!endsAct(crypto, plan, outcome)) return null
      if (outcome.act === 'initialise') {
        const done = { ...datastore, clusterId: outcome.clusterId, members: [outcome.node] }
        return next({ act: null, datastore: done }, outcome.node, 'initialised')
      }
      const joined = {
        ...datastore,
        members: [...datastore.members, outcome.node],
        aborted: datastore.aborted.filter((id) => id !== outcome.node),
      }
      return next({ act: null, datastore: joined }, outcome.node, 'joined')
    }
    case 'abort': {
      const { act, datastore } = plan
      if (act === null || act.kind !== 'join' || act.node !== what.node || act.attempt !== what.attempt)
        return null
      const aborted = [...datastore.aborted.filter((id) => id !== what.node), what.node]
      return next({ act: null, datastore: { ...datastore, aborted } }, what.node)
    }
    default:
      return assertNever(what)
  }
}

const isServer = (plan: Plan, id: NodeId): boolean => memberOf(plan, id)?.role === 'server'

/** A newcomer is an agent, whatever it says of itself: servers' secrets are never given for a claim (rule 9). */
function admit(
  crypto: Crypto,
  plan: Plan,
  signed: z.infer<typeof signedRecordSchema>,
  next: (changes: Partial<Plan>, node: NodeId, name: string) => Plan,
): Plan | null {
  const { record } = signed
  if (memberOf(plan, record.id) !== undefined || !verifyRecord(crypto, signed)) return null
  if (plan.settings.admission !== 'open' || plan.members.length >= plan.settings.maxNodes) return null
  if (plan.settings.vpnMode === 'wireguard' && plan.nextAddress > capacityOf(plan.settings.vpnCidr))
    return null
  const taken = new Set(plan.members.map((member) => member.name))
  const member: Member = {
    id: record.id,
    name: uniqueName(record.claim.name, record.id, taken),
    address: addressFor(plan.settings, plan.nextAddress, record.claim),
    role: 'agent',
    sealKey: record.claim.sealKey,
    wireguardKey: record.claim.wireguardKey,
  }
  const changes = {
    members: sortedBy([...plan.members, member], (m) => m.id),
    nextAddress: plan.nextAddress + 1,
  }
  return next(changes, record.id, 'admitted')
}

/** All causes in turn; null as soon as one does not follow. */
export function applyCauses(crypto: Crypto, plan: Plan, causes: readonly Cause[]): Plan | null {
  let result: Plan | null = plan
  for (const cause of causes) {
    result = applyCause(crypto, result, cause)
    if (result === null) return null
  }
  return result
}
