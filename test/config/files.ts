/** Configuration files for one test, in a directory of their own, and what reading them says. */
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  ConfigError,
  type ConfigFault,
  type ConfigInputs,
  type NodeConfig,
  readConfig,
} from '../../src/config.ts'
import { encodeToken, makeToken } from '../../src/core/token.ts'

const secret = createHash('sha256').update('a secret of the tests').digest()

/** Of one network, `shop-12`. */
export const tokenFor = (expect: number | null, network = 'shop-12'): string =>
  encodeToken(makeToken(new Uint8Array(secret), expect, network, null))

export const TOKEN = tokenFor(3)

const KEY = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG'
const LARGEST_INTERVAL = '9223372036854775807'

/** As `kairosctl generate-token` makes it. */
export const EDGEVPN_YAML = `otp:
  dht: {interval: ${LARGEST_INTERVAL}, key: ${KEY}, length: 43}
  crypto: {interval: ${LARGEST_INTERVAL}, key: ${KEY.toUpperCase()}, length: 43}
room: ${KEY.slice(1)}r
rendezvous: ${KEY.slice(2)}rv
mdns: ${KEY.slice(1)}m
max_message_size: 20971520
`
export const EDGEVPN = Buffer.from(EDGEVPN_YAML).toString('base64')

export interface Files {
  readonly directory: string
  path(name: string): string
  /** Writes a file, 0600 unless told otherwise, with the directories above it. */
  write(name: string, text: string | Uint8Array, mode?: number): string
  chmod(name: string, mode: number): void
  remove(): void
}

export function makeFiles(): Files {
  const directory = mkdtempSync(join(tmpdir(), 'muster-config-'))
  // A private directory would protect files that everyone may read.
  chmodSync(directory, 0o755)
  const path = (name: string): string => join(directory, name)
  return {
    directory,
    path,
    write(name, text, mode = 0o600) {
      mkdirSync(dirname(path(name)), { recursive: true })
      writeFileSync(path(name), text)
      chmodSync(path(name), mode)
      return path(name)
    },
    chmod: (name, mode) => chmodSync(path(name), mode),
    remove: () => rmSync(directory, { recursive: true }),
  }
}

export const read = (files: readonly string[], more: Partial<ConfigInputs> = {}): NodeConfig =>
  readConfig({ files, env: {}, flags: {}, ...more })

/** All faults; fails the test where there are none. */
export function faultsOf(files: readonly string[], more: Partial<ConfigInputs> = {}): readonly ConfigFault[] {
  try {
    read(files, more)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  throw new Error('the configuration has no fault')
}

/** `line key: message`, the short of a fault. */
export const short = ({ line, key, message }: ConfigFault): string =>
  `${line ?? '-'} ${key ?? '-'}: ${message}`

/** A file of muster's own with the usual, and some more lines below `muster:`. */
export const muster = (...lines: readonly string[]): string =>
  [
    'muster:',
    `  token: ${TOKEN}`,
    '  distribution: {kind: etcd}',
    ...lines.map((line) => `  ${line}`),
    '',
  ].join('\n')
