/** What dies comes back as itself, and what was made once is never made again. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import { until } from '../../sim/lab/until.ts'
import { commonLeader, leaderHost, type View } from '../../sim/lab/view.ts'
import { Watch } from '../../sim/lab/watch.ts'
import {
  type Cluster,
  createCluster,
  expectServes,
  genesisOf,
  historyOf,
  logged,
  PATIENCE_MS,
  startAll,
  untilReady,
  untilSeen,
  untilView,
  viewOf,
} from './cluster.ts'

/** Events of a formation, in the order in which they come: whoever logs one first is killed for it. */
const DEADLY = [
  'node.started',
  'node.found',
  'founding.candidate',
  'founding.propose',
  'cluster.founded',
  'cluster.joined',
  'leader.elected',
  'mesh.up',
  'act.permitted',
  'act.done',
  'datastore.healthy',
] as const

interface Kill {
  readonly host: Host
  readonly event: string
}

/** Kills a daemon right after its log shows the event for the first time, and starts it again. */
async function killFor(event: string, hosts: readonly Host[]): Promise<Kill> {
  const host = await until(
    `somebody logs ${event}`,
    () => hosts.find((each) => readFileSync(each.place.logFile, 'utf8').includes(`"event":"${event}"`)),
    {
      timeoutMs: PATIENCE_MS,
      everyMs: 2,
      describe: () => hosts.map((each) => each.log().slice(-2_000)).join('\n'),
    },
  )
  await host.kill9()
  await host.startDaemon()
  return { host, event }
}

describe('a formation in which daemons are killed', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await createCluster({ name: 'killed', hosts: 3, distribution: 'etcd' })
  })
  afterAll(() => cluster.lab.destroy())

  it('founds once; each keeps ID and address from the first to the last', {
    timeout: 4 * PATIENCE_MS,
  }, async () => {
    const { hosts } = cluster.lab
    const addresses = new Map<string, Set<string>>()
    const geneses = new Set<string>()
    const watch = new Watch(() => hosts)
    watch.onChange(({ after }) => {
      if (after === null) return
      const { self, cluster: seen } = after
      if (seen.id !== null) geneses.add(seen.id)
      if (self.address === null) return
      addresses.set(self.id, (addresses.get(self.id) ?? new Set()).add(self.address))
    })
    await startAll(hosts)
    watch.start()
    const kills: Kill[] = []
    for (const event of DEADLY) kills.push(await killFor(event, hosts))
    expect(kills).toHaveLength(DEADLY.length)
    const view = await untilReady(hosts, 2 * PATIENCE_MS)
    await watch.until('the watch to see it, too', (seen) => seen.size === hosts.length, PATIENCE_MS)
    watch.stop()

    expect(geneses).toEqual(new Set([genesisOf(view)]))
    for (const host of hosts) {
      const starts = logged(host, 'node.started')
      // Who is killed before saying that it started leaves no line: as many lines as kills are not owed.
      expect(starts.length).toBeGreaterThan(0)
      expect(new Set(starts.map((line) => line.id))).toEqual(new Set([view.get(host.index)?.self.id]))
      expect((await historyOf(host)).filter(({ cause }) => cause === 'initialised')).toHaveLength(1)
    }
    expect(addresses.size).toBe(3)
    expect([...addresses.values()].map((all) => all.size)).toEqual([1, 1, 1])
    await expectServes(hosts, view, 'after the kills')
  })
})

describe('a formed cluster', () => {
  let cluster: Cluster
  let hosts: readonly Host[]
  let formed: View

  beforeAll(async () => {
    cluster = await createCluster({ name: 'formed', hosts: 3, distribution: 'etcd' })
    hosts = cluster.lab.hosts
    await startAll(hosts)
    formed = await untilReady(hosts)
  }, 2 * PATIENCE_MS)
  afterAll(() => cluster.lab.destroy())

  /** The same cluster of the same nodes with the same addresses. */
  function expectSame(view: View): void {
    expect(genesisOf(view)).toBe(genesisOf(formed))
    const selves = (of: View) =>
      [...of.values()].map(({ self: { id, address, role, name } }) => ({ id, address, role, name }))
    expect(selves(view)).toEqual(selves(formed))
    for (const host of hosts) {
      expect(logged(host, 'cluster.founded').length + logged(host, 'cluster.joined').length).toBe(1)
    }
  }

  it.for(['SIGTERM', 'SIGKILL'] as const)(
    'goes on serving while its daemons are ended by %s, and they find the same etcd again',
    { timeout: 3 * PATIENCE_MS },
    async (signal) => {
      const pids = (): Promise<number[][]> => Promise.all(hosts.map((host) => host.processes('etcd')))
      const before = await pids()
      expect(before.map((all) => all.length)).toEqual([1, 1, 1])
      await Promise.all(hosts.map((host) => (signal === 'SIGTERM' ? host.stop() : host.kill9())))
      await expectServes(hosts, formed, `without daemons (${signal})`)
      await startAll(hosts)
      expectSame(await untilReady(hosts))
      expect(await pids()).toEqual(before)
    },
  )

  it('whose leader loses power has another, serves on, and gets it back as itself', {
    timeout: 3 * PATIENCE_MS,
  }, async () => {
    const before = await untilView(hosts, 'a leader', (view) => leaderHost(view) !== null)
    const dead = hosts.find((host) => host.index === leaderHost(before))
    if (dead === undefined) throw new Error('nobody leads')
    const deadId = before.get(dead.index)?.self.id
    const survivors = hosts.filter((host) => host !== dead)
    await cluster.lab.powerOff(dead)

    const view = await untilView(survivors, 'another leader, and the dead one known as such', (seen) => {
      const leader = seen.size === 2 ? commonLeader(seen) : null
      return (
        leader !== null &&
        leader !== deadId &&
        [...seen.values()].every(({ cluster: { state }, nodes, problems }) => {
          const silent = nodes.filter((node) => !node.alive).map((node) => node.id)
          return (
            state === 'degraded' &&
            silent.join() === deadId &&
            problems.some((problem) => problem.code === `node.silent.${dead.name}`)
          )
        })
      )
    })
    for (const { cluster: seen, nodes, self } of view.values()) {
      expect(seen.id).toBe(genesisOf(formed))
      expect(seen.term).toBeGreaterThan(before.get(dead.index)?.cluster.term ?? 0)
      expect(nodes.find((node) => node.id === seen.leader)).toMatchObject({ role: 'server', alive: true })
      expect(nodes.find((node) => node.id === self.id)).toMatchObject({ alive: true, path: 'self' })
    }
    await expectServes(survivors, view, 'without the leader')

    await cluster.lab.powerOn(dead)
    await dead.startDaemon()
    expectSame(await untilReady(hosts))
  })

  it('that lost power as a whole starts etcd from local knowledge, and is back with two of three', {
    timeout: 4 * PATIENCE_MS,
  }, async () => {
    await Promise.all(hosts.map((host) => cluster.lab.powerOff(host)))
    const [first, second, third] = hosts
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few hosts')

    await cluster.lab.powerOn(first)
    await first.startDaemon()
    await untilSeen([first], 'etcd runs', async () => (await first.processes('etcd')).length === 1)
    const alone = await first.untilStatus(
      'alone, it says what is missing',
      ({ problems }) => problems.some((problem) => problem.code === 'leader.none'),
      PATIENCE_MS,
    )
    expect(alone.cluster).toMatchObject({ id: genesisOf(formed), state: 'degraded', leader: null })
    const missing = alone.problems.find((problem) => problem.code === 'leader.none')
    // Named in the order of their identities.
    const orders = [`${second.name}, ${third.name}`, `${third.name}, ${second.name}`]
    expect(orders.map((names) => `no leader: 2 of 3 servers are needed, ${names} are silent`)).toContain(
      missing?.message,
    )

    await cluster.lab.powerOn(second)
    await second.startDaemon()
    const two = await untilView(
      [first, second],
      'a leader of two',
      (view) => view.size === 2 && commonLeader(view) !== null,
    )
    await expectServes([first, second], two, 'two of three')

    await cluster.lab.powerOn(third)
    await third.startDaemon()
    expectSame(await untilReady(hosts))
    await expectServes(hosts, await viewOf(hosts), 'all again')
  })
})
