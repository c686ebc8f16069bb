/** The driver's contract: one cluster from its first server to its upgrade. Its tests build on each other. */
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { DatastoreMember } from '../../src/core/orders.ts'
import { AGENT_SECRET, Driven, type K3sOrder, SECRET } from './driven.ts'
import { needing } from './ground.ts'
import { createMachines, type Machines } from './machines.ts'

const CONFIG = '/etc/rancher/k3s/config.yaml'

describe('servers that the driver runs', () => {
  let machines: Machines
  let a: Driven
  let b: Driven
  let c: Driven
  let d: Driven
  let all: Driven[]

  /** What the plan says once these are its members. */
  const known = (
    driven: Driven,
    members: readonly Driven[],
    more: Partial<K3sOrder> = {},
  ): Partial<K3sOrder> => {
    const selves = members.map(({ self }): DatastoreMember => self)
    return {
      clusterId: a.facts?.clusterId ?? null,
      members: selves.filter(({ name }) => name !== driven.self.name),
      servers: [...new Map([...selves, driven.self].map((self) => [self.name, self])).values()],
      ...more,
    }
  }
  const configOf = async (driven: Driven): Promise<string> =>
    (await driven.machine.host.exec(['sh', '-c', `cat ${CONFIG} ${CONFIG}.d/* 2>/dev/null`])).stdout

  beforeAll(async () => {
    machines = await createMachines('k3s-driven', 5)
    all = [1, 2, 3, 4, 5].map((index) => new Driven(machines.at(index)))
    ;[a, b, c, d] = all as [Driven, Driven, Driven, Driven]
  })
  afterAll(() => machines.lab.destroy())

  needing([], 'initialise once, and say so in no file that outlives a reboot', async () => {
    a.start().apply('initialise')
    const facts = await a.untilHealthy()
    expect(facts.clusterId).toMatch(/^[0-9a-f]{64}$/)
    expect(facts).toMatchObject({ voter: true, running: true, dataEpoch: 1, dataPresent: true })
    expect(await configOf(a)).not.toContain('cluster-init')
    a.apply('run', known(a, [a]))
    await a.untilReady()
    expect(await a.machine.voters()).toEqual(['node-1'])
  })

  needing([], 'join two at once, of whom but one is a learner at any moment', async () => {
    for (const joiner of [b, c]) joiner.start().apply('join', known(joiner, [a]))
    const learners: number[] = []
    await a.machine.until('three voters', async () => {
      const members = await a.machine.members()
      learners.push(members.filter(({ isLearner }) => isLearner).length)
      return members.length === 3 && members.every(({ isLearner }) => !isLearner)
    })
    expect(Math.max(...learners)).toBe(1)
    for (const joiner of [b, c]) expect((await joiner.untilHealthy()).clusterId).toBe(a.facts?.clusterId)
    for (const server of [a, b, c]) server.apply('run', known(server, [a, b, c]))
    for (const server of [a, b, c]) await server.untilReady()
    await a.until(
      'three healthy members',
      ({ members }) => members.filter((m) => m.voter && m.healthy).length === 3,
    )
  })

  needing([], 'have configurations that name another server, and none that says cluster-init', async () => {
    for (const server of [a, b, c]) {
      const text = await configOf(server)
      expect(text).toMatch(/^server: https:\/\/10\.77\.0\.[123]:6443$/m)
      expect(text).not.toContain(`server: https://${server.self.address}:`)
      expect(text).not.toContain('cluster-init')
      for (const { self } of [a, b, c]) expect(text).toContain(self.address)
    }
  })

  needing([], 'keep their secrets from everybody else, and in files of their own', async () => {
    const secrets = [SECRET, AGENT_SECRET].map((bytes) => Buffer.from(bytes).toString('hex'))
    for (const { machine, said } of [a, b, c]) {
      const { stdout } = await machine.host.exec([
        'sh',
        '-c',
        'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"; cat /run/lab/disk/muster/k3s.log',
      ])
      const tokens = await machine.host.exec([
        'sh',
        '-c',
        'cd /run/lab/disk/muster; for f in *-token; do cat $f; echo; done',
      ])
      const lines = tokens.stdout.split('\n').filter((line) => line !== '')
      // Joiners pin the authority; what a server takes from agents is a password alone.
      expect(lines.some((line) => line.startsWith(`K10${a.facts?.clusterId}::`))).toBe(true)
      const passwords = lines.map((line) => line.split(':').at(-1) ?? '')
      expect(new Set(passwords).size).toBe(2)
      for (const secret of [...secrets, ...passwords]) expect(stdout + said).not.toContain(secret)
      const modes = await machine.host.exec([
        'sh',
        '-c',
        'stat -c %a /run/lab/disk/muster/*-token /etc/rancher/k3s/config.yaml',
      ])
      expect(new Set(modes.stdout.trim().split('\n'))).toEqual(new Set(['600']))
    }
  })

  needing([], 'do not notice when a daemon dies: the next takes over what runs', async () => {
    const before = await b.machine.pids()
    await b.die()
    expect(await b.machine.pids()).toEqual(before)
    b.start().apply('run', known(b, [a, b, c]))
    await b.untilReady()
    expect(await b.machine.pids()).toEqual(before)
  })

  needing([], 'start k3s again that was killed, and it is the same member', async () => {
    const before = (await a.machine.members()).map(({ name }) => name).sort()
    await b.machine.kill()
    await b.until('down', ({ ready }) => !ready)
    await b.untilReady()
    expect((await a.machine.members()).map(({ name }) => name).sort()).toEqual(before)
  })

  needing(['node'], 'have agents, which go on through another server when theirs is gone', async () => {
    const agent = (members: readonly Driven[]): Partial<K3sOrder> => ({
      ...known(d, members),
      role: 'agent',
      secret: null,
    })
    const order = agent([b, a, c])
    d.start().apply('run', { ...order, servers: [a.self, b.self, c.self] })
    await d.untilReady()
    expect(d.facts).toMatchObject({ running: true, healthy: false, voter: false })
    await b.stop()
    await d.machine.kill()
    await d.until('down', ({ ready }) => !ready)
    await d.untilReady()
    b.start().apply('run', known(b, [a, b, c]))
    await b.untilReady()
  })

  needing(
    ['node'],
    'remove who left from Kubernetes and from the datastore, and take the name anew',
    async () => {
      await c.stop()
      for (const server of [a, b]) server.apply('run', known(server, [a, b], { gone: ['node-3'] }))
      await a.machine.until('its node and its member are gone', async () => {
        const [nodes, members] = await Promise.all([a.machine.nodes(), a.machine.members()])
        return nodes.every(({ name }) => name !== 'node-3') && members.length === 2
      })
      expect(
        await a.machine.raw('/api/v1/namespaces/kube-system/secrets/node-3.node-password.k3s'),
      ).toBeNull()
      await c.machine.wipe()
      await c.machine.host.exec(['rm', '-rf', '/run/lab/disk/muster'])
      for (const server of [a, b]) server.apply('run', known(server, [a, b]))
      c.start().apply('join', known(c, [a, b]))
      await c.untilHealthy()
      for (const server of [a, b, c]) server.apply('run', known(server, [a, b, c]))
      for (const server of [a, b, c]) await server.untilReady()
      expect((await a.machine.voters()).sort()).toEqual(['node-1', 'node-2', 'node-3'])
    },
  )

  needing(
    ['versions'],
    'change to the next version one by one, and lose no write that was acknowledged',
    async () => {
      const servers = [a, b, c]
      const urls = servers.map(({ self }) => `https://${self.address}:6443`)
      const writer = await a.machine.write('upgrade', urls)
      await writer.untilWritten(20)
      for (const server of servers) {
        await server.machine.install('next')
        const next = await server.machine.version()
        const settings = { ...server.order('run').settings, version: next }
        server.apply(
          'run',
          known(server, servers, { settings, revision: 2, prepare: { revision: 2, settings } }),
        )
        await server.until(
          'of the next version, and ready',
          ({ ready, version }) => ready && version === next,
        )
        const others = servers.filter((other) => other !== server)
        for (const other of others) await other.untilReady()
        await writer.untilWritten(writer.written + 20)
      }
      const count = await writer.end()
      const text = (await a.machine.raw('/api/v1/namespaces/default/configmaps')) ?? ''
      const names = new Set([...text.matchAll(/"name":"(upgrade-\d+)"/g)].map(([, name]) => name))
      for (let number = 1; number <= count; number++) expect(names).toContain(`upgrade-${number}`)
    },
  )

  needing(
    ['double'],
    'take in a joiner that is killed at any stage, once, under one name',
    async () => {
      const e = all[4]
      if (e === undefined) throw new Error('there is no fifth machine')
      for (const stage of [
        'bootstrapped',
        'listening',
        'member-added',
        'etcd-started',
        'voter',
        'api-ready',
      ]) {
        await e.machine.tell({ stages: { [stage]: { do: 'crash', times: 1 } } })
        e.start().apply('join', known(e, [a, b, c]))
        await e.untilHealthy()
        expect((await a.machine.voters()).filter((name) => name === 'node-5')).toHaveLength(1)
        expect(await a.machine.members()).toHaveLength(4)
        await e.stop()
        for (const server of [a, b, c]) server.apply('run', known(server, [a, b, c], { gone: ['node-5'] }))
        await a.machine.until('it is gone', async () => (await a.machine.members()).length === 3)
        for (const server of [a, b, c]) server.apply('run', known(server, [a, b, c]))
        await e.machine.wipe()
        await e.machine.host.exec(['rm', '-rf', '/run/lab/disk/muster'])
      }
    },
    170_000,
  )
})
