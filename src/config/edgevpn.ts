/**
 * Tokens of EdgeVPN, which Kairos uses: base64 of YAML with keys, room and rendezvous. muster cannot speak with
 * EdgeVPN's nodes; it takes the secret, so that a cloud-config that exists can be used as it is.
 */
import { parse } from 'yaml'
import { z } from 'zod'

/** Base64 of the YAML has some hundred characters; generous, for people edit it. */
const TEXT_MAX = 8_192
/** Its generator makes five texts of 43 random characters; with fewer than this many in all it can be guessed. */
const MATERIAL_MIN = 22

/** In the token of config/kairos.yaml. */
const EXAMPLE_WORDS = 'anExampleThatEveryoneKnows'

const otpSchema = z.looseObject({ key: z.coerce.string().optional() }).nullish()
const tokenSchema = z.looseObject({
  otp: z.looseObject({ dht: otpSchema, crypto: otpSchema }).nullish(),
  room: z.coerce.string().optional(),
  rendezvous: z.coerce.string().optional(),
  mdns: z.coerce.string().optional(),
})

export interface EdgevpnToken {
  /** Its secret parts, in a fixed order. Secret. */
  readonly material: readonly string[]
  /** So short that it can be guessed, or known to everyone. */
  readonly isWeak: boolean
}

/** Null for what is no such token. */
export function readEdgevpnToken(text: string): EdgevpnToken | null {
  if (text.length > TEXT_MAX || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return null
  const { otp, room, rendezvous, mdns } = decode(text) ?? {}
  const material = [otp?.dht?.key, otp?.crypto?.key, room, rendezvous, mdns].map((part) => part ?? '')
  // Either is what its nodes meet by; text that happens to be base64 of YAML has neither.
  if (material[0] === '' && rendezvous === undefined) return null
  const all = material.join('')
  return { material, isWeak: all.length < MATERIAL_MIN || all.includes(EXAMPLE_WORDS) }
}

function decode(text: string): z.output<typeof tokenSchema> | null {
  try {
    // An interval of 2^63 - 1 seconds, from Kairos' generator, is no number of JavaScript's.
    const data: unknown = parse(Buffer.from(text, 'base64').toString('utf8'), {
      intAsBigInt: true,
      maxAliasCount: 0,
      prettyErrors: false,
      logLevel: 'silent',
    })
    return tokenSchema.safeParse(data).data ?? null
  } catch {
    return null
  }
}

/** A network_id as the DNS label that muster names a network by. */
export function networkLabel(id: string): string {
  const label = id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return label === '' ? 'kairos' : label
}
