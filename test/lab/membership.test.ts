/** People change who is in and who serves, with a real mesh and a real etcd. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import { makeOperatorKey } from '../../src/cli/operator-key.ts'
import {
  type Cluster,
  createCluster,
  historyOf,
  PATIENCE_MS,
  startAll,
  untilReady,
  untilSeen,
  untilView,
} from './cluster.ts'

describe('a cluster of four with three servers', () => {
  let cluster: Cluster
  let hosts: readonly Host[]
  let servers: readonly Host[]
  let agent: Host
  const directory = mkdtempSync(join(tmpdir(), 'muster-operator-'))
  const key = join(directory, 'operator.pem')

  beforeAll(async () => {
    cluster = await createCluster({
      name: 'members',
      hosts: 4,
      distribution: 'etcd',
      more: { promote: 'any', replace_after: '5s', operators: [makeOperatorKey(key).operator] },
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
  afterAll(async () => {
    rmSync(directory, { recursive: true })
    await cluster.lab.destroy()
  })

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

  it('an operator does, on an agent too', { timeout: PATIENCE_MS }, async () => {
    const [, file = ''] = cluster.upWith('changed', { more: { max_nodes: 50 } })
    const apply = ['config', 'apply', file, '--yes']
    const unsigned = await agent.muster(apply)
    expect(unsigned.stderr).toContain('sign it with an operator key')
    const signed = await agent.muster([...apply, '--key', key])
    expect(signed.exitCode, signed.stderr).toBe(0)
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
      // The plan is known a moment before the mesh is as it says.
      await untilSeen([host], `${out.name} answers ${host.name} no more`, async () => {
        const { exitCode } = await host.exec(['ping', '-c', '1', '-W', '1', address])
        return exitCode !== 0
      })
    }

    // The token alone brings it back neither as itself nor under a new key: it waits for a person.
    const reset = await out.muster(['reset', '--yes'])
    expect(reset.exitCode, reset.stderr).toBe(0)
    await out.stop()
    await out.startDaemon()
    await untilView(
      hosts.filter((host) => host !== server(0)),
      'it waits to be let in',
      (seen) => {
        const id = seen.get(out.index)?.self.id
        return (
          id !== undefined &&
          [...seen.values()].every(({ nodes, self }) =>
            self.id === id
              ? self.role === 'pending' && self.stage === 'joining'
              : nodes.some((node) => node.id === id && node.role === 'pending'),
          )
        )
      },
    )
    const { stdout } = await out.exec(['ip', '-o', 'link'])
    expect(stdout).not.toContain('muster0')
  })
})
