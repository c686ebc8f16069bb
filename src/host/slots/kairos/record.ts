/**
 * What muster remembers of its slots, on the partition that holds them, where every slot can read it: which file is
 * which image, what is staged, what was armed when, and how it ended.
 *
 *     <COS_STATE>/muster/slots.json
 */
import { z } from 'zod'
import { imageDigestSchema, SlotError } from '../contract.ts'

const uuidSchema = z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
const attemptSchema = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const bootIdSchema = z.string().max(64)

const knownImageSchema = z.strictObject({
  uuid: uuidSchema,
  digest: imageDigestSchema,
  version: z.string().max(256).nullable(),
})

export const recordSchema = z.strictObject({
  version: z.literal(1),
  /** Newest last. */
  images: z.array(knownImageSchema).max(16),
  /** The content of transition.img, complete and labelled; `sealed` is the digest of the file as it lies there. */
  staged: z
    .strictObject({ digest: imageDigestSchema, uuid: uuidSchema, sealed: imageDigestSchema })
    .nullable(),
  armed: z
    .strictObject({
      attempt: attemptSchema,
      digest: imageDigestSchema,
      uuid: uuidSchema,
      /** The boot in which it was armed: while it lasts, the reboot is still to come. */
      bootId: bootIdSchema,
      /** What ran then. */
      from: z.strictObject({ slot: z.string().max(64), uuid: uuidSchema.nullable() }),
    })
    .nullable(),
  /** How the last attempt ended. */
  ended: z
    .strictObject({
      attempt: attemptSchema,
      digest: imageDigestSchema,
      how: z.enum(['confirmed', 'rolled-back']),
      reason: z.string().max(1_024).nullable(),
    })
    .nullable(),
})
export type SlotRecord = z.infer<typeof recordSchema>
/** As many images as there can be slots, and the ones before. */
const IMAGES_MAX = 16

export const EMPTY_RECORD: SlotRecord = { version: 1, images: [], staged: null, armed: null, ended: null }

/**
 * @param bytes null where there is no record yet.
 * @throws SlotError for one that cannot be read: what runs goes on, and nothing is staged on a guess.
 */
export function parseRecord(path: string, bytes: Uint8Array | null): SlotRecord {
  if (bytes === null) return EMPTY_RECORD
  try {
    return recordSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (error) {
    throw new SlotError(
      'MUSTER_E_SLOT_LAYOUT',
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      `move it away; muster then knows the slots' images no longer by name, and the next upgrade writes it anew`,
      { cause: error },
    )
  }
}

export const formatRecord = (record: SlotRecord): Uint8Array =>
  Buffer.from(`${JSON.stringify(record, null, 2)}\n`)

/** The record with this image among those that it can name. */
export function withImage(
  record: SlotRecord,
  image: SlotRecord['images'][number],
): Pick<SlotRecord, 'images'> {
  const others = record.images.filter(({ uuid }) => uuid !== image.uuid)
  return { images: [...others, image].slice(-IMAGES_MAX) }
}
