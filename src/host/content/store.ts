/**
 * Artefacts in the state directory. A whole one bears its SHA-256 as its name, and gets the name only when all of it
 * was on the disk and had that sum; beside it lies its list. A copy under way is two files, which a restart takes up
 * again. At every point of a crash what bears the name is right.
 *
 *     <sha256>           whole, 0755: it may be a program
 *     <sha256>.list      its segments
 *     <sha256>.part      under way, with holes
 *     <sha256>.journal   the segments known so far
 */

import { createHash } from 'node:crypto'
import { type FileHandle, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { ARTEFACT_BYTES_MAX } from '../../core/content.ts'
import { makeDirectoryDurably, syncDirectory, writeDurably } from '../durable-file.ts'
import { Copy, piecesOf, sumOfFile, writeAll } from './copy.ts'
import { ContentError, noSpace, storeFault } from './errors.ts'
import { readJournal } from './journal.ts'
import { buildList } from './list-builder.ts'

/** Never filled up to the last byte: the state of muster and the datastore need some. */
export const SPACE_RESERVE = 256 * 1024 ** 2
/** Written bytes that may wait for the disk at once, so that a sync at the end does not take a minute. */
const UNSYNCED_MAX = 64 * 1024 ** 2
const MODE = 0o755
const NAME = /^([0-9a-f]{64})(\.list|\.part|\.journal)?$/

export class ContentStore {
  readonly directory: string
  readonly #onGrowth: (sha256: string) => void
  readonly #whole = new Map<string, Copy>()
  /** Sums that are being looked at: many may ask for one at once, and it is read once. */
  readonly #looking = new Map<string, Promise<Copy | null>>()
  /** Renamed, also where what comes after failed and is tried again. */
  readonly #named = new WeakSet<Copy>()
  readonly #indexing = new Map<string, Promise<void>>()
  #adoptions = 0
  #closed = false

  private constructor(directory: string, onGrowth: (sha256: string) => void) {
    this.directory = directory
    this.#onGrowth = onGrowth
  }

  /**
   * Makes the directory where it is missing; removes what no run will go on with.
   * @param onGrowth a whole copy is here now, or its list has grown.
   */
  static async open(directory: string, onGrowth: (sha256: string) => void): Promise<ContentStore> {
    await makeDirectoryDurably(directory)
    for (const name of await readdir(directory)) {
      if (!NAME.test(name)) await rm(join(directory, name), { force: true, recursive: true })
    }
    return new ContentStore(directory, onGrowth)
  }

  path(sha256: string): string {
    return join(this.directory, sha256)
  }

  /** Artefacts that are whole by their name, or under way. */
  async names(): Promise<{ readonly whole: string[]; readonly partial: string[] }> {
    const names = await readdir(this.directory)
    return {
      whole: names.filter((name) => /^[0-9a-f]{64}$/.test(name)),
      partial: names.filter((name) => name.endsWith('.part')).map((name) => name.slice(0, -5)),
    }
  }

  /**
   * The whole artefact, null where it is not here. In each run its sum is looked at once: a disk may have spoilt
   * it, and then it is removed.
   */
  async whole(sha256: string): Promise<Copy | null> {
    const known = this.#whole.get(sha256)
    if (known !== undefined) return known
    if (this.#closed) return null
    const looking = this.#looking.get(sha256) ?? this.#look(sha256)
    this.#looking.set(sha256, looking)
    try {
      return await looking
    } finally {
      this.#looking.delete(sha256)
    }
  }

  /** Whole copies that this run has looked at, for who asks and for deltas. */
  known(sha256: string): Copy | null {
    return this.#whole.get(sha256) ?? null
  }

  /** A copy under way, with what an earlier run left of it. */
  async partial(sha256: string): Promise<Copy> {
    const [part, journal] = [`${this.path(sha256)}.part`, `${this.path(sha256)}.journal`]
    const file = (await openIfThere(part, 'r+')) ?? (await open(part, 'w+', MODE))
    const records = await open(journal, 'a+', 0o600)
    const copy = new Copy(sha256, file, records)
    const { segments, length } = readJournal(await readFile(journal))
    await records.truncate(length)
    await copy.recover(segments)
    return copy
  }

  /** Removes a copy under way. */
  async discard(copy: Copy): Promise<void> {
    await copy.close()
    const path = this.path(copy.sha256)
    for (const name of [`${path}.part`, `${path}.journal`]) await rm(name, { force: true })
  }

  /**
   * Gives a complete copy its name, where its sum is right.
   * @returns the sum that was found; where it is another one nothing has changed.
   */
  async complete(copy: Copy): Promise<string> {
    const { sha256 } = copy
    const path = this.path(sha256)
    await copy.file.chmod(MODE)
    let isGood = false
    try {
      const found = await copy.seal()
      isGood = found === sha256
      if (!isGood) return found
    } finally {
      if (!isGood) copy.unseal()
    }
    await writeDurably(`${path}.list`, copy.list())
    if (!this.#named.has(copy)) await rename(`${path}.part`, path)
    this.#named.add(copy)
    await syncDirectory(this.directory)
    await rm(`${path}.journal`, { force: true })
    await copy.reopen(await open(path, 'r'))
    this.#whole.set(sha256, copy)
    return sha256
  }

  /**
   * Takes a file from elsewhere into the store; read once, summed up while it is written. Its list is made
   * afterwards: who wants the file here need not wait for that.
   * @param wanted null where any sum is right.
   */
  async adopt(
    source: string,
    wanted: string | null,
    signal?: AbortSignal,
  ): Promise<{ readonly copy: Copy | null; readonly found: string; readonly size: number }> {
    let from: FileHandle
    try {
      from = await open(source, 'r')
    } catch (error) {
      throw storeFault(error, `cannot read ${source}`)
    }
    try {
      const before = await from.stat()
      if (!before.isFile()) throw storeFault(new Error('it is no file'), `cannot read ${source}`)
      if (before.size > ARTEFACT_BYTES_MAX)
        throw storeFault(new Error('it is too large'), `cannot read ${source}`)
      const present = await this.#sameSize(before.size, from, wanted)
      if (present !== null) return { copy: present, found: present.sha256, size: before.size }
      await this.needSpace(before.size, source)
      const found = await this.#copyIn(source, from, wanted, signal)
      const size = before.size
      return { copy: found === (wanted ?? found) ? await this.whole(found) : null, found, size }
    } finally {
      await from.close()
    }
  }

  /** @throws ContentError where so many bytes more would not leave the reserve. */
  async needSpace(bytes: number, what: string): Promise<void> {
    const { bavail, bsize } = await statfs(this.directory)
    const free = bavail * bsize
    if (free - bytes >= SPACE_RESERVE) return
    const mebibytes = (value: number): string => `${Math.ceil(value / 1024 ** 2)} MiB`
    throw noSpace(
      `cannot store ${what}`,
      `${mebibytes(bytes + SPACE_RESERVE)} are needed, ${mebibytes(free)} are free`,
    )
  }

  /** Removes everything but what is to be kept. */
  async collect(keep: ReadonlySet<string>): Promise<string[]> {
    const { whole, partial } = await this.names()
    const gone = [...new Set([...whole, ...partial])].filter((sha256) => !keep.has(sha256)).sort()
    for (const sha256 of gone) await this.#remove(sha256)
    return gone
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#looking.values())
    await Promise.all(this.#indexing.values())
    for (const copy of this.#whole.values()) await copy.close()
    this.#whole.clear()
  }

  async #look(sha256: string): Promise<Copy | null> {
    const file = await openIfThere(this.path(sha256), 'r')
    if (file === null) return null
    try {
      if ((await sumOfFile(file)) === sha256) return await this.#enter(sha256, file)
    } catch (error) {
      await file.close()
      throw error
    }
    await file.close()
    await this.#remove(sha256)
    return null
  }

  async #remove(sha256: string): Promise<void> {
    const copy = this.#whole.get(sha256)
    this.#whole.delete(sha256)
    await this.#indexing.get(sha256)
    await copy?.close()
    const path = this.path(sha256)
    for (const name of [path, `${path}.list`, `${path}.part`, `${path}.journal`])
      await rm(name, { force: true })
    await syncDirectory(this.directory)
  }

  /** Its list is read, or made anew in the background where there is none. */
  async #enter(sha256: string, file: FileHandle): Promise<Copy> {
    const copy = new Copy(sha256, file, null)
    this.#whole.set(sha256, copy)
    copy.watch(() => this.#onGrowth(sha256))
    const path = `${this.path(sha256)}.list`
    const list = await readFile(path).catch(() => new Uint8Array())
    const { segments } = readJournal(list)
    for (const [index, segment] of segments) await copy.adopt(index, segment, 0xffffffff)
    const { end, last } = copy.contiguous()
    if (last && end === (await file.stat()).size) return copy
    for (const index of copy.indexes()) copy.forget(index)
    const building = buildList(copy, () => this.#closed || this.#whole.get(sha256) !== copy)
      .then(async (isDone) => (isDone ? await writeDurably(path, copy.list()) : undefined))
      .catch(() => undefined)
      .finally(() => this.#indexing.delete(sha256))
    this.#indexing.set(sha256, building)
    return copy
  }

  /** The artefact that the file is, where it is here already: then it need not be written again. */
  async #sameSize(size: number, file: FileHandle, wanted: string | null): Promise<Copy | null> {
    const { whole } = await this.names()
    const sizes = await Promise.all(whole.map(async (name) => (await stat(this.path(name))).size))
    const alike = whole.filter((name, i) => sizes[i] === size && (wanted === null || name === wanted))
    if (alike.length === 0) return null
    const found = await sumOfFile(file)
    return alike.includes(found) ? await this.whole(found) : null
  }

  async #copyIn(
    source: string,
    from: FileHandle,
    wanted: string | null,
    signal?: AbortSignal,
  ): Promise<string> {
    this.#adoptions += 1
    const beside = join(this.directory, `adopted-${this.#adoptions}`)
    const to = await open(beside, 'wx', MODE)
    try {
      const sum = createHash('sha256')
      let at = 0
      let syncedAt = 0
      let syncing: Promise<void> = Promise.resolve()
      for await (const piece of piecesOf(from)) {
        signal?.throwIfAborted()
        const writing = writeAll(to, piece, at)
        sum.update(piece)
        await writing
        at += piece.length
        if (at - syncedAt < UNSYNCED_MAX) continue
        syncedAt = at
        await syncing
        syncing = to.datasync()
      }
      await syncing
      const found = sum.digest('hex')
      if (wanted !== null && found !== wanted) return found
      await to.chmod(MODE)
      await to.sync()
      await rename(beside, this.path(found))
      await syncDirectory(this.directory)
      // Summed up just now: whole() need not read it again.
      this.#whole.get(found) ?? (await this.#enter(found, await open(this.path(found), 'r')))
      return found
    } catch (error) {
      throw error instanceof ContentError || signal?.aborted === true
        ? error
        : storeFault(error, `cannot store ${source}`)
    } finally {
      await to.close()
      await rm(beside, { force: true })
    }
  }
}

async function openIfThere(path: string, flags: 'r' | 'r+'): Promise<FileHandle | null> {
  try {
    return await open(path, flags)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
