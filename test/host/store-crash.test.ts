/**
 * Power cuts at every step of a save, on a real directory. The disk of the model is as unkind as POSIX allows:
 * what a file was not synced for may be gone or half there, and a rename in a directory that was not synced may
 * have happened or not, independently of each other.
 */
import { copyFileSync, existsSync, readFileSync, renameSync, statSync, truncateSync } from 'node:fs'
import type * as FsPromises from 'node:fs/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openStore } from '../../src/host/store.ts'

const disk = vi.hoisted(() => ({
  /** Steps still allowed before the power is cut; null while nothing is being tested. */
  left: null as number | null,
  steps: [] as string[],
  /** Files with bytes that only the page cache has. */
  unsynced: new Set<string>(),
  /** Renames that only the page cache has: from → to. */
  renamed: [] as [string, string][],
}))

class PowerCut extends Error {}

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FsPromises>()
  const step = async <T>(name: string, act: () => Promise<T>, after: () => void): Promise<T> => {
    if (disk.left === null) return await act()
    if (disk.left === 0) throw new PowerCut(name)
    disk.left -= 1
    disk.steps.push(name)
    const result = await act()
    after()
    return result
  }
  return {
    ...real,
    open: async (path: string, flags: string, mode?: number) => {
      const handle = await step(
        `open ${flags}`,
        () => real.open(path, flags, mode),
        () => {
          if (flags === 'w') disk.unsynced.add(path)
        },
      )
      return {
        chmod: (bits: number) =>
          step(
            'chmod',
            () => handle.chmod(bits),
            () => undefined,
          ),
        writeFile: (bytes: Uint8Array) =>
          step(
            'write',
            () => handle.writeFile(bytes),
            () => undefined,
          ),
        sync: () =>
          step(
            flags === 'w' ? 'sync file' : 'sync directory',
            () => handle.sync(),
            () => {
              if (flags === 'w') disk.unsynced.delete(path)
              else disk.renamed = disk.renamed.filter(([, to]) => dirname(to) !== path)
            },
          ),
        close: () => handle.close(),
      }
    },
    rename: (from: string, to: string) => {
      if (disk.left !== null && disk.left > 0) copyFileSync(to, `${to}.before`)
      return step(
        'rename',
        () => real.rename(from, to),
        () => {
          if (disk.unsynced.delete(from)) disk.unsynced.add(to)
          disk.renamed.push([from, to])
        },
      )
    },
    rm: (path: string, options: { force: true }) =>
      step(
        'remove',
        () => real.rm(path, options),
        () => undefined,
      ),
  }
})

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-crash-'))
})
afterEach(async () => {
  disk.left = null
  await rm(directory, { recursive: true, force: true })
})

const format = { version: 1, parse: (value: unknown) => value }
const OLD = { saved: 'before', filler: 'x'.repeat(100) }
const NEW = { saved: 'after', filler: 'y'.repeat(300) }

/** Saves OLD, then NEW with the power cut after `steps` steps; whether the second save was acknowledged. */
async function saveUntil(steps: number): Promise<boolean> {
  const store = await openStore(directory, format)
  await store.save(OLD)
  Object.assign(disk, { left: steps, steps: [], unsynced: new Set(), renamed: [] })
  const acknowledged = await store.save(NEW).then(
    () => true,
    () => false,
  )
  disk.left = null
  await store.close()
  return acknowledged
}

/** What the disk may have forgotten: each choice a number of bytes kept of unsynced files, and lost renames. */
function forget(kept: number, losesRenames: boolean): void {
  if (losesRenames) {
    for (const [from, to] of disk.renamed.splice(0).reverse()) {
      renameSync(to, from)
      renameSync(`${to}.before`, to)
      if (disk.unsynced.delete(to)) disk.unsynced.add(from)
    }
  }
  for (const path of disk.unsynced) {
    if (existsSync(path)) truncateSync(path, Math.min(kept, statSync(path).size))
  }
}

describe('a power cut', () => {
  it('at any step of a save leaves the old value or the new one, and the new one once acknowledged', async () => {
    const outcomes = new Set<string>()
    let total = Number.POSITIVE_INFINITY
    for (let steps = 0; steps <= total; steps++) {
      for (const losesRenames of [true, false]) {
        for (const kept of [0, 10, 60, 1_000]) {
          await rm(directory, { recursive: true, force: true })
          const acknowledged = await saveUntil(steps)
          if (acknowledged) total = steps
          forget(kept, losesRenames)
          const store = await openStore(directory, format)
          const loaded = store.load()
          await store.close()
          const about = `after ${disk.steps.join(', ')}; ${kept} bytes kept, renames lost: ${losesRenames}`
          if (loaded.kind !== 'state') throw new Error(`${loaded.kind} ${about}`)
          expect(acknowledged ? [NEW] : [OLD, NEW], about).toContainEqual(loaded.value)
          outcomes.add(
            `${JSON.stringify(loaded.value) === JSON.stringify(NEW) ? 'new' : 'old'} ${acknowledged}`,
          )
        }
      }
    }
    expect([...outcomes].sort()).toEqual(['new false', 'new true', 'old false'])
  })

  it('finds these steps in a save, in this order', async () => {
    expect(await saveUntil(100)).toBe(true)
    expect(disk.steps).toEqual([
      'open w',
      'chmod',
      'write',
      'sync file',
      'rename',
      'open r',
      'sync directory',
    ])
    expect(readFileSync(join(directory, 'state')).length).toBeGreaterThan(300)
  })
})
