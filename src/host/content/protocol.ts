/**
 * What two nodes say to each other about one artefact, on a stream of its own: who opens it follows the other, is
 * told what it has and gets, and takes chunks of that. Frames of DAG-CBOR, each after its length (4 bytes).
 */
import { z } from 'zod'
import { ARTEFACT_BYTES_MAX } from '../../core/content.ts'
import { CHUNK_BYTES_MAX } from './chunker.ts'
import { CHUNKS_PER_SEGMENT, SEGMENT_BYTES_MAX, SEGMENTS_MAX } from './segments.ts'

export const CONTENT_PROTOCOL = '/muster/content/1'
/** Artefacts that one peer may follow at another at once: two under way, and some that are just ending. */
export const STREAMS_MAX = 8
/** Bytes of a chunk in one frame: a beat behind it waits a quarter of a second at 1 Mbit/s. */
export const SLICE_BYTES = 32 * 1024
export const REQUEST_BYTES_MAX = 1_024
export const REPLY_BYTES_MAX = SLICE_BYTES + 1_024
/** Segments told in one frame. */
export const TOLD_MAX = 256

const bytesOf = (isRight: (length: number) => boolean) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && isRight(value.length), 'not such bytes')
const digestBytes = bytesOf((length) => length === 32)
const index = z.number().int().min(0).max(SEGMENTS_MAX)
const chunk = z
  .number()
  .int()
  .min(0)
  .max(CHUNKS_PER_SEGMENT - 1)

const requestSchema = z.discriminatedUnion('k', [
  /** Always first. */
  z.strictObject({ k: z.literal('follow'), artefact: digestBytes }),
  z.strictObject({ k: z.literal('list'), index }),
  /** Chunks of the segment, as a mask. */
  z.strictObject({ k: z.literal('take'), index, mask: z.number().int().min(1).max(0xffffffff) }),
])
export type Request = z.infer<typeof requestSchema>

const stateSchema = z.strictObject({
  k: z.literal('state'),
  /** It needs the artefact and does not have all of it. */
  wants: z.boolean(),
  asks: z.boolean(),
  failed: z.boolean(),
  whole: z.boolean(),
  bytes: z.number().int().min(0).max(ARTEFACT_BYTES_MAX),
})
const replySchema = z.discriminatedUnion('k', [
  stateSchema,
  /** Segments that it has, each with its digest. */
  z.strictObject({ k: z.literal('holds'), segments: z.array(z.tuple([index, digestBytes])).max(TOLD_MAX) }),
  /** What it said that it holds is void. */
  z.strictObject({ k: z.literal('void') }),
  z.strictObject({
    k: z.literal('list'),
    index,
    bytes: bytesOf((length) => length <= SEGMENT_BYTES_MAX),
  }),
  z.strictObject({
    k: z.literal('data'),
    index,
    chunk,
    at: z.number().int().min(0).max(CHUNK_BYTES_MAX),
    bytes: bytesOf((length) => length > 0),
  }),
  /** What of a request is not to be had any more; 0 where its list is not. */
  z.strictObject({ k: z.literal('gone'), index, mask: z.number().int().min(0).max(0xffffffff) }),
])
export type Reply = z.infer<typeof replySchema>
/** What a node says of itself and an artefact. */
export type Said = Omit<z.infer<typeof stateSchema>, 'k'>

/** @throws where the value is none. */
export const readRequest = (value: unknown): Request => requestSchema.parse(value)
/** @throws where the value is none. */
export const readReply = (value: unknown): Reply => replySchema.parse(value)

export const bytesOfDigest = (digest: string): Uint8Array => new Uint8Array(Buffer.from(digest, 'hex'))
export const digestOfBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
