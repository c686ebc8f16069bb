import type { MemoryDatastore } from 'datastore-core/memory'
import { base32 } from 'multiformats/bases/base32'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { RecordRules } from '../../../src/host/network/dht.ts'
import { DhtStore, RECORDS_MAX } from '../../../src/host/network/dht-store.ts'
import { bytes, makePeers, type Peer, text } from './peers.ts'

const peers = makePeers()
afterEach(() => peers.end())

const KEY = '/muster/leader/0123'
const SOON = { timeout: 6_000, interval: 50 }

/** Values are `term N`, and good when they say so. */
const rules: RecordRules = {
  fault: (key, value) => (key === KEY && text(value).startsWith('term ') ? null : 'forged'),
  newest: (values) => {
    const terms = values.map((value) => Number(text(value).slice(5)))
    return terms.indexOf(Math.max(...terms))
  },
}
const credulous: RecordRules = { fault: () => null, newest: () => 0 }

const start = (known: readonly Peer[] = [], judge: RecordRules = rules): Promise<Peer> =>
  peers.start({ dht: true, rules: judge, peers: known.map(({ address }) => address) })
const found = async (peer: Peer, key: string = KEY): Promise<string[]> =>
  (await peer.network.lookup(key)).map(text)

describe('the DHT', { timeout: 20_000 }, () => {
  it('a newcomer that knows one peer finds the value, and the others through it', async () => {
    const b = await start()
    const a = await start([b])
    a.network.publish(KEY, bytes('term 3'))
    await vi.waitFor(() => expect(a.count('network.dht.published')).toBe(1), SOON)
    const c = await start([b])
    expect(await found(c)).toContain('term 3')
    await vi.waitFor(() => expect([...c.network.connected()].sort()).toEqual([a.id, b.id].sort()), SOON)
  })

  it('a value waits for somebody to take it, and the newest takes the place of those before', async () => {
    const a = await start()
    a.network.publish(KEY, bytes('term 1'))
    a.network.publish(KEY, bytes('term 2'))
    expect(a.count('network.dht.published')).toBe(0)
    const b = await start([a])
    await vi.waitFor(async () => expect(new Set(await found(b))).toEqual(new Set(['term 2'])), SOON)
  })

  it('a look-up brings several answers, so that a stale one does not decide', async () => {
    const a = await start()
    const others = await Promise.all([1, 2, 3].map(() => start([a])))
    a.network.publish(KEY, bytes('term 4'))
    await vi.waitFor(() => expect(a.count('network.dht.published')).toBe(1), SOON)
    for (const peer of [a, ...others]) {
      await vi.waitFor(async () => expect((await found(peer)).length).toBeGreaterThanOrEqual(2), SOON)
    }
  })

  it('a forged value is stored by nobody and believed by nobody', async () => {
    const a = await start()
    const b = await start([a])
    const forger = await start([a, b], credulous)
    await vi.waitFor(() => expect(forger.network.connected()).toHaveLength(2), SOON)
    forger.network.publish(KEY, bytes('I am the leader'))
    await vi.waitFor(() => expect(a.count('network.dht.refused')).toBeGreaterThan(0), SOON)
    await vi.waitFor(() => expect(b.count('network.dht.refused')).toBeGreaterThan(0), SOON)
    expect(forger.count('network.dht.published')).toBe(0)
    // The forger itself keeps it and gives it out.
    expect([await found(a), await found(b)]).toEqual([[], []])
    a.network.publish(KEY, bytes('term 5'))
    await vi.waitFor(async () => expect(await found(b)).toContain('term 5'), SOON)
  })

  it('without it look-ups are empty and publishing is nothing', async () => {
    const a = await peers.start({ dht: false })
    a.network.publish(KEY, bytes('term 1'))
    expect(await found(a)).toEqual([])
  })

  it('where nobody knows, a look-up ends when it is told to', async () => {
    const a = await start()
    const startedAt = performance.now()
    expect(await a.network.lookup(KEY, AbortSignal.timeout(200))).toEqual([])
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })
})

describe('the store of the DHT', () => {
  type Key = Parameters<MemoryDatastore['put']>[0]
  const recordKey = (name: string): Key =>
    ({ toString: () => `/dht/record/${base32.baseEncode(bytes(name))}` }) as Key

  it('keeps a bounded number of records, and those that this node cares for', () => {
    const store = new DhtStore()
    store.keep('ours')
    store.put(recordKey('ours'), bytes('x'))
    for (let i = 0; i < 10 * RECORDS_MAX; i++) store.put(recordKey(`theirs ${i}`), bytes('y'))
    expect(store.has(recordKey('ours'))).toBe(true)
    const kept = Array.from({ length: 10 * RECORDS_MAX }, (_, i) => recordKey(`theirs ${i}`)).filter((key) =>
      store.has(key),
    )
    expect(kept).toHaveLength(RECORDS_MAX - 1)
    expect(store.has(recordKey(`theirs ${10 * RECORDS_MAX - 1}`))).toBe(true)
  })

  it('keeps no provider records, and everything else', () => {
    const store = new DhtStore()
    const [provider, peer] = ['/dht/provider/x/y', '/peers/x'].map(
      (path) => ({ toString: () => path }) as Key,
    )
    if (provider === undefined || peer === undefined) throw new Error('two paths, two keys')
    store.put(provider, bytes('x'))
    store.put(peer, bytes('x'))
    expect([store.has(provider), store.has(peer)]).toEqual([false, true])
  })
})
