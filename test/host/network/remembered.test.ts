import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepRemembered, readRemembered } from '../../../src/host/network/remembered.ts'

describe('remembered peers', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'remembered-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('are what the network knew when the daemon ended', async () => {
    const known = [{ id: 'peer', addresses: ['/ip4/192.0.2.1/tcp/7946'] }]
    await keepRemembered(directory, () => known).stop()
    expect(await readRemembered(directory)).toEqual(known)
  })

  it('stay when the next run finds nobody', async () => {
    const known = [{ id: 'peer', addresses: ['/ip4/192.0.2.1/tcp/7946'] }]
    await keepRemembered(directory, () => known).stop()
    await keepRemembered(directory, () => []).stop()
    expect(await readRemembered(directory)).toEqual(known)
  })

  it.each(['', '{', '[{"id":1}]', '[{"id":"a","addresses":["b"],"more":1}]'])(
    'are none where the file holds %j, and the daemon starts',
    async (text) => {
      writeFileSync(join(directory, 'peers.json'), text)
      expect(await readRemembered(directory)).toEqual([])
    },
  )

  it('are not written where the disk refuses, and nothing else happens', async () => {
    const gone = join(directory, 'gone')
    await keepRemembered(gone, () => [{ id: 'peer', addresses: [] }]).stop()
    expect(() => readFileSync(join(gone, 'peers.json'))).toThrow(/ENOENT/)
  })
})
