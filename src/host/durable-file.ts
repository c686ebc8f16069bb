/** Writing a small file so that a power cut leaves either the old or the new one, never half of one. */
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Where a save that has not finished lies: worthless, because nothing was ever done on the strength of it. */
export const unfinished = (path: string): string => `${path}.new`

/**
 * Writes beside the file, syncs, renames over it, and syncs the directory that now names it. When it throws
 * the file's old content may still be there or already be the new one; the bytes beside it are removed.
 */
export async function writeDurably(path: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
  const beside = unfinished(path)
  try {
    const file = await open(beside, 'w', mode)
    try {
      await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    // A full disk must get back what this attempt took from it.
    await rm(beside, { force: true }).catch(() => undefined)
    throw error
  }
  await syncDirectory(dirname(path))
}

/** A rename, a creation or a removal is durable only when its directory is. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Makes the directory (0700) and all above it that are missing, durably. One that exists stays as it is. */
export async function makeDirectoryDurably(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    await syncDirectory(dirname(made))
    if (made === dirname(made)) return
  }
}
