/** What passes over the serial line between a test and the machine that it boots, one JSON document per line. */
import { z } from 'zod'
import { slotStatusSchema } from '../../src/host/slots/contract.ts'

const attempt = z.number().int().min(0)

export const orderSchema = z.discriminatedUnion('verb', [
  z.strictObject({ verb: z.literal('status') }),
  z.strictObject({
    verb: z.literal('stage'),
    image: z.strictObject({ digest: z.string(), size: z.number(), version: z.string().nullable() }),
    stepwise: z.boolean(),
  }),
  z.strictObject({ verb: z.literal('arm'), attempt, digest: z.string(), stepwise: z.boolean() }),
  z.strictObject({ verb: z.literal('confirm'), attempt }),
  z.strictObject({ verb: z.literal('rollback'), attempt, reason: z.string() }),
  z.strictObject({ verb: z.literal('spoil'), slot: z.enum(['active', 'passive']) }),
  z.strictObject({ verb: z.literal('reboot') }),
  z.strictObject({ verb: z.literal('go') }),
])
export type Order = z.infer<typeof orderSchema>

export const wordSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('up'), version: z.string(), status: slotStatusSchema }),
  z.strictObject({ kind: z.literal('step'), name: z.string() }),
  z.strictObject({ kind: z.literal('done'), status: slotStatusSchema }),
  z.strictObject({ kind: z.literal('failed'), message: z.string() }),
])
export type Word = z.infer<typeof wordSchema>
