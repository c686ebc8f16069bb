import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadOrCreateIdentity } from '../../src/host/identity.ts'
import { resetDirectory } from '../../src/host/reset.ts'
import { openStore } from '../../src/host/store.ts'

const format = { version: 1, parse: (value: unknown) => value }
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-reset-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

/** A node that has run: its ID. */
async function used(): Promise<string> {
  const store = await openStore(directory, format)
  const { id } = await loadOrCreateIdentity(store)
  await store.save({ voted: 'for somebody' })
  await store.close()
  mkdirSync(join(directory, 'etcd', 'member'), { recursive: true })
  writeFileSync(join(directory, 'etcd', 'member', 'data'), 'precious')
  return id
}

describe('a reset', () => {
  it('moves everything aside, deletes nothing, and says where', async () => {
    await used()
    const before = readFileSync(join(directory, 'state'))
    const outcome = await resetDirectory(directory, new Date('2026-01-02T03:04:05Z'))
    const aside = join(directory, 'aside-2026-01-02T03-04-05.000Z')
    expect(outcome).toEqual({ aside, moved: ['state', 'identity', 'etcd'] })
    expect(readFileSync(join(aside, 'state'))).toEqual(before)
    expect(readFileSync(join(aside, 'etcd', 'member', 'data'), 'utf8')).toBe('precious')
    expect(readdirSync(directory).sort()).toEqual([basename(aside), 'lock'])
  })

  it('makes a new node at the next start', async () => {
    const id = await used()
    await resetDirectory(directory)
    expect(await used()).not.toBe(id)
  })

  it('leaves what an earlier reset moved aside', async () => {
    await used()
    const first = await resetDirectory(directory, new Date(1))
    await used()
    const second = await resetDirectory(directory, new Date(2))
    for (const { aside } of [first, second]) expect(existsSync(join(aside ?? '', 'identity'))).toBe(true)
  })

  it('is refused while a daemon has the directory', async () => {
    await used()
    const store = await openStore(directory, format)
    await expect(resetDirectory(directory)).rejects.toMatchObject({ code: 'MUSTER_E_STATE_IN_USE' })
    await store.close()
    expect(existsSync(join(directory, 'identity'))).toBe(true)
  })

  it('of nothing is nothing', async () => {
    expect(await resetDirectory(join(directory, 'absent'))).toEqual({ aside: null, moved: [] })
    expect(existsSync(join(directory, 'absent'))).toBe(false)
    expect(await resetDirectory(directory)).toEqual({ aside: null, moved: [] })
  })

  it('that cannot move a datastore says so, and can be repeated', async () => {
    await used()
    const data = join(directory, 'etcd')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', data])
    try {
      await expect(resetDirectory(directory)).rejects.toMatchObject({
        message: expect.stringContaining('EBUSY'),
      })
    } finally {
      execFileSync('umount', [data])
    }
    const outcome = await resetDirectory(directory)
    expect(outcome.moved).toEqual(['etcd'])
  })
})
