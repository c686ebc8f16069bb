/** Whoever comes later gets in with the token and one way to any node, and is an agent. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import { DISK_PATH } from '../../sim/lab/machine.ts'
import type { View } from '../../sim/lab/view.ts'
import {
  type Cluster,
  counted,
  createCluster,
  genesisOf,
  historyOf,
  logged,
  PATIENCE_MS,
  startAll,
  untilReady,
} from './cluster.ts'

/** The machine claims a terabyte of memory: libuv reads it here. */
const BOAST = [
  'sed "s/^MemTotal:.*/MemTotal: 1073741824 kB/" /proc/meminfo > "$1/meminfo"',
  'mount --bind "$1/meminfo" /proc/meminfo',
].join(' && ')

describe('a cluster of nine without multicast, whose machines know one written address', () => {
  let cluster: Cluster
  let founders: readonly Host[]
  let formed: View
  /** A founder that is no server: who knows it alone has to find the servers. */
  let agent: Host

  beforeAll(async () => {
    cluster = await createCluster({
      name: 'written',
      hosts: 9,
      discovery: { mdns: false, peers: ['10.77.0.1'] },
    })
    founders = [...cluster.lab.hosts]
    await startAll(founders)
    formed = await untilReady(founders)
    const found = founders.find((host) => formed.get(host.index)?.self.role === 'agent')
    if (found === undefined) throw new Error('all of them are servers')
    agent = found
  }, 2 * PATIENCE_MS)
  afterAll(() => cluster.lab.destroy())

  const discovery = (peer: Host) => ({ mdns: false, peers: [peer.address] })

  it('takes one that knows an agent only: it finds the leader through the DHT, and is an agent', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    const late = await cluster.lab.addHost()
    const { exitCode, stderr } = await late.exec(['sh', '-c', BOAST, 'sh', DISK_PATH])
    expect(exitCode, stderr).toBe(0)
    const upArguments = cluster.upWith('late', {
      discovery: discovery(agent),
      more: { server_preference: 'prefer' },
    })
    await late.startDaemon({ upArguments })
    const view = await untilReady([...founders, late])
    expect(genesisOf(view)).toBe(genesisOf(formed))
    expect(view.get(late.index)?.self.role).toBe('agent')
    expect(await counted(late, 'network.dht.lookup', { found: 'yes' })).toBeGreaterThan(0)
    for (const status of view.values()) {
      const servers = status.nodes.filter((node) => node.role === 'server').map((node) => node.id)
      const before = [...formed.values()]
        .filter(({ self }) => self.role === 'server')
        .map(({ self }) => self.id)
      expect(servers.toSorted()).toEqual(before.toSorted())
    }
    const admitted = (await historyOf(late)).filter(({ cause }) => cause === 'admitted')
    expect(admitted.map(({ node }) => node)).toEqual([view.get(late.index)?.self.id])
  })

  it('takes one whose token is pinned to it, and not one whose token is pinned to another', {
    timeout: 3 * PATIENCE_MS,
  }, async () => {
    const pin = async (genesis: string): Promise<string> => {
      const result = await agent.muster(['token', 'pin', '--token-file', '-', '--genesis', genesis], {
        input: `${cluster.token}\n`,
      })
      expect(result.exitCode, result.stderr).toBe(0)
      return result.stdout.trim()
    }
    const genesis = genesisOf(formed)
    const other = genesis.replace(/^./, (digit) => (digit === 'f' ? '0' : 'f'))
    const right = await cluster.lab.addHost()
    const wrong = await cluster.lab.addHost()
    const up = async (name: string, id: string) =>
      cluster.upWith(name, { token: await pin(id), discovery: discovery(agent) })
    await wrong.startDaemon({ upArguments: await up('wrong', other) })
    await right.startDaemon({ upArguments: await up('right', genesis) })
    const view = await untilReady(
      [...founders, right].filter((host) => host.running),
      PATIENCE_MS,
    )
    expect(view.get(right.index)?.self.role).toBe('agent')

    // It is connected, sees everyone with that other genesis, and yet stays out.
    const status = await wrong.untilStatus(
      'it sees the others',
      ({ nodes }) => nodes.length >= founders.length + 1,
      PATIENCE_MS,
    )
    expect(status.cluster.id).toBeNull()
    expect(status.self).toMatchObject({ stage: 'discovering', role: 'pending', address: null })
    expect(status.waitingFor.join()).toContain(`cluster ${other.slice(0, 12)}, which the token is pinned to`)
    expect(logged(wrong, 'cluster.joined')).toEqual([])
    const names = [...view.values()].flatMap(({ nodes }) => nodes.filter((node) => node.role !== 'pending'))
    expect(names.map((node) => node.id)).not.toContain(status.self.id)
  })
})

it('a machine that has multicast only joins', { timeout: 2 * PATIENCE_MS }, async ({ onTestFinished }) => {
  const { lab, host } = await createCluster({
    name: 'multicast',
    hosts: 2,
    expect: 1,
    discovery: { mdns: true, dht: false, peers: [] },
  })
  onTestFinished(() => lab.destroy())
  await host(1).startDaemon()
  const genesis = genesisOf(await untilReady([host(1)]))
  await host(2).startDaemon()
  const view = await untilReady(lab.hosts)
  expect(genesisOf(view)).toBe(genesis)
  expect(view.get(2)?.self.role).toBe('agent')
})
