/**
 * Chunks that are on this machine already, in other artefacts or in files of somebody else: what a new version has
 * in common with the old one need not travel. Nothing here is believed: whoever reads a chunk checks it.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { setImmediate as breathe } from 'node:timers/promises'
import { Chunker } from './chunker.ts'
import { piecesOf } from './copy.ts'
import { readJournal } from './journal.ts'
import { digestOf } from './segments.ts'
import type { ContentStore } from './store.ts'

/** Of 64 KiB or so each: 16 GiB, and some 50 MiB of memory while a download runs. */
const CHUNKS_MAX = 262_144

interface Place {
  readonly file: FileHandle
  readonly offset: number
  readonly length: number
}

export class Reuse {
  readonly #places = new Map<string, Place>()
  readonly #files: FileHandle[] = []

  /** @param others files that may hold parts of what is to come, such as the slot that runs; missing ones are none. */
  static async look(
    store: ContentStore,
    except: string,
    others: readonly string[],
    signal: AbortSignal,
  ): Promise<Reuse> {
    const reuse = new Reuse()
    for (const sha256 of (await store.names()).whole) {
      if (sha256 !== except) await reuse.#listed(store.path(sha256))
    }
    for (const path of others) await reuse.#scan(path, signal)
    return reuse
  }

  has(digest: string): boolean {
    return this.#places.has(digest)
  }

  /** The bytes that once were this chunk; null where there are none. */
  async read(digest: string): Promise<Uint8Array | null> {
    const place = this.#places.get(digest)
    if (place === undefined) return null
    const bytes = Buffer.allocUnsafe(place.length)
    const got = await place.file.read(bytes, 0, place.length, place.offset).catch(() => null)
    return got?.bytesRead === place.length ? bytes : null
  }

  async close(): Promise<void> {
    this.#places.clear()
    for (const file of this.#files.splice(0)) await file.close()
  }

  async #listed(path: string): Promise<void> {
    const list = await readFile(`${path}.list`).catch(() => null)
    const file = list === null ? null : await this.#open(path)
    if (list === null || file === null) return
    for (const { chunks } of readJournal(list).segments.values()) {
      for (const { digest, offset, length } of chunks) this.#add(digest, { file, offset, length })
    }
  }

  async #scan(path: string, signal: AbortSignal): Promise<void> {
    const file = await this.#open(path)
    if (file === null) return
    const chunker = new Chunker()
    let offset = 0
    const add = (chunk: Uint8Array): void => {
      this.#add(digestOf(chunk), { file, offset, length: chunk.length })
      offset += chunk.length
    }
    for await (const piece of piecesOf(file)) {
      signal.throwIfAborted()
      for (const chunk of chunker.push(piece)) add(chunk)
      await breathe()
    }
    const rest = chunker.end()
    if (rest !== null) add(rest)
  }

  #add(digest: string, place: Place): void {
    if (this.#places.size < CHUNKS_MAX) this.#places.set(digest, place)
  }

  async #open(path: string): Promise<FileHandle | null> {
    const file = await open(path, 'r').catch(() => null)
    if (file !== null) this.#files.push(file)
    return file
  }
}
