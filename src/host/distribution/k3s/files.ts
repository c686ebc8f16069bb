/** Files that muster keeps for k3s: written only when they change, known again by their first line. */
import { readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeDirectoryDurably, writeDurably } from '../../durable-file.ts'

/** @returns whether it was written */
export async function keepFile(path: string, text: string, mode = 0o600): Promise<boolean> {
  if ((await contentOf(path)) === text) return false
  await makeDirectoryDurably(dirname(path))
  await writeDurably(path, text, mode)
  return true
}

/** Moves a file out of the way that somebody else wrote there. */
export async function moveForeignAside(path: string, isOurs: (text: string) => boolean): Promise<void> {
  const found = await contentOf(path)
  if (found !== null && !isOurs(found)) await rename(path, besideName(path))
}

export const besideName = (path: string): string => `${path}.before-muster`

/** Removes a file that muster wrote; one of somebody else stays. */
export async function dropFile(path: string, isOurs: (text: string) => boolean): Promise<boolean> {
  const found = await contentOf(path)
  if (found === null || !isOurs(found)) return false
  await rm(path)
  return true
}

export async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return null
    throw error
  }
}
