/** Which files are read, and their bytes: regular files of bounded size, or a fault that says why not. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type ConfigFault, NOWHERE, type Place } from './faults.ts'

/** A cloud-config of some hundred kilobytes carries other people's scripts; more is no configuration. */
const CONFIG_BYTES_MAX = 1_048_576
/** The longest token of any kind has about a thousand characters. */
export const TOKEN_BYTES_MAX = 16_384

/** In the order in which they are merged: a later file wins. */
const OWN_DIRECTORY = 'etc/muster'
/** Where Kairos keeps the cloud-configs of a machine, in the order in which it merges them itself. */
const CLOUD_DIRECTORIES: readonly string[] = ['oem', 'usr/local/cloud-config']
/** Docker mounts a secret readable for all of its container, where nobody else is. */
const CONTAINER_SECRETS = '/run/secrets/'

export interface Source {
  readonly file: string
  readonly text: string
  /** In a directory that other programs fill too: a file that does not speak of muster is none of its business. */
  readonly isFound: boolean
  /** Everyone on this machine can read it. */
  readonly isPublic: boolean
}

/** The files of the default places, sorted by name in each; what lies where they are looked for. */
export function defaultFiles(root: string): { readonly own: string[]; readonly cloud: string[] } {
  const listed = (directory: string): string[] => {
    try {
      return readdirSync(join(root, directory))
        .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.'))
        .sort()
        .map((name) => join(root, directory, name))
    } catch {
      return []
    }
  }
  return { own: listed(OWN_DIRECTORY), cloud: CLOUD_DIRECTORIES.flatMap(listed) }
}

/** For people: the places where {@link defaultFiles} looks. */
export const defaultPlaces = (root: string): string =>
  [OWN_DIRECTORY, ...CLOUD_DIRECTORIES].map((directory) => join(root, directory, '*.yaml')).join(', ')

/** A system whose /etc and /var/lib are gone after the next boot: state belongs where it stays. */
export function isKairos(root: string): boolean {
  return existsSync(join(root, 'etc/kairos-release')) || existsSync(join(root, 'run/cos'))
}

/** The file, or null and a fault. `place` is where it was named, where that was in another file. */
export function readSource(
  file: string,
  isFound: boolean,
  faults: ConfigFault[],
  place: Place = NOWHERE,
  bytesMax: number = CONFIG_BYTES_MAX,
): Source | null {
  const refuse = (message: string, hint: string): null => {
    faults.push(
      place.key === null
        ? { file, line: null, key: null, message, hint }
        : { ...place, message: `${file} ${message}`, hint },
    )
    return null
  }
  let fd: number
  try {
    // Without O_NONBLOCK a named pipe would wait for its writer for ever.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    return refuse(...unreadable(error))
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) return refuse('is no regular file', 'name the file itself')
    if (stat.size > bytesMax) {
      return refuse(`has more than ${bytesMax} bytes`, 'keep in it only what muster is to read')
    }
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(fd))
    return { file, text, isFound, isPublic: (stat.mode & 0o004) !== 0 && isReachable(file) }
  } catch (error) {
    return error instanceof TypeError
      ? refuse('is not UTF-8 text', 'save it as UTF-8')
      : refuse(...unreadable(error))
  } finally {
    closeSync(fd)
  }
}

function unreadable(error: unknown): readonly [message: string, hint: string] {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return ['does not exist', 'correct its name, or make it']
    case 'EACCES':
    case 'EPERM':
      return ['may not be read by this user', 'run muster as root, or give this user the right to read it']
    case 'EISDIR':
      return ['is no regular file', 'name the file itself']
    default:
      return [`cannot be read (${code === '' ? 'unknown reason' : code})`, 'look at the disk and at `dmesg`']
  }
}

/** Whether other users get as far as the file: a private directory above it protects it as well. */
function isReachable(file: string): boolean {
  if (file.startsWith(CONTAINER_SECRETS)) return false
  for (let directory = dirname(resolve(file)); ; directory = dirname(directory)) {
    if ((statSync(directory).mode & 0o001) === 0) return false
    if (directory === dirname(directory)) return true
  }
}
