/**
 * The network token: `muster1` + base58btc(version ‖ secret ‖ expect ‖ name ‖ pin ‖ checksum), and the keys that
 * follow from it. Decides what a token says and which key is for what; each purpose has a label of its own
 * (HKDF-SHA-256, RFC 5869), so that knowing one key tells nothing of another.
 */
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { base58btc } from 'multiformats/bases/base58'
import { sameBytes } from './codec.ts'
import { type Digest, digest } from './ids.ts'
import { NAME_PATTERN } from './record.ts'
import { Secret } from './secret.ts'

const PREFIX = 'muster1'
export const TOKEN_VERSION = 1
const SECRET_BYTES = 32
const PIN_BYTES = 32
const CHECKSUM_BYTES = 4
const EXPECT_MAX = 512
/** Longest text worth looking at: the longest token has about 200 characters. */
const TEXT_MAX = 512

export interface Token {
  readonly secret: Secret<Uint8Array>
  /** Machines of the first day, 1…512; null for a token of another program, which does not say. */
  readonly expect: number | null
  /** A DNS label. */
  readonly network: string
  /** Genesis that it joins only; null for a token that may found. */
  readonly pin: Digest | null
}

export type TokenFault = 'not-a-token' | 'checksum' | 'truncated' | 'version' | 'expect' | 'network' | 'pin'

export class TokenError extends Error {
  override readonly name = 'TokenError'
  readonly code = 'MUSTER_E_TOKEN'
  readonly fault: TokenFault
  /** What a person can do. */
  readonly hint: string

  constructor(fault: TokenFault, message: string, hint: string) {
    super(message)
    this.fault = fault
    this.hint = hint
  }
}

/** @throws TokenError when a part is out of its range. */
export function makeToken(
  secret: Uint8Array,
  expect: number | null,
  network: string,
  pin: Digest | null,
): Token {
  if (secret.length !== SECRET_BYTES)
    throw new TokenError('truncated', 'a secret has 32 bytes', 'make a new token')
  if (expect !== null && (!Number.isInteger(expect) || expect < 1 || expect > EXPECT_MAX)) {
    throw new TokenError(
      'expect',
      `expect is ${expect}, not 1…${EXPECT_MAX}`,
      'say how many machines there are on the first day',
    )
  }
  if (!NAME_PATTERN.test(network)) {
    throw new TokenError(
      'network',
      `${JSON.stringify(network)} is no DNS label`,
      'use up to 63 of a-z, 0-9 and -, such as shop-12',
    )
  }
  return { secret: new Secret(secret), expect, network, pin }
}

/** The token as text. Secret: whoever has it can join. */
export function encodeToken(token: Token): string {
  const name = utf8ToBytes(token.network)
  const expect = token.expect ?? 0
  const body = concatBytes(
    Uint8Array.of(TOKEN_VERSION),
    token.secret.reveal(),
    Uint8Array.of(expect >> 8, expect & 0xff, name.length),
    name,
    token.pin === null ? new Uint8Array() : hexToBytes(token.pin),
  )
  return PREFIX + base58btc.baseEncode(concatBytes(body, checksumOf(body)))
}

const checksumOf = (body: Uint8Array): Uint8Array =>
  sha256(concatBytes(utf8ToBytes(PREFIX), body)).slice(0, CHECKSUM_BYTES)

/** @throws TokenError that says what is wrong with the text. */
export function parseToken(text: string): Token {
  const trimmed = text.trim()
  if (!trimmed.startsWith(PREFIX) || trimmed.length > TEXT_MAX) {
    throw new TokenError(
      'not-a-token',
      `it does not begin with ${PREFIX}`,
      'make one with `muster token new --expect N --network NAME`',
    )
  }
  const bytes = decodeBase58(trimmed.slice(PREFIX.length))
  const body = bytes.subarray(0, Math.max(0, bytes.length - CHECKSUM_BYTES))
  if (!sameBytes(bytes.subarray(body.length), checksumOf(body))) {
    throw new TokenError(
      'checksum',
      'its checksum is wrong: a character is missing or mistyped',
      'copy the whole token again',
    )
  }
  return parseBody(body)
}

function decodeBase58(text: string): Uint8Array {
  try {
    return base58btc.baseDecode(text)
  } catch {
    throw new TokenError(
      'not-a-token',
      'it holds a character that no token has',
      'copy the token again, without spaces or quotes',
    )
  }
}

function parseBody(body: Uint8Array): Token {
  const version = body[0] ?? 0
  if (version !== TOKEN_VERSION) {
    throw new TokenError(
      'version',
      `it is of version ${version}, this program knows ${TOKEN_VERSION}`,
      'update muster',
    )
  }
  const head = 1 + SECRET_BYTES
  const length = body[head + 2]
  if (length === undefined) throw truncated()
  const expect = (body[head] ?? 0) * 256 + (body[head + 1] ?? 0)
  const nameEnd = head + 3 + length
  const pinBytes = body.subarray(nameEnd)
  if (body.length < nameEnd || (pinBytes.length !== 0 && pinBytes.length !== PIN_BYTES)) throw truncated()
  // A DNS label is ASCII; anything else is refused as one below.
  const network = String.fromCharCode(...body.subarray(head + 3, nameEnd))
  const pin = pinBytes.length === 0 ? null : digest(bytesToHex(pinBytes))
  return makeToken(body.slice(1, head), expect === 0 ? null : expect, network, pin)
}

const truncated = (): TokenError =>
  new TokenError('truncated', 'it ends too early', 'copy the whole token again')

/** The same network's token for one cluster only. @throws TokenError for what is no genesis ID. */
export function pinToken(token: Token, genesis: string): Token {
  if (!/^[0-9a-f]{64}$/.test(genesis)) {
    throw new TokenError(
      'pin',
      'a genesis ID has 64 hexadecimal digits',
      'copy it from `muster status --json`, cluster.id',
    )
  }
  return { ...token, pin: digest(genesis) }
}

/** A token of EdgeVPN (Kairos): its secret parts, hashed into a secret of ours. */
export function foreignToken(material: readonly string[], expect: number | null, network: string): Token {
  const secret = sha256(utf8ToBytes(JSON.stringify(['muster edgevpn token', ...material])))
  return makeToken(secret, expect, network, null)
}

export interface TokenKeys {
  /** Of the private swarm (libp2p pnet), 32 bytes. */
  readonly psk: Secret<Uint8Array>
  /** DNS-SD service type that says nothing to strangers. */
  readonly mdnsTag: string
  /** Names the network before there is a genesis. */
  readonly networkId: Digest
}

/** From secret and name only: nodes that disagree about `expect` must meet to say so. */
export function deriveKeys(token: Token): TokenKeys {
  const derive = (label: string, length: number): Uint8Array =>
    hkdf(sha256, token.secret.reveal(), utf8ToBytes(token.network), utf8ToBytes(`muster ${label}`), length)
  return {
    psk: new Secret(derive('swarm psk', 32)),
    mdnsTag: `_m${bytesToHex(derive('mdns tag', 6))}._udp.local`,
    networkId: digest(bytesToHex(derive('network id', 32))),
  }
}
