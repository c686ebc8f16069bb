/**
 * Everything that a node knows: what is on its disk, and what lasts only while the daemon runs. Plain data;
 * every collection has a defined order. Each module owns the part that bears its name.
 */
import { z } from 'zod'
import type { ActState } from './acts.ts'
import type { AdmissionState } from './admission.ts'
import type { BeatState } from './beats.ts'
import { causeSchema } from './causes.ts'
import type { CommandState } from './commanding.ts'
import type { ReplicationState } from './election.ts'
import type { FoundingState } from './founding.ts'
import { certifiedGenesisSchema } from './genesis.ts'
import type { GossipState } from './gossip.ts'
import { type Digest, type Millis, type NodeId, term } from './ids.ts'
import type { JoiningState } from './joining.ts'
import type { MembershipState } from './membership.ts'
import type { DistributionFacts, MeshFacts } from './orders.ts'
import { type CertifiedPlan, certifiedPlanSchema, planSchema } from './plan.ts'
import { proposalSchema } from './protocol.ts'
import { bytesSchema, type Claim, countSchema, digestSchema, nodeIdSchema } from './record.ts'
import type { RecallState } from './restored.ts'
import type { RollingState } from './rolling.ts'
import type { SecretsState } from './secrets.ts'
import type { Settings } from './settings.ts'

const termSchema = countSchema.transform(term)

/** What must survive power cuts: written whole, fsynced, before any message that depends on it leaves. */
export const durableSchema = z.strictObject({
  version: z.literal(1),
  /** The machine that this state was made on; null where the machine has no fingerprint. */
  fingerprint: digestSchema.nullable(),
  /** Sequence numbers of own records up to here are reserved. */
  seq: countSchema,
  founding: z.strictObject({
    /** Highest term promised, and to whom: never a second candidate in one term (rule 2). */
    term: termSchema,
    candidate: nodeIdSchema.nullable(),
    accepted: proposalSchema.nullable(),
  }),
  genesis: certifiedGenesisSchema.nullable(),
  /** This disk was found to be an old copy: it votes no more, whatever it hears (restored.ts). */
  restored: z.boolean(),
  voting: z.strictObject({
    /** Highest term of a plan leader seen by this voter, and its vote in it. */
    term: termSchema,
    vote: nodeIdSchema.nullable(),
    /** The newest entry signed that is not known to be certified. */
    accepted: z
      .strictObject({
        term: termSchema,
        index: countSchema,
        base: digestSchema,
        plan: planSchema,
        causes: z.array(causeSchema),
      })
      .nullable(),
  }),
  certified: certifiedPlanSchema.nullable(),
  /** The agents' secret as a server gave it to this node: sealed to its own key. */
  agentSecret: z
    .strictObject({ era: digestSchema, generation: countSchema, sealed: bytesSchema(512) })
    .nullable(),
})
export type Durable = z.infer<typeof durableSchema>
export type Entry = NonNullable<Durable['voting']['accepted']>

export const freshDurable = (fingerprint: Digest | null): Durable => ({
  version: 1,
  fingerprint,
  seq: 0,
  founding: { term: term(0), candidate: null, accepted: null },
  genesis: null,
  restored: false,
  voting: { term: term(0), vote: null, accepted: null },
  certified: null,
  agentSecret: null,
})

/** Why a node neither founds, votes nor joins; it still reports. */
export interface Blocked {
  readonly code:
    | 'state.damaged'
    | 'state.other-machine'
    | 'state.ephemeral'
    | 'state.restored'
    | 'node.cloned'
    | 'node.removed'
    | 'node.revoked'
    | 'plan.conflict'
  readonly message: string
  readonly hint: string
}

export interface NodeState {
  readonly id: NodeId
  readonly settings: Settings
  /** Random word of this run of the daemon. */
  readonly session: string
  readonly version: string
  readonly fingerprint: Digest | null
  /** Wall clock minus monotonic clock at the start, milliseconds: for people only. */
  readonly wallOffsetMs: number
  /** 32 random bytes of this run, and how many secrets were drawn from them. */
  readonly entropy: Uint8Array
  draws: number
  /** State of the jitter generator (xorshift32): never used where somebody could gain by guessing. */
  jitter: number
  claim: Claim
  addresses: readonly string[]
  endpoints: readonly string[]
  /** Both as one text, to see cheaply whether they changed. */
  places: string
  durable: Durable
  /** In a crowd: what was certified before, the newest last, to make patches from. */
  formerPlans: readonly CertifiedPlan[]
  /** ID of the genesis on disk; null before there is one. */
  genesisId: Digest | null
  blocked: Blocked | null
  /** Peers with an open connection, by ID, since when. */
  readonly links: Map<NodeId, Millis>
  /** Last sign of life of every node, by whatever message. */
  readonly heard: Map<NodeId, Millis>
  gossip: GossipState
  founding: FoundingState
  replication: ReplicationState
  beats: BeatState
  joining: JoiningState
  admission: AdmissionState
  readonly membership: MembershipState
  readonly commands: CommandState
  acts: ActState
  readonly recall: RecallState
  readonly secrets: SecretsState
  readonly rolling: RollingState
  mesh: MeshFacts
  distribution: DistributionFacts
  /** Since when the mesh interface is up; null while it is not. */
  meshUpAt: Millis | null
  /** Meshed at least once in this run: afterwards an unreachable peer is a problem, not a stage. */
  meshed: boolean
  startedAt: Millis
  /** Orders as last given and what they followed from, so that only changes are given. */
  lastOrders: {
    meshBasis: readonly unknown[]
    mesh: string
    distributionBasis: readonly unknown[]
    distribution: string
    /** What the own record said when it was last signed. */
    shown: readonly unknown[]
    /** The revoked, as last told to the host. */
    shunned: string
  }
  /** When problems are next looked over. */
  problemsAt: Millis
  /** Since when each problem and each thing waited for is there, by its code. */
  readonly since: Map<string, Millis>
}
