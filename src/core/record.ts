/**
 * A node's record: what it says of itself, signed. Decides which records are believed and which is the newer.
 * Reads nothing but the record; who is fresh is founding's business, how records spread is gossip's.
 */
import { z } from 'zod'
import { encode, type Statement, statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { digest, MAX_TERM, nodeId } from './ids.ts'

export const nodeIdSchema = z.string().min(1).max(128).transform(nodeId)
export const digestSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform(digest)
export const countSchema = z.number().int().min(0).max(MAX_TERM)
export const bytesSchema = (max: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= max, 'bytes')
export const keySchema = z.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length === 32,
  '32 bytes',
)
export const signatureSchema = bytesSchema(128)

/** DNS label (RFC 1123), as Kubernetes and etcd want node names. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** What the founding and the plan need to know of a machine; part of its record and of its promise. */
export const claimSchema = z.strictObject({
  name: z.string().regex(NAME_PATTERN),
  sealKey: keySchema,
  wireguardKey: keySchema,
  /** Address on the local network, used as the node's address where vpn.mode is none. */
  lanAddress: z.union([z.ipv4(), z.ipv6(), z.null()]),
  /** never: an agent for ever, whatever becomes of the others. */
  serverPreference: z.enum(['prefer', 'neutral', 'avoid', 'never']),
  cpus: z.number().int().min(1).max(65_536),
  memoryMiB: z
    .number()
    .int()
    .min(1)
    .max(2 ** 40),
})
export type Claim = z.infer<typeof claimSchema>

export const recordSchema = z.strictObject({
  id: nodeIdSchema,
  seq: countSchema,
  /** Random word of this run of the daemon: two sessions with one key are a clone. */
  session: z.string().min(1).max(64),
  network: digestSchema,
  expect: z.number().int().min(1).max(512),
  genesis: digestSchema.nullable(),
  /** Joins a given genesis only and never founds. */
  pin: digestSchema.nullable(),
  /** Data of a datastore is on its disk. */
  datastore: z.boolean(),
  /** Would promise: none of the reasons against it (DESIGN.md section 7) holds. */
  founding: z.boolean(),
  claim: claimSchema,
  /** libp2p addresses that it can be dialled at. */
  addresses: z.array(z.string().max(256)).max(32),
  /** WireGuard endpoints `ip:port`. */
  endpoints: z.array(z.string().max(64)).max(16),
  version: z.string().max(64),
  /** Newest version of the plan's rules that this node can compute. */
  rules: z.number().int().min(1).max(1_000),
})
export type NodeRecord = z.infer<typeof recordSchema>

export const signedRecordSchema = z.strictObject({ record: recordSchema, signature: signatureSchema })
export type SignedRecord = z.infer<typeof signedRecordSchema>

/** Bound of one encoded record, bytes. */
export const RECORD_BYTES_MAX = 8_192

const recordStatement = (record: NodeRecord): Statement => statement('record', record)

export function signRecord(crypto: Crypto, record: NodeRecord): SignedRecord {
  return { record, signature: crypto.sign(recordStatement(record)) }
}

/** Whether the record is its own node's word: signed by the key that its ID names, and within bounds. */
export function verifyRecord(crypto: Crypto, signed: SignedRecord): boolean {
  const { record, signature } = signed
  return isWithinBounds(record) && crypto.verify(record.id, recordStatement(record), signature)
}

/** Encoded only where it could be too large: all but its lists and three words has at most 1 KiB. */
function isWithinBounds(record: NodeRecord): boolean {
  let most = 1_024 + 3 * (record.session.length + record.version.length)
  for (const text of record.addresses) most += 3 * text.length + 3
  for (const text of record.endpoints) most += 3 * text.length + 3
  return most <= RECORD_BYTES_MAX || encode(record).length <= RECORD_BYTES_MAX
}
