/**
 * The datastore of k3s that is somewhere else: its address holds a password. It stays on this machine, in a file
 * that nobody else reads, and no message repeats any of it.
 */
import { dirname, resolve } from 'node:path'
import type { HostProblem } from '../core/orders.ts'
import { Secret } from '../core/secret.ts'
import type { ConfigDocument } from './document.ts'
import { type ConfigFault, type Place, placeText } from './faults.ts'
import { readSource } from './files.ts'
import type { KairosReading } from './kairos-blocks.ts'
import type { Merged } from './merged.ts'

const BYTES_MAX = 4_096
const DATASTORES = /^(mysql|postgres|postgresql|https?|nats):\/\/./

/** What is wrong with the address of a datastore, or of several members of one, null for nothing. */
export function externalDbFault(value: string): string | null {
  if (value === '' || value.split(',').every((part) => DATASTORES.test(part.trim()))) return null
  return 'must begin with mysql://, postgres://, nats://, https:// or http:// (etcd)'
}

export interface ExternalDbInputs {
  readonly muster: Merged
  readonly kairos: KairosReading
  readonly faults: ConfigFault[]
  readonly warnings: HostProblem[]
}

/** Null where none is given, or a fault says why. */
export function readExternalDb({
  muster,
  kairos,
  faults,
  warnings,
}: ExternalDbInputs): Secret<string> | null {
  const { external_db: own, external_db_file: named } = muster.values.distribution ?? {}
  const place = muster.place('distribution.external_db_file')
  if (own !== undefined && named !== undefined) {
    const there = placeText(muster.place('distribution.external_db'))
    faults.push({
      ...place,
      message: `names a file, and an address stands in ${there}`,
      hint: 'keep one of the two',
    })
    return null
  }
  if (named !== undefined) return readFrom(named, place, faults, warnings)
  const text = own ?? kairos.draft.k3s.externalDb
  return text === null ? null : new Secret(text)
}

function readFrom(
  named: string,
  place: Place,
  faults: ConfigFault[],
  warnings: HostProblem[],
): Secret<string> | null {
  const file = resolve(place.file === null ? '.' : dirname(place.file), named)
  const source = readSource(file, false, faults, place, BYTES_MAX)
  if (source === null) return null
  const text = source.text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '' && !line.startsWith('#'))
  const message = text === undefined ? 'holds no address of a datastore' : externalDbFault(text)
  if (text === undefined || message !== null) {
    const hint = 'write it as k3s takes it for --datastore-endpoint'
    faults.push({ file, line: null, key: null, message: message ?? '', hint })
    return null
  }
  if (source.isPublic) warnings.push(readableByAll(file))
  return new Secret(text)
}

/** Of the files that hold the address, those that everyone on the machine can read. */
export function publicDatabaseWarnings(
  documents: readonly ConfigDocument[],
  muster: Merged,
  kairos: KairosReading,
): HostProblem[] {
  const holders = [
    muster.place('distribution.external_db').file,
    kairos.place('p2p.auto.ha.external_db').file,
  ]
  return documents
    .filter(({ file, isPublic }) => isPublic && holders.includes(file))
    .map(({ file }) => readableByAll(file))
}

const readableByAll = (file: string): HostProblem => ({
  code: 'config.secret-readable',
  severity: 'warning',
  message: `${file} holds the password of the datastore, and every user of this machine can read it`,
  hint: `chmod 600 ${file}`,
})
