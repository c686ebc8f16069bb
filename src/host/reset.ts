/**
 * Makes a machine new, because a person asked: everything in the state directory is moved aside within it, the
 * datastore's data included, and named. Nothing is deleted (rule 8); who wants the room back deletes it.
 */
import { mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { compareText } from '../core/ids.ts'
import { syncDirectory } from './durable-file.ts'
import { takeLock } from './lock.ts'
import { IDENTITY_FILE, LOCK_FILE, STATE_FILE } from './store.ts'
import { storeErrorOf } from './store-errors.ts'

export interface ResetOutcome {
  /** Where everything is now; null where there was nothing. */
  readonly aside: string | null
  /** Names of the files and directories that were moved. */
  readonly moved: readonly string[]
}

/**
 * Takes the directory's lock, so that no daemon may run on it, and moves its content aside.
 * @throws StoreError where a daemon has it, or something cannot be moved; then it can be asked for again.
 */
export async function resetDirectory(directory: string, now: Date = new Date()): Promise<ResetOutcome> {
  const names = await contentOf(directory)
  if (names.length === 0) return { aside: null, moved: [] }
  const lock = await takeLock(join(directory, LOCK_FILE))
  try {
    const aside = join(directory, `${ASIDE}${now.toISOString().replaceAll(':', '-')}`)
    await mkdir(aside, { mode: 0o700 })
    const moved = await contentOf(directory)
    for (const name of moved) {
      await rename(join(directory, name), join(aside, name))
      // In this order also on the disk: a crash in between must leave a node that knows that it lost something.
      await syncDirectory(aside)
      await syncDirectory(directory)
    }
    return { aside, moved }
  } catch (error) {
    throw storeErrorOf(error, `cannot move the content of ${directory} aside`)
  } finally {
    lock.release()
  }
}

const ASIDE = 'aside-'

/** The state first, then the identity: either alone blocks a node; a datastore's data without them does, too. */
const ORDER = [STATE_FILE, IDENTITY_FILE]

async function contentOf(directory: string): Promise<string[]> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw storeErrorOf(error, `cannot read the state directory ${directory}`)
  }
  const rest = names.filter((name) => name !== LOCK_FILE && !name.startsWith(ASIDE) && !ORDER.includes(name))
  return [...ORDER.filter((name) => names.includes(name)), ...rest.sort(compareText)]
}
