/**
 * The outcome of an election as it lives in the DHT under `/muster/leader/<genesis>`. A put there is
 * last-writer-wins, so a record is believed for its vote signatures, never for where it came from.
 * Decides what a valid record is and which of several is the newest.
 */
import { z } from 'zod'
import { decode, encode, type Statement, statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import type { Genesis } from './genesis.ts'
import { type Digest, type NodeId, term } from './ids.ts'
import {
  certifies,
  isMajority,
  type PlanSignature,
  planSignatureSchema,
  type VoterChange,
  voterChangeSchema,
  votersBefore,
} from './plan.ts'
import { countSchema, digestSchema, nodeIdSchema } from './record.ts'

export const leaderRecordSchema = z.strictObject({
  era: digestSchema,
  term: countSchema.transform(term),
  leader: nodeIdSchema,
  addresses: z.array(z.string().max(256)).max(32),
  votes: z.array(planSignatureSchema).min(1).max(16),
  chain: z.array(voterChangeSchema).max(256),
})
export type LeaderRecord = z.infer<typeof leaderRecordSchema>

const LEADER_RECORD_BYTES_MAX = 64 * 1024
const KEY_PREFIX = '/muster/leader/'

export const leaderRecordKey = (genesis: Digest): string => `${KEY_PREFIX}${genesis}`

/** A voter has one vote in a term, whoever the voters are: those before a change and after it count it alike. */
export const voteStatement = (era: Digest, termOfVote: number, candidate: NodeId): Statement =>
  statement('vote', era, termOfVote, candidate)

export const encodeLeaderRecord = (record: LeaderRecord): Uint8Array => encode(record)

/** @returns null for anything that is no leader record by shape. */
export function decodeLeaderRecord(bytes: Uint8Array): LeaderRecord | null {
  if (bytes.length > LEADER_RECORD_BYTES_MAX) return null
  try {
    const parsed = leaderRecordSchema.safeParse(decode(bytes))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** Whether a majority of the voters really elected this leader in this term. */
export function verifyLeaderRecord(
  crypto: Crypto,
  genesis: Genesis,
  era: Digest,
  record: LeaderRecord,
): boolean {
  if (record.era !== era) return false
  const voters = votersOfChain(crypto, genesis, era, record.chain)
  if (voters === null) return false
  const bytes = voteStatement(era, record.term, record.leader)
  return isMajority(voters, signersOf(crypto, bytes, record.votes))
}

function signersOf(crypto: Crypto, said: Statement, votes: readonly PlanSignature[]): Set<NodeId> {
  return new Set(
    votes.filter((vote) => crypto.verify(vote.node, said, vote.signature)).map((vote) => vote.node),
  )
}

function votersOfChain(
  crypto: Crypto,
  genesis: Genesis,
  era: Digest,
  chain: readonly VoterChange[],
): readonly NodeId[] | null {
  let voters: readonly NodeId[] = genesis.voters
  for (const change of chain) {
    if (!certifies(crypto, era, voters, change.voters, change, change.plan, change.base, change.signatures))
      return null
    voters = change.voters
  }
  return votersBefore(genesis, chain)
}

/** Index of the record with the highest term; unreadable ones lose. */
export function newestLeaderRecord(values: readonly Uint8Array[]): number {
  let best = 0
  let bestTerm = -1
  values.forEach((value, i) => {
    const found = decodeLeaderRecord(value)?.term ?? -1
    if (found > bestTerm) {
      best = i
      bestTerm = found
    }
  })
  return best
}

/**
 * What a DHT node checks before it stores a value under a key, given the genesis it knows.
 * @returns why the value is refused, null where it is fine.
 */
export function leaderRecordFault(
  crypto: Crypto,
  known: { readonly genesis: Genesis; readonly id: Digest } | null,
  key: string,
  value: Uint8Array,
): string | null {
  const record = decodeLeaderRecord(value)
  if (record === null) return 'not a leader record'
  if (key !== leaderRecordKey(record.era)) return 'key and record name different clusters'
  if (known === null || known.id !== record.era) return null
  return verifyLeaderRecord(crypto, known.genesis, known.id, record) ? null : 'votes do not prove the leader'
}
