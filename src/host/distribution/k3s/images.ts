/** Archives of container images, put where k3s imports them from when it starts. */
import { join } from 'node:path'
import type { K3sSettings } from '../../../core/k3s.ts'
import { notFetched, notHere, wrongChecksum } from './problems.ts'
import { put, type Sources } from './program.ts'

/** @throws DatastoreError */
export async function placeImages(
  settings: K3sSettings,
  { places, ensure, seen }: Sources,
  signal: AbortSignal,
): Promise<void> {
  for (const image of settings.images) {
    const path = join(places.agent, 'images', image.name)
    if ((await seen.sha256(path)) === image.sha256) continue
    if (ensure === null) throw notHere(image.name, image.sha256, path)
    let source: string
    try {
      source = await ensure({ ...image, size: null }, { signal })
    } catch (error) {
      signal.throwIfAborted()
      throw notFetched(image.name, error instanceof Error ? error.message : String(error))
    }
    await put(source, path, 0o600)
    const found = await seen.sha256(path)
    if (found !== image.sha256) throw wrongChecksum(source, found ?? 'of nothing', image.sha256)
  }
}
