/** Whatever the order and however they are cut: one founding, or none. */
import { describe, expect, it, type TestContext } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import type { View } from '../../sim/lab/view.ts'
import type { StatusDocument } from '../../src/core/status.ts'
import {
  type Cluster,
  type ClusterOptions,
  counted,
  createCluster,
  genesisOf,
  historyOf,
  logged,
  PATIENCE_MS,
  startAll,
  untilReady,
  untilSeen,
  untilView,
} from './cluster.ts'

async function make({ onTestFinished }: TestContext, options: ClusterOptions): Promise<Cluster> {
  const cluster = await createCluster(options)
  onTestFinished(() => cluster.lab.destroy(), PATIENCE_MS)
  return cluster
}

/** Where several daemons made a genesis or a datastore, one of them would know nothing of the other. */
async function expectOneOfEach(hosts: readonly Host[], view: View): Promise<void> {
  const genesis = genesisOf(view)
  const founded = hosts.flatMap((host) => logged(host, 'cluster.founded'))
  expect(founded.map((line) => line.genesis)).toEqual([genesis])
  const joined = hosts.flatMap((host) => logged(host, 'cluster.joined'))
  expect(new Set(joined.map((line) => line.genesis))).toEqual(new Set([genesis]))
  for (const host of hosts) {
    const history = await historyOf(host)
    expect(history.filter(({ cause }) => cause === 'founded')).toHaveLength(1)
    expect(history.filter(({ cause }) => cause === 'initialised')).toHaveLength(1)
    expect(history.filter(({ cause }) => cause === 'joined')).toHaveLength(hosts.length - 1)
  }
}

const waitsFor = (status: StatusDocument | undefined, text: string): boolean =>
  status?.waitingFor.some((item) => item.includes(text)) ?? false

/** Since when it waits for that, as the status says; null where it does not. */
function waitingSince(status: StatusDocument | undefined, text: string): Date | null {
  const item = status?.waitingFor.find((line) => line.includes(text))
  const since = /\(since (\S+)\)/.exec(item ?? '')?.[1]
  return since === undefined ? null : new Date(since)
}

const isOlder = (since: Date | null, ms: number): boolean =>
  since !== null && Date.now() - since.getTime() > ms

/** Three times what a lab's machines wait for late ones. */
const LONG_MS = 6_000

describe('three machines', () => {
  it('started all at once found once and make one datastore', { timeout: 2 * PATIENCE_MS }, async (test) => {
    const { lab } = await make(test, { name: 'at-once', hosts: 3, distribution: 'etcd' })
    await startAll(lab.hosts)
    await expectOneOfEach(lab.hosts, await untilReady(lab.hosts))
  })

  it('started seconds apart, in any order, do likewise', { timeout: 2 * PATIENCE_MS }, async (test) => {
    const { lab, host } = await make(test, { name: 'in-turn', hosts: 3, distribution: 'etcd' })
    await host(3).startDaemon()
    await untilView([host(3)], 'alone for seconds', (view) =>
      isOlder(waitingSince(view.get(3), '2 more machines: 1 of 3 are here'), 3_000),
    )
    await host(1).startDaemon()
    await untilView([host(3), host(1)], 'two for seconds', (view) =>
      [1, 3].every((i) => isOlder(waitingSince(view.get(i), '1 more machine: 2 of 3 are here'), 3_000)),
    )
    await host(2).startDaemon()
    await expectOneOfEach(lab.hosts, await untilReady(lab.hosts))
  })

  it('with one host name join under unique names', { timeout: 2 * PATIENCE_MS }, async (test) => {
    const { lab } = await make(test, { name: 'twins', hosts: 3, hostName: () => 'twin' })
    await startAll(lab.hosts)
    const view = await untilReady(lab.hosts)
    const named = [...view.values()].map(({ self }) => self.name)
    expect(new Set(named).size).toBe(3)
    expect(named.filter((name) => name === 'twin')).toHaveLength(1)
    expect(named.every((name) => /^twin(-[a-z0-9]+)?$/.test(name))).toBe(true)
    const seen = [...view.values()].map(({ nodes }) => nodes.map((node) => node.name).join())
    expect(new Set(seen)).toEqual(new Set([named.toSorted().join()]))
  })
})

// They mostly wait, so they do it together.
describe.concurrent('with five expected', () => {
  it('two or three found nothing and say since when; the fourth makes it', {
    timeout: 3 * PATIENCE_MS,
  }, async (test) => {
    const { lab, host } = await make(test, { name: 'too-few', hosts: 5, expect: 5 })
    await startAll([host(1), host(2)])
    const few = (count: number, text: string) => (view: View) =>
      view.size === count &&
      [...view.values()].every((status) => isOlder(waitingSince(status, text), LONG_MS))
    const two = await untilView(lab.hosts.slice(0, 2), 'two wait', few(2, '3 more machines: 2 of 5 are here'))
    expect([...two.values()].map(({ cluster: { id, state } }) => [id, state])).toEqual(
      Array(2).fill([null, 'discovering']),
    )
    await host(3).startDaemon()
    const three = await untilView(
      lab.hosts.slice(0, 3),
      'three wait',
      few(3, '2 more machines: 3 of 5 are here'),
    )
    expect([...three.values()].map(({ cluster: { id, state } }) => [id, state])).toEqual(
      Array(3).fill([null, 'discovering']),
    )
    expect(lab.hosts.flatMap((each) => logged(each, 'founding.candidate'))).toEqual([])

    await host(4).startDaemon()
    const genesis = genesisOf(await untilReady(lab.hosts.slice(0, 4)))
    await host(5).startDaemon()
    const all = await untilReady(lab.hosts)
    expect(genesisOf(all)).toBe(genesis)
    expect(all.get(5)?.self.role).toBe('agent')
  })

  it('cut 1|4 during formation, four found and the fifth joins when the cut heals', {
    timeout: 3 * PATIENCE_MS,
  }, async (test) => {
    const { lab, host } = await make(test, { name: 'cut-1-4', hosts: 5, expect: 5 })
    const [alone, ...four] = lab.hosts
    if (alone === undefined) throw new Error('no hosts')
    await meet([host(1), host(2), host(3)])
    await lab.cut([alone], four)
    await startAll([host(4), host(5)])
    const genesis = genesisOf(await untilReady(four))
    expect((await alone.status())?.cluster.id).toBeNull()
    expect(logged(alone, 'cluster.founded')).toEqual([])

    await lab.heal()
    const all = await untilReady(lab.hosts)
    expect(genesisOf(all)).toBe(genesis)
    expect(all.get(1)?.self.role).toBe('agent')
  })

  it('cut 2|3 nobody founds, try as they may, until the cut heals', {
    timeout: 3 * PATIENCE_MS,
  }, async (test) => {
    const { lab, host } = await make(test, { name: 'cut-2-3', hosts: 5, expect: 5 })
    const sides = [
      [host(1), host(2)],
      [host(3), host(4), host(5)],
    ]
    // Each side knows enough of the other to think that there are four: it stands and asks in vain.
    await meet([host(1), host(3), host(4)])
    await lab.cut(...sides)
    await startAll([host(2), host(5)])
    const asked = async (side: readonly Host[]): Promise<number> => {
      const all = await Promise.all(side.map((each) => counted(each, 'founding.candidate')))
      return all.reduce((sum, count) => sum + count, 0)
    }
    for (const side of sides) await untilSeen(side, 'a candidate', async () => (await asked(side)) > 0)
    // Only when the last word of the other side is too old does one give up.
    const during = await untilView(
      lab.hosts,
      'both sides wait',
      (view) =>
        [1, 2].every((i) => waitsFor(view.get(i), '3 more machines: 2 of 5 are here')) &&
        [3, 4, 5].every((i) => waitsFor(view.get(i), '2 more machines: 3 of 5 are here')),
    )
    expect([...during.values()].map((status) => status.cluster.id)).toEqual(Array(5).fill(null))

    await lab.heal()
    genesisOf(await untilReady(lab.hosts))
  })
})

/** Starts these three of five, and waits until each knows the others: one more, and they could found. */
async function meet(three: readonly Host[]): Promise<void> {
  await startAll(three)
  await untilView(
    three,
    'three of five',
    (view) => view.size === 3 && [...view.values()].every((status) => waitsFor(status, '3 of 5 are here')),
  )
}
