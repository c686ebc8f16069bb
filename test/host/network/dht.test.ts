import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { MemoryDatastore } from 'datastore-core/memory'
import { base32 } from 'multiformats/bases/base32'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { RecordRules } from '../../../src/host/network/dht.ts'
import { DhtStore, PEERS_MAX, RECORDS_MAX } from '../../../src/host/network/dht-store.ts'
import { bytes, makePeers, type Peer, text } from './peers.ts'

const peers = makePeers()
afterEach(() => peers.end())

const KEY = '/muster/leader/0123'
/** Before what is waited for counts as missing: no statement about speed. */
const SOON = { timeout: 30_000, interval: 50 }

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

describe('the DHT', { timeout: 60_000 }, () => {
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
    for (const peer of [a, b]) {
      expect(peer.log.filter(({ event }) => event === 'network.dht.refused')).toHaveLength(1)
    }
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
    const told = new AbortController()
    const patient = a.network.lookup(KEY).then(() => 'the one that nobody ended')
    const ended = a.network.lookup(KEY, told.signal)
    told.abort()
    expect(await Promise.race([patient, ended])).toEqual([])
  })
})

describe('the store of the DHT', () => {
  type Key = Parameters<MemoryDatastore['put']>[0]
  const recordKey = (name: string): Key =>
    ({ toString: () => `/dht/record/${base32.baseEncode(bytes(name))}` }) as Key

  it('keeps a bounded number of records, and those that this node cares for', () => {
    const store = new DhtStore()
    const theirs = Array.from({ length: 10 * RECORDS_MAX }, (_, i) => recordKey(`/muster/leader/${i}`))
    store.keep('/muster/leader/ours')
    store.put(recordKey('/muster/leader/ours'), bytes('x'))
    for (const key of theirs) store.put(key, bytes('y'))
    expect(store.has(recordKey('/muster/leader/ours'))).toBe(true)
    expect(theirs.filter((key) => store.has(key))).toEqual(theirs.slice(1 - RECORDS_MAX))
  })

  it('keeps no records that are not muster’s', () => {
    const store = new DhtStore()
    for (const name of ['/pk/x', '/other/leader/x', 'x']) {
      store.put(recordKey(name), bytes('x'))
      expect(store.has(recordKey(name))).toBe(false)
    }
  })

  it('keeps a bounded number of peers, and this node itself', async () => {
    const store = new DhtStore()
    const self = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    const peerKey = (name: string): Key => ({ toString: () => `/peers/${name}` }) as Key
    const own = peerKey(self.toCID().toString())
    store.keepPeer(self)
    store.put(own, bytes('x'))
    const theirs = Array.from({ length: 2 * PEERS_MAX }, (_, i) => peerKey(`${i}`))
    for (const key of theirs) store.put(key, bytes('y'))
    expect(store.has(own)).toBe(true)
    expect(theirs.filter((key) => store.has(key))).toHaveLength(PEERS_MAX - 1)
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
