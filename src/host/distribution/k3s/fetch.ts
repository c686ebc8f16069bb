/** How the driver asks for large files: whoever has them (origin, peers, a medium), it is told a verified path. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Artefact } from '../../../core/content.ts'

/** @throws where it cannot be had, with the reason; waits for as long as it still may come */
export type Ensure = (artefact: Artefact, how: { readonly signal: AbortSignal }) => Promise<string>

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk)
  return hash.digest('hex')
}

/** Files whose content was seen, so that each is read once as long as nobody writes to it. */
export class SeenFiles {
  readonly #seen = new Map<string, { readonly of: string; readonly sha256: string }>()

  /** @returns null where there is no such file */
  async sha256(path: string): Promise<string | null> {
    const found = await stat(path, { bigint: true }).catch(() => null)
    if (found === null || !found.isFile()) return null
    const of = [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join()
    const seen = this.#seen.get(path)
    if (seen?.of === of) return seen.sha256
    const sha256 = await sha256Of(path)
    this.#seen.set(path, { of, sha256 })
    return sha256
  }
}
