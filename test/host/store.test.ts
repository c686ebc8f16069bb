import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { envelop } from '../../src/host/envelope.ts'
import { loadOrCreateIdentity } from '../../src/host/identity.ts'
import { openStore, type Store } from '../../src/host/store.ts'
import { StoreError } from '../../src/host/store-errors.ts'

const schema = z.strictObject({ n: z.number(), blob: z.instanceof(Uint8Array).optional() })
type Value = z.infer<typeof schema>
const format = { version: 1, parse: (value: unknown): Value => schema.parse(value) }

let root: string
let directory: string
let opened: Store<Value>[]
const cleanups: (() => void)[] = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'muster-store-'))
  directory = join(root, 'var', 'lib', 'muster')
  opened = []
})

afterEach(async () => {
  for (const store of opened) await store.close()
  for (const cleanup of cleanups.splice(0).reverse()) cleanup()
  await rm(root, { recursive: true, force: true })
})

async function open(): Promise<Store<Value>> {
  const store = await openStore(directory, format)
  opened.push(store)
  return store
}

const failure = async (attempt: Promise<unknown>): Promise<StoreError> => {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof StoreError)) throw new Error(`a StoreError was expected, not ${String(error)}`)
  return error
}

describe('a state directory', () => {
  it('is made where it is missing, for its owner only, and starts fresh', async () => {
    const store = await open()
    expect(store.load()).toEqual({ kind: 'fresh' })
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(directory)) {
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600)
    }
  })

  it('gives back what was saved last', async () => {
    const store = await open()
    await Promise.all([store.save({ n: 1 }), store.save({ n: 2 }), store.save({ n: 3 })])
    await store.close()
    expect((await open()).load()).toEqual({ kind: 'state', value: { n: 3 }, version: 1 })
  })

  it('is still fresh after a start at which nothing was saved', async () => {
    const store = await open()
    await loadOrCreateIdentity(store)
    await store.close()
    expect((await open()).load()).toEqual({ kind: 'fresh' })
  })

  it('keeps what it has when a value cannot be encoded', async () => {
    const store = await open()
    await store.save({ n: 1 })
    await expect(store.save({ n: Number.NaN })).rejects.toThrow()
    await store.save({ n: 2 })
    await store.close()
    expect((await open()).load()).toMatchObject({ value: { n: 2 } })
  })
})

describe('a state directory belongs to one daemon', () => {
  it('names the process that has it', async () => {
    await open()
    const error = await failure(open())
    expect(error.code).toBe('MUSTER_E_STATE_IN_USE')
    expect(error.data.pid).toBe(process.pid)
    expect(error.message).toContain(String(process.pid))
  })

  it('is free again after kill -9, whoever has the process ID by then', async () => {
    const writer = startWriter(directory)
    await once(writer.lines, 'line')
    expect((await failure(open())).code).toBe('MUSTER_E_STATE_IN_USE')
    writer.process.kill('SIGKILL')
    await once(writer.process, 'exit')
    // As if the dead daemon's ID had been given to a process that lives.
    writeFileSync(join(directory, 'lock'), `${process.pid}\n`)
    expect((await open()).load().kind).toBe('state')
  })

  it('is given to exactly one of many that start at once', async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => openStore(directory, format)))
    const winners = results.filter((result) => result.status === 'fulfilled').map((result) => result.value)
    opened.push(...winners)
    expect(winners).toHaveLength(1)
  })
})

describe('kill -9 while saving', () => {
  it('leaves the last acknowledged value or the one after it', async () => {
    for (const acknowledgements of [1, 2, 5, 9, 14]) {
      const writer = startWriter(directory)
      let last = -1
      for await (const line of writer.lines) {
        const [kind, value] = line.split(' ')
        if (kind !== 'saved') continue
        last = Number(value)
        if (last % 100 >= acknowledgements) break
      }
      writer.process.kill('SIGKILL')
      if (writer.process.exitCode === null && writer.process.signalCode === null)
        await once(writer.process, 'exit')
      const store = await open()
      const loaded = store.load()
      if (loaded.kind !== 'state') throw new Error(`the state is ${loaded.kind}`)
      expect(loaded.value.n).toBeGreaterThanOrEqual(last)
      expect(readdirSync(directory).sort()).toEqual(['lock', 'state'])
      await store.close()
    }
  })
})

describe('a damaged state', () => {
  const saved = envelop('MUSTERST', 1, Uint8Array.from([0xa1, 0x61, 0x6e, 0x18, 0x2a])) // {n: 42}

  async function loadFrom(bytes: Uint8Array): Promise<ReturnType<Store<Value>['load']>> {
    mkdirSync(directory, { recursive: true })
    await writeFile(join(directory, 'state'), bytes)
    const store = await openStore(directory, format)
    await store.close()
    return store.load()
  }

  it('is not one that was only copied', async () => {
    expect(await loadFrom(saved)).toEqual({ kind: 'state', value: { n: 42 }, version: 1 })
  })

  it('is detected at every length at which it may be cut off', async () => {
    for (let length = 0; length < saved.length; length++) {
      const loaded = await loadFrom(saved.subarray(0, length))
      expect(loaded.kind, `cut off after ${length} bytes`).toBe('damaged')
    }
  })

  it('is detected by any flipped bit', async () => {
    for (let bit = 0; bit < saved.length * 8; bit += 3) {
      const bytes = Uint8Array.from(saved)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect((await loadFrom(bytes)).kind, `bit ${bit}`).toBe('damaged')
    }
  })

  it('is moved aside unchanged, named, and nothing is saved over its absence', async () => {
    const bytes = saved.subarray(0, 20)
    mkdirSync(directory, { recursive: true })
    await writeFile(join(directory, 'state'), bytes)
    const store = await open()
    const loaded = store.load()
    if (loaded.kind !== 'damaged' || loaded.keptAs === null) throw new Error('it should be damaged and kept')
    expect(new Uint8Array(readFileSync(loaded.keptAs))).toEqual(Uint8Array.from(bytes))
    expect(loaded.what).toContain(loaded.keptAs)
    expect(loaded.hint).toContain('muster reset')
    expect((await failure(store.save({ n: 1 }))).code).toBe('MUSTER_E_STATE_DAMAGED')
    expect(existsSync(join(directory, 'state'))).toBe(false)
  })

  it('stays damaged at the next start of a node that has an identity', async () => {
    const first = await open()
    await loadOrCreateIdentity(first)
    await first.save({ n: 1 })
    await first.close()
    writeFileSync(join(directory, 'state'), 'something else')
    const second = await open()
    const loaded = second.load()
    await second.close()
    const again = (await open()).load()
    if (loaded.kind !== 'damaged' || again.kind !== 'damaged') throw new Error('it should be damaged twice')
    expect(again.keptAs).toBe(loaded.keptAs)
    expect(again.what).toContain(loaded.keptAs ?? 'nothing')
  })

  it('is also a whole file that holds something else', async () => {
    const loaded = await loadFrom(envelop('MUSTERST', 1, Uint8Array.from([0x80])))
    expect(loaded).toMatchObject({ kind: 'damaged' })
  })

  it('is one that is missing while the identity is there', async () => {
    const first = await open()
    await loadOrCreateIdentity(first)
    await first.close()
    await rm(join(directory, 'state'))
    expect((await open()).load()).toMatchObject({ kind: 'damaged', keptAs: null })
  })

  it('is not one of a newer version, which is refused and left as it is', async () => {
    const newer = envelop('MUSTERST', 2, Uint8Array.from([0xa0]))
    mkdirSync(directory, { recursive: true })
    await writeFile(join(directory, 'state'), newer)
    const error = await failure(open())
    expect(error.code).toBe('MUSTER_E_STATE_NEWER')
    expect(new Uint8Array(readFileSync(join(directory, 'state')))).toEqual(new Uint8Array(newer))
  })
})

describe('any file', () => {
  it('is never taken for a state unless it is one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        mkdirSync(directory, { recursive: true })
        await writeFile(join(directory, 'state'), bytes)
        const store = await openStore(directory, format)
        await store.close()
        expect(store.load().kind).toBe('damaged')
      }),
      { numRuns: 30 },
    )
  })
})

describe('a disk that refuses', () => {
  function mountTmpfs(options: string): void {
    mkdirSync(directory, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=128k,${options}`, 'tmpfs', directory])
    cleanups.push(() => execFileSync('umount', ['-l', directory]))
  }

  it('because it is full: the old value stays, and the next save after room was made works', async () => {
    mountTmpfs('mode=700')
    const store = await open()
    await store.save({ n: 1, blob: new Uint8Array(30_000) })
    const filler = join(directory, 'filler')
    expect(() => writeFileSync(filler, new Uint8Array(1 << 20))).toThrow('ENOSPC')
    const error = await failure(store.save({ n: 2, blob: new Uint8Array(30_000) }))
    expect(error.code).toBe('MUSTER_E_STATE_FULL')
    expect(error.hint).toContain('free')
    expect(readdirSync(directory)).not.toContain('state.new')
    execFileSync('rm', [filler])
    await store.save({ n: 3, blob: new Uint8Array(30_000) })
    await store.close()
    expect((await open()).load()).toMatchObject({ value: { n: 3 } })
  })

  it('because it is read-only: nothing starts, and nothing is lost', async () => {
    mountTmpfs('mode=700')
    const store = await open()
    await store.save({ n: 1 })
    await store.close()
    execFileSync('mount', ['-o', 'remount,ro', directory])
    const error = await failure(open())
    expect(error.code).toBe('MUSTER_E_STATE_READ_ONLY')
    execFileSync('mount', ['-o', 'remount,rw', directory])
    expect((await open()).load()).toMatchObject({ value: { n: 1 } })
  })

  it('because something else is where the directory should be', async () => {
    mkdirSync(join(root, 'var'), { recursive: true })
    writeFileSync(join(root, 'var', 'lib'), '')
    expect((await failure(open())).code).toBe('MUSTER_E_STATE_IO')
  })

  it('because it belongs to somebody else', async () => {
    await rm(directory, { recursive: true, force: true })
    mkdirSync(directory, { recursive: true })
    for (const path of [root, join(root, 'var'), join(root, 'var', 'lib'), directory]) chmodSync(path, 0o755)
    const script = `
      import { openStore } from '${join(process.cwd(), 'src/host/store.ts')}'
      process.setuid(65534)
      await openStore('${directory}', { version: 1, parse: (value) => value }).catch((error) => console.log(error.code))
    `
    const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    })
    expect(said.trim()).toBe('MUSTER_E_STATE_DENIED')
  })
})

/** A process that opens the directory and saves one value after another, saying so before and after each. */
function startWriter(path: string) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'store-writer.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  cleanups.push(() => child.kill('SIGKILL'))
  return { process: child, lines: createInterface({ input: child.stdout }) }
}
