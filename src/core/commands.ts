/**
 * What people command: every verb with its arguments, as it travels and as it stands in the plan. Decides which
 * bytes an operator signs, and whether a signature is an operator's. Reads nothing else.
 *
 * A command is taken on a server's own socket, or anywhere when an operator signed it (rule 9: who merely holds
 * the token commands nothing). It is carried out once: it bears a number of its own, and the plan index at which
 * it was given, and is refused {@link COMMAND_WINDOW} indexes later.
 */
import { z } from 'zod'
import { type Statement, statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { clusterSettingsSchema } from './genesis.ts'
import type { Digest, NodeId } from './ids.ts'
import { countSchema, digestSchema, nodeIdSchema, signatureSchema } from './record.ts'

/** Plan indexes for which a command is good: enough for a person's pause, few enough to remember all of them. */
export const COMMAND_WINDOW = 64

/** A node's name, or an unambiguous beginning of its ID. */
const wordSchema = z.string().min(1).max(128)

export const commandSchema = z.discriminatedUnion('verb', [
  /** A newcomer is let in; `server`: it may become one, also if it is in already. */
  z.strictObject({ verb: z.literal('approve'), node: wordSchema, as: z.enum(['agent', 'server']) }),
  /** Out for ever, at once, with its key; from now on newcomers wait for a person. */
  z.strictObject({ verb: z.literal('revoke'), node: wordSchema }),
  /** Out for good: its address is never given again. */
  z.strictObject({ verb: z.literal('remove'), node: wordSchema }),
  /** `old` leaves, and `new`, the same machine with a new identity, takes its name. */
  z.strictObject({ verb: z.literal('replace'), old: wordSchema, new: wordSchema }),
  z.strictObject({ verb: z.literal('promote'), node: wordSchema }),
  /** From server to agent; it is not promoted again by itself. */
  z.strictObject({ verb: z.literal('demote'), node: wordSchema }),
  /** The act of this number ends, whatever its holder does. */
  z.strictObject({ verb: z.literal('act-break'), attempt: countSchema }),
  z.strictObject({
    verb: z.literal('config'),
    settings: clusterSettingsSchema.partial(),
    /** Where settings of k3s change and too few servers are left while one restarts (rule 6). */
    acceptDowntime: z.boolean(),
  }),
  /** The rollout that such a change began is held up, or goes on after a failure. */
  z.strictObject({ verb: z.literal('rollout'), to: z.enum(['pause', 'resume']) }),
])
export type Command = z.infer<typeof commandSchema>

/** An operator's word on a command: whose, given at which plan index. */
export const signedCommandSchema = z.strictObject({
  /** Ed25519 public key, written as a peer ID; one of the plan's `operators`. */
  operator: nodeIdSchema,
  index: countSchema,
  signature: signatureSchema,
})
export type SignedCommand = z.infer<typeof signedCommandSchema>

/** A command on its way to the leader, and in the plan. */
export const orderedCommandSchema = z.strictObject({
  /** Its own number: nothing is done twice under it. */
  id: digestSchema,
  command: commandSchema,
  /** Node on whose socket it was given. */
  origin: nodeIdSchema,
  /** Plan index at which it was given. */
  index: countSchema,
  /** For the history: who gave it, and why. */
  who: z.string().max(64),
  why: z.string().max(256).nullable(),
  operator: signedCommandSchema.nullable(),
})
export type OrderedCommand = z.infer<typeof orderedCommandSchema>

/** How a command ended, for the person who gave it. */
export interface CommandAnswer {
  readonly ok: boolean
  readonly message: string
  /** What a person can do; null where nothing is to be done. */
  readonly hint: string | null
}

export const commandStatement = (genesis: Digest, command: Command, index: number): Statement =>
  statement('command', genesis, command, index)

/** Whether this very command at this index has an operator's signature. */
export function isSigned(
  crypto: Crypto,
  genesis: Digest,
  operators: readonly NodeId[],
  command: Command,
  signed: SignedCommand,
): boolean {
  return (
    operators.includes(signed.operator) &&
    crypto.verify(signed.operator, commandStatement(genesis, command, signed.index), signed.signature)
  )
}
