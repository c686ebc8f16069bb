/**
 * Checksums as people have them: the hash itself, or what a release comes with: lines of hash and name, written
 * out or in a file (`sha256sum-amd64.txt`). Decides which line is meant.
 */
import { basename, dirname, resolve } from 'node:path'
import { type ConfigFault, type Place, shown } from './faults.ts'
import { readSource } from './files.ts'

const LIST_BYTES_MAX = 65_536
const HASH = /^[0-9a-fA-F]{64}$/
const LINE = /^([0-9a-fA-F]{64})[ \t]+\*?(\S+)$/
const HINT =
  'write the 64 hexadecimal digits, or the name of the file with checksums that the release comes with'

/** @param name of the file that the checksum is of. @returns null, with a fault, where there is none for it. */
export function readChecksum(
  value: string,
  name: string,
  place: Place,
  faults: ConfigFault[],
): string | null {
  if (HASH.test(value.trim())) return value.trim().toLowerCase()
  const list = LINE.test(value.split('\n')[0]?.trim() ?? '') ? value : readList(value, place, faults)
  if (list === null) return null
  const found = list
    .split('\n')
    .map((line) => LINE.exec(line.trim()))
    .filter((line) => line !== null)
    .filter((line) => basename(line[2] ?? '') === name)
  const [hash, ...others] = new Set(found.map((line) => (line[1] ?? '').toLowerCase()))
  if (hash !== undefined && others.length === 0) return hash
  const message =
    hash === undefined ? `has no line for ${shown(name)}` : `has several lines for ${shown(name)}`
  faults.push({ ...place, message, hint: HINT })
  return null
}

function readList(value: string, place: Place, faults: ConfigFault[]): string | null {
  const file = resolve(place.file === null ? '.' : dirname(place.file), value)
  return readSource(file, false, faults, place, LIST_BYTES_MAX)?.text ?? null
}

/** The last part of a URL's path, as the file is called where it is kept. */
export function fileNameOf(url: string): string {
  const last = new URL(url).pathname.split('/').at(-1) ?? ''
  try {
    return decodeURIComponent(last)
  } catch {
    return last
  }
}
