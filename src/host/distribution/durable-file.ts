/** Writing a small file so that a power cut leaves either the old or the new one, never half of one. */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes beside the file, syncs, renames over it, and syncs the directory that now names it. */
export async function writeDurably(path: string, content: string, mode: number): Promise<void> {
  const beside = `${path}.new`
  const file = await open(beside, 'w', mode)
  try {
    await file.chmod(mode)
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, path)
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
