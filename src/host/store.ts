/**
 * The durable state of one node: one document, written whole. What is saved was promised to others (rule 2), so
 * a save counts only when the disk has it, and a state that cannot be read is never guessed at: no older copy
 * is kept to fall back to, because an older copy has forgotten a vote.
 *
 * The directory holds `lock`, `state` and `identity` (identity.ts), and what drivers keep beside them. `state`
 * is there from before the identity is made: a directory with an identity but no state has lost its state.
 */
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { decode, encode } from '../core/codec.ts'
import { compareText } from '../core/ids.ts'
import { makeDirectoryDurably, syncDirectory, unfinished, writeDurably } from './durable-file.ts'
import { envelop, FILE_MAX, openEnvelope } from './envelope.ts'
import { takeLock } from './lock.ts'
import { StoreError, storeErrorOf } from './store-errors.ts'

export const STATE_FILE = 'state'
export const IDENTITY_FILE = 'identity'
export const LOCK_FILE = 'lock'

const MAGIC = 'MUSTERST'

/** What the document is; the store itself knows only that it is a DAG-CBOR value. */
export interface StateFormat<T> {
  /** Version of the document, from 1; a file with a higher one is refused and left alone. */
  readonly version: number
  /** @throws where the value is not a document of this version or an earlier one. */
  parse(value: unknown): T
}

export type Loaded<T> =
  /** Nothing was ever saved here. */
  | { readonly kind: 'fresh' }
  | { readonly kind: 'state'; readonly value: T; readonly version: number }
  /** There was a state and it cannot be read: the node may not vote, and nothing can be saved. */
  | {
      readonly kind: 'damaged'
      readonly what: string
      /** Where the unreadable file was moved; null where there is no file. */
      readonly keptAs: string | null
      readonly hint: string
    }

export interface Store<T> {
  readonly directory: string
  /** What was there when the store was opened. */
  load(): Loaded<T>
  /**
   * Resolves when the disk has the value; saves are carried out one after the other, in the order of the calls.
   * @throws StoreError, after which the disk has either the old value or the new one, and the caller repeats.
   */
  save(value: T): Promise<void>
  /** Waits for the save in flight and gives the directory free. */
  close(): Promise<void>
}

/**
 * Takes the directory (made where missing, 0700) for this process and reads the state.
 * @throws StoreError where the directory is in use, cannot be written, or holds a newer version's state.
 */
export async function openStore<T>(directory: string, format: StateFormat<T>): Promise<Store<T>> {
  try {
    await makeDirectoryDurably(directory)
  } catch (error) {
    throw storeErrorOf(error, `cannot make the state directory ${directory}`)
  }
  const lock = await takeLock(join(directory, LOCK_FILE))
  let loaded: Loaded<T>
  try {
    loaded = await readState(directory, format)
  } catch (error) {
    lock.release()
    throw storeErrorOf(error, `cannot use the state directory ${directory}`)
  }

  const path = join(directory, STATE_FILE)
  let last: Promise<void> = Promise.resolve()
  let closed = false
  return {
    directory,
    load: () => loaded,
    async save(value) {
      if (closed) throw closedError(directory)
      if (loaded.kind === 'damaged') throw damagedError(loaded)
      const bytes = envelop(MAGIC, format.version, encode(value))
      const saved = last.then(() => writeState(path, bytes))
      last = saved.catch(() => undefined)
      await saved
    },
    async close() {
      if (closed) return
      closed = true
      await last
      lock.release()
    },
  }
}

export const damagedError = (loaded: { readonly what: string; readonly hint: string }): StoreError =>
  new StoreError('MUSTER_E_STATE_DAMAGED', loaded.what, loaded.hint)

const closedError = (directory: string): StoreError =>
  new StoreError('MUSTER_E_STATE_CLOSED', `the state directory ${directory} was closed`, 'start muster again')

async function writeState(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeDurably(path, bytes)
  } catch (error) {
    throw storeErrorOf(error, `cannot save the state to ${path}`)
  }
}

async function readState<T>(directory: string, format: StateFormat<T>): Promise<Loaded<T>> {
  const path = join(directory, STATE_FILE)
  await rm(unfinished(path), { force: true })
  const bytes = await readIfThere(path)
  if (bytes === null) return await begin(directory, path)
  if (bytes === 'too-large') return await setAside(path, 'it is larger than any state of muster')
  const opened = openEnvelope(MAGIC, format.version, bytes)
  if (opened.kind === 'newer') throw newerError(path, opened.version, format.version)
  if (opened.kind === 'damaged') return await setAside(path, opened.what)
  if (opened.body.length === 0) return { kind: 'fresh' }
  try {
    return { kind: 'state', value: format.parse(decode(opened.body)), version: opened.version }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return await setAside(path, `it is whole, but not what muster writes (${reason.slice(0, 300)})`)
  }
}

/** A directory without a state is new, unless it has an identity: then the state is what was lost. */
async function begin<T>(directory: string, path: string): Promise<Loaded<T>> {
  const names = await readdir(directory)
  if (!names.includes(IDENTITY_FILE)) {
    await writeDurably(path, envelop(MAGIC, 1, new Uint8Array()))
    return { kind: 'fresh' }
  }
  const kept = names
    .filter((name) => name.startsWith(`${STATE_FILE}.${DAMAGED}`))
    .sort(compareText)
    .at(-1)
  const keptAs = kept === undefined ? null : join(directory, kept)
  const what = `${path} is missing, although this node has an identity: what it promised and voted is not known`
  return {
    kind: 'damaged',
    what: keptAs === null ? what : `${what}; a state that could not be read is kept as ${keptAs}`,
    keptAs,
    hint: LOST_HINT,
  }
}

const DAMAGED = 'damaged-'
const LOST_HINT =
  'without its state a node may not vote again: `muster reset` makes it a new one; an older copy must not be put back'

async function setAside<T>(path: string, what: string): Promise<Loaded<T>> {
  const keptAs = `${path}.${DAMAGED}${new Date().toISOString().replaceAll(':', '-')}`
  await rename(path, keptAs)
  await syncDirectory(dirname(path))
  return {
    kind: 'damaged',
    what: `${path} cannot be read: ${what}; it is kept as ${keptAs}`,
    keptAs,
    hint: LOST_HINT,
  }
}

const newerError = (path: string, written: number, known: number): StoreError =>
  new StoreError(
    'MUSTER_E_STATE_NEWER',
    `${path} has version ${written}; this muster knows versions up to ${known}, and leaves it as it is`,
    'start the newer muster that wrote it',
    { written, known },
  )

/** The file's bytes; null only where there certainly is no file. */
export async function readIfThere(path: string): Promise<Uint8Array | 'too-large' | null> {
  try {
    if ((await stat(path)).size > FILE_MAX) return 'too-large'
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
