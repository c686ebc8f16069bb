/** People change who is in and who serves, with a real mesh and a real etcd. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import {
  type Cluster,
  createCluster,
  historyOf,
  PATIENCE_MS,
  startAll,
  untilReady,
  untilView,
} from './cluster.ts'

describe('a cluster of four with three servers', () => {
  let cluster: Cluster
  let hosts: readonly Host[]
  let servers: readonly Host[]
  let agent: Host

  beforeAll(async () => {
    cluster = await createCluster({
      name: 'members',
      hosts: 4,
      distribution: 'etcd',
      more: { promote: 'any', replace_after: '5s' },
    })
    hosts = [...cluster.lab.hosts]
    await startAll(hosts)
    const view = await untilReady(hosts)
    const roleOf = (host: Host) => view.get(host.index)?.self.role
    servers = hosts.filter((host) => roleOf(host) === 'server')
    const found = hosts.find((host) => roleOf(host) === 'agent')
    if (found === undefined || servers.length !== 3) throw new Error('not three servers and an agent')
    agent = found
  }, 2 * PATIENCE_MS)
  afterAll(() => cluster.lab.destroy())

  const server = (index: number): Host => {
    const host = servers[index]
    if (host === undefined) throw new Error('there are three servers')
    return host
  }

  it('an agent commands nothing', async () => {
    const { exitCode, stderr } = await agent.muster(['node', 'remove', server(0).name, '--yes'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('hint:')
  })

  it('a server that is dead for good is replaced: three healthy members again, its own gone', {
    timeout: 3 * PATIENCE_MS,
  }, async () => {
    const dead = server(0)
    await cluster.lab.powerOff(dead)
    const rest = hosts.filter((host) => host !== dead)
    const view = await untilView(
      rest,
      'the agent serves in its place',
      (seen) =>
        seen.size === 3 &&
        [...seen.values()].every(
          ({ self, distribution }) =>
            self.role === 'server' &&
            distribution.members.length === 3 &&
            distribution.members.every((member) => member.voter && member.healthy),
        ),
      2 * PATIENCE_MS,
    )
    for (const { distribution, nodes } of view.values()) {
      expect(distribution.members.map(({ name }) => name)).not.toContain(dead.name)
      expect(nodes.filter(({ role }) => role === 'server').map(({ name }) => name)).not.toContain(dead.name)
    }
    const causes = (await historyOf(agent)).map(({ cause }) => cause)
    expect(causes).toEqual(expect.arrayContaining(['datastore-left', 'left', 'promote', 'joined']))
  })

  it('a node that is revoked is out within ten seconds, and stays out', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    const [out, ...others] = hosts.filter((host) => host !== server(0))
    if (out === undefined) throw new Error('there are three hosts left')
    const address = (await out.status())?.self.address ?? ''
    const by = others[0]
    const ordered = await by?.muster(['node', 'revoke', out.name, '--yes', '--why', 'stolen'])
    expect(ordered?.exitCode, ordered?.stderr).toBe(0)
    await untilView(others, 'nobody knows it any more', (seen) =>
      [...seen.values()].every(({ nodes }) =>
        nodes.every(({ name, role }) => name !== out.name || role === 'pending'),
      ),
    )
    for (const host of others) {
      const { exitCode } = await host.exec(['ping', '-c', '1', '-W', '1', address])
      expect(exitCode).not.toBe(0)
    }
  })
})
