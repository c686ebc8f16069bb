/**
 * A copy under way whose process dies at each step of filling it, on a real directory. What the page cache alone has may
 * be gone: the part loses any tail, the journal any tail. Whatever is left, what bears the name is right, and what
 * is gone on with becomes so.
 */
import { copyFile, cp, mkdtemp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Built, ListBuilder } from '../../../src/host/content/list-builder.ts'
import { ContentStore } from '../../../src/host/content/store.ts'
import { noise, sha256 } from './nodes.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'muster-content-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const BYTES = noise(5_000_000)
const SUM = sha256(BYTES)
const builder = new ListBuilder(0)
const BUILT: readonly Built[] = [...builder.push(BYTES), ...builder.end()]

const openStore = (directory: string): Promise<ContentStore> => ContentStore.open(directory, () => undefined)

/** Puts all that is missing into the copy, calling back after each step. */
async function fill(store: ContentStore, after: (step: string) => Promise<void>): Promise<string> {
  const copy = await store.partial(SUM)
  await after('opened')
  for (const [index, { segment, chunks }] of BUILT.entries()) {
    if (copy.segment(index)?.digest !== segment.digest) await copy.adopt(index, segment)
    await after(`listed ${index}`)
    for (const [chunk, bytes] of chunks.entries()) {
      expect(await copy.write(index, chunk, bytes)).toBe(true)
      if (chunk % 16 === 5) await after(`wrote ${index}.${chunk}`)
    }
  }
  const found = await store.complete(copy)
  await after('complete')
  return found
}

/** Goes on in what is left, and shows that nothing wrong ever bore the name. */
async function goOn(directory: string, about: string): Promise<number> {
  const store = await openStore(directory)
  try {
    const whole = await store.whole(SUM)
    if (whole === null) {
      const copy = await store.partial(SUM)
      const kept = copy.bytes
      await copy.close()
      expect(await fill(store, async () => undefined), about).toBe(SUM)
      expect(sha256(await readFile(store.path(SUM))), about).toBe(SUM)
      return kept
    }
    expect(sha256(await readFile(store.path(SUM))), about).toBe(SUM)
    return BYTES.length
  } finally {
    await store.close()
  }
}

describe('a copy', { timeout: 120_000 }, () => {
  it('whose process dies at any step is gone on with, whatever tails the disk forgot', async () => {
    const snapshots: { step: string; directory: string }[] = []
    const store = await openStore(join(root, 'first'))
    await fill(store, async (step) => {
      const directory = join(root, `at-${snapshots.length}`)
      await cp(store.directory, directory, { recursive: true })
      snapshots.push({ step, directory })
    })
    await store.close()
    const kept: number[] = []
    for (const { step, directory } of snapshots) {
      for (const [part, journal] of [
        [1, 1],
        [0.5, 1],
        [1, 0.5],
        [0, 1],
        [1, 0],
      ] as const) {
        const left = join(root, 'left')
        await cp(directory, left, { recursive: true })
        await shorten(join(left, `${SUM}.part`), part)
        await shorten(join(left, `${SUM}.journal`), journal)
        kept.push(await goOn(left, `${step}, ${part} of the part, ${journal} of the journal`))
        await rm(left, { recursive: true })
      }
    }
    expect(Math.max(...kept)).toBe(BYTES.length)
    expect(kept.some((bytes) => bytes > 0 && bytes < BYTES.length)).toBe(true)
  })

  it('never gets its name while a byte of it is wrong', async () => {
    const store = await openStore(root)
    const other = new ListBuilder(0)
    const wrong = noise(BYTES.length)
    const copy = await store.partial(SUM)
    for (const [index, { segment, chunks }] of [...other.push(wrong), ...other.end()].entries()) {
      await copy.adopt(index, segment)
      for (const [chunk, bytes] of chunks.entries()) await copy.write(index, chunk, bytes)
    }
    expect(await store.complete(copy)).toBe(sha256(wrong))
    expect(await store.whole(SUM)).toBeNull()
    await store.discard(copy)
    expect(await readdir(root)).toEqual([])
    await store.close()
  })

  it('takes no bytes that are not what its list says', async () => {
    const store = await openStore(root)
    const copy = await store.partial(SUM)
    const [first] = BUILT
    const chunk = first?.chunks[0]
    if (first === undefined || chunk === undefined) throw new Error('there is a first')
    await copy.adopt(0, first.segment)
    const spoilt = new Uint8Array(chunk)
    spoilt[0] = (spoilt[0] ?? 0) ^ 1
    expect(await copy.write(0, 0, spoilt)).toBe(false)
    expect(await copy.write(0, 0, chunk.subarray(1))).toBe(false)
    expect(await copy.write(9, 0, chunk)).toBe(false)
    expect([copy.bytes, await copy.read(0, 0)]).toEqual([0, null])
    expect(await copy.write(0, 0, chunk)).toBe(true)
    expect(sha256((await copy.read(0, 0)) ?? new Uint8Array())).toBe(sha256(chunk))
    await copy.close()
    await store.close()
  })
})

describe('the store', { timeout: 60_000 }, () => {
  it('adopts a file, and makes its list anew where that is lost', async () => {
    const directory = join(root, 'store')
    const source = join(root, 'source')
    const store = await openStore(directory)
    await fill(store, async () => undefined)
    await copyFile(store.path(SUM), source)
    await store.collect(new Set())
    expect(await readdir(directory)).toEqual([])
    const { found, size, copy } = await store.adopt(source, null)
    expect([found, size]).toEqual([SUM, BYTES.length])
    expect(copy?.sha256).toBe(SUM)
    await store.close()
    await rm(`${store.path(SUM)}.list`, { force: true })
    const again = await openStore(directory)
    const whole = await again.whole(SUM)
    if (whole === null) throw new Error('it is here')
    await expect.poll(() => whole.isComplete(), { timeout: 30_000 }).toBe(true)
    expect(whole.indexes().map((index) => whole.segment(index)?.digest)).toEqual(
      BUILT.map(({ segment }) => segment.digest),
    )
    await again.close()
  })

  it('does not take a file of another sum, and keeps nothing of it', async () => {
    const source = join(root, 'source')
    const store = await openStore(join(root, 'store'))
    await fill(store, async () => undefined)
    await copyFile(store.path(SUM), source)
    await truncate(source, 1_000)
    const { copy, found } = await store.adopt(source, SUM)
    expect(copy).toBeNull()
    expect(found).toBe(sha256(BYTES.subarray(0, 1_000)))
    expect(await store.names()).toEqual({ whole: [SUM], partial: [] })
    await store.close()
  })

  it('refuses what would not leave its reserve', async () => {
    const store = await openStore(root)
    await expect(store.needSpace(2 ** 50, 'an image')).rejects.toMatchObject({
      code: 'MUSTER_E_CONTENT_SPACE',
    })
    await store.close()
  })
})

async function shorten(path: string, share: number): Promise<void> {
  const size = (await stat(path).catch(() => null))?.size
  if (size !== undefined) await truncate(path, Math.floor(size * share))
}
