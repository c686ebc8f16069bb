/**
 * What muster asks of an operating system that boots from slots, whoever made it. Every verb is idempotent and may
 * be killed, or lose its power, anywhere: at every point the machine boots something that worked (DESIGN.md rule 7).
 * Decides nothing about when: the core orders, an engine carries out.
 */
import { z } from 'zod'

/** SHA-256 of an image's bytes, lower-case hexadecimal. */
export const imageDigestSchema = z.string().regex(/^[0-9a-f]{64}$/)

const slotSchema = z.object({
  slot: z.string().min(1).max(64),
  digest: z.string().max(256).nullable(),
  version: z.string().max(256).nullable(),
  /** trial: booted or armed, not confirmed. */
  state: z.enum(['good', 'trial', 'bad', 'empty', 'unknown']),
})

export const fallbackSchema = z.object({
  /** Digest of the image that was to be booted. */
  from: z.string().max(256),
  attempt: z.number().int().min(0),
  /**
   * never-armed: the power was cut before the swap. died: it began to boot, and did not get far enough. unreadable:
   * the boot loader could not load it. unhealthy: it ran, and was given up. unknown: something else runs, perhaps by
   * a person's choice.
   */
  reason: z.enum(['never-armed', 'died', 'unreadable', 'unhealthy', 'unknown']),
  evidence: z.string().max(1_024),
})
export type Fallback = z.infer<typeof fallbackSchema>

export const slotStatusSchema = z.object({
  booted: z.object({
    slot: z.string().max(64).nullable(),
    digest: z.string().max(256).nullable(),
    version: z.string().max(256).nullable(),
  }),
  /** What the next boot tries first; once: a later one does not. */
  next: z.object({ slot: z.string().max(64).nullable(), once: z.boolean() }),
  slots: z.array(slotSchema).max(16),
  bootId: z.string().max(64).nullable(),
  /** An image that is in its slot and not armed; null where there is none. */
  staged: z.object({ digest: z.string().max(256) }).nullable(),
  /** An attempt that is armed or booted, and neither confirmed nor given up. */
  trial: z
    .object({
      attempt: z.number().int().min(0),
      digest: z.string().max(256),
      /** Null where the boot loader does not count. */
      triesLeft: z.number().int().min(0).nullable(),
      /** False: armed, the reboot is still to come. */
      isBooted: z.boolean(),
    })
    .nullable(),
  fallback: fallbackSchema.nullable(),
})
export type SlotStatus = z.infer<typeof slotStatusSchema>

/** A verified image on this machine, ready to be written into a slot. */
export interface Image {
  readonly path: string
  /** SHA-256 of its bytes. */
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly version: string | null
}

export interface SlotEngine {
  status(): Promise<SlotStatus>
  /** Writes the image beside the running slot; what boots next stays the same. */
  stage(image: Image): Promise<void>
  /** The next boot tries the staged image, and only a confirmed one stays. */
  arm(trial: { readonly attempt: number; readonly digest: string }): Promise<void>
  /** The booted trial is good: from now on it is what boots. */
  confirm(attempt: number): Promise<void>
  /** Lasting: what ran before the attempt boots from now on. The reboot is the caller's. */
  rollback(attempt: number, reason: string): Promise<void>
}

export type SlotErrorCode =
  | 'MUSTER_E_SLOT_DIGEST'
  | 'MUSTER_E_SLOT_SPACE'
  | 'MUSTER_E_SLOT_IMAGE'
  | 'MUSTER_E_SLOT_TRIAL'
  | 'MUSTER_E_SLOT_NOT_STAGED'
  | 'MUSTER_E_SLOT_NOT_BOOTED'
  | 'MUSTER_E_SLOT_LAYOUT'
  | 'MUSTER_E_SLOT_IO'
  | 'MUSTER_E_SLOT_ADAPTER'
  | 'MUSTER_E_SLOT_UNSUPPORTED'
  | 'MUSTER_E_SLOT_LATER'

export class SlotError extends Error {
  override readonly name = 'SlotError'
  readonly code: SlotErrorCode
  /** What a person can do. */
  readonly hint: string

  constructor(code: SlotErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = hint
  }
}
