/** The network token out of the configuration: where it is written, and what kind it is. */
import { createHash } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import type { HostProblem } from '../core/orders.ts'
import { foreignToken, parseToken, type Token, TokenError } from '../core/token.ts'
import type { ConfigDocument } from './document.ts'
import { networkLabel, readEdgevpnToken } from './edgevpn.ts'
import { type ConfigFault, type Place, placeText } from './faults.ts'
import { readSource, TOKEN_BYTES_MAX } from './files.ts'
import type { KairosReading } from './kairos-blocks.ts'
import type { MusterBlock } from './muster-block.ts'
import { holdsToken } from './secrecy.ts'

/** Kairos' name for the network of who does not name it. */
const NETWORK_DEFAULT = 'kairos'

/** A token's text, and where it is written. The text is secret. */
export interface TokenText {
  readonly text: string
  readonly place: Place
  /** From `p2p.network_token`: the rest of that block speaks of the same network. */
  readonly isKairos: boolean
}

export interface NetworkToken {
  readonly token: Token
  readonly isForeign: boolean
}

/** What the secret in the tokens of the examples is the hash of. */
const EXAMPLE_WORDS = 'muster: an example, not a secret'
const isExample = (token: Token): boolean =>
  Buffer.from(token.secret.reveal()).equals(createHash('sha256').update(EXAMPLE_WORDS).digest())

const HOW = 'make one with `muster token new --expect N --network NAME`'

/** The first line of a token file that says something; null, with a fault, where there is none. */
export function readTokenFile(
  named: string,
  place: Place,
  faults: ConfigFault[],
  warnings: HostProblem[],
): TokenText | null {
  const file = resolve(place.file === null ? '.' : dirname(place.file), named)
  if (holdsToken(named)) {
    faults.push({ ...place, message: 'is a token, not the name of a file', hint: 'write it into a file' })
    return null
  }
  const source = readSource(file, false, faults, place, TOKEN_BYTES_MAX)
  if (source === null) return null
  const lines = source.text.split('\n').map((line) => line.trim())
  const index = lines.findIndex((line) => line !== '' && !line.startsWith('#'))
  const text = lines[index]
  if (text === undefined) {
    faults.push({ file, line: null, key: null, message: 'holds no token', hint: HOW })
    return null
  }
  if (source.isPublic) warnings.push(readableByAll(file))
  return { text, place: { file, line: index + 1, key: null }, isKairos: false }
}

/** Of the files that hold a token, those that everyone on the machine can read. */
export function publicFileWarnings(
  documents: readonly ConfigDocument[],
  blocks: readonly MusterBlock[],
  kairos: KairosReading,
): HostProblem[] {
  const holders = new Set<string | null>([
    ...blocks.filter(({ values }) => values.token !== undefined).map(({ document }) => document.file),
    kairos.place('p2p.network_token').file,
  ])
  return documents
    .filter(({ file, isPublic }) => isPublic && holders.has(file))
    .map(({ file }) => readableByAll(file))
}

const readableByAll = (file: string): HostProblem => ({
  code: 'config.token-readable',
  severity: 'warning',
  message: `${file} holds the network token, and every user of this machine can read it`,
  hint: `chmod 600 ${file}`,
})

/** Where the token does not name the network, `p2p.network_id` does. `kairos` is null outside of a configuration. */
export function readToken(
  { text, place }: TokenText,
  kairos: KairosReading | null,
  faults: ConfigFault[],
  warnings: HostProblem[],
): NetworkToken | null {
  const warn = (code: string, message: string, hint: string, at: Place = place): void => {
    warnings.push({ code, severity: 'warning', message: `${placeText(at)}: ${message}`, hint })
  }
  const foreign = readEdgevpnToken(text.trim())
  if (foreign === null) {
    try {
      const token = parseToken(text)
      if (isExample(token))
        warn('config.weak-token', 'this is the token of the examples: everyone knows it', HOW)
      return { token, isForeign: false }
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      faults.push({ ...place, message: `is no network token: ${error.message}`, hint: error.hint })
      return null
    }
  }
  warn(
    'config.edgevpn-token',
    'this is a token of EdgeVPN: muster takes its secret, and cannot talk to nodes that run EdgeVPN',
    `give it to muster's nodes only, or ${HOW}`,
  )
  if (foreign.isWeak) {
    warn('config.weak-token', 'the token can be guessed: it is too short, or the one of the example', HOW)
  }
  const networkId = kairos?.draft.networkId ?? null
  const network = networkLabel(networkId ?? NETWORK_DEFAULT)
  if (networkId !== null && network !== networkId) {
    warn(
      'config.network-name',
      `the network is named ${network} here: a name has up to 63 of a-z, 0-9 and -`,
      'every machine derives the same name; nothing is to be done',
      kairos?.place('p2p.network_id'),
    )
  }
  // Two names may become one label, and are two networks nevertheless.
  const material = [...foreign.material, ...(networkId === null || network === networkId ? [] : [networkId])]
  return { token: foreignToken(material, null, network), isForeign: true }
}
