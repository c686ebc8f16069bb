/**
 * What muster's driver takes for true of k3s. Run on the double it shows that the double is one; run on the real
 * program it shows that the facts still hold.
 */
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { needing } from './ground.ts'
import { createMachines, type K3sMachine, type Machines, SHARED_SECRETS, serverAt } from './machines.ts'

/** Made once; its tests build on each other, as a cluster's days do. */
describe('k3s', () => {
  let machines: Machines
  let a: K3sMachine
  let b: K3sMachine
  let c: K3sMachine
  let d: K3sMachine
  /** `K10…::server:…` and what it pins. */
  let token: string
  let pin: string

  beforeAll(async () => {
    machines = await createMachines('k3s-facts', 4)
    ;[a, b, c, d] = [machines.at(1), machines.at(2), machines.at(3), machines.at(4)]
  })
  afterAll(() => machines.lab.destroy())

  needing([], 'refuses a flag of the command line that it does not know, in its own words', async () => {
    for (const role of ['server', 'agent']) {
      const { exitCode, stderr, stdout } = await a.run([role, '--no-such-flag'])
      expect(exitCode).toBe(1)
      expect(stdout + stderr).toContain('flag provided but not defined: -no-such-flag')
    }
  })

  needing([], 'says its version', async () => {
    expect((await a.run(['--version'])).stdout).toMatch(/^k3s version v\d+\.\d+\.\d+\+k3s\d+ \(/)
  })

  needing(
    [],
    'becomes a cluster of one with cluster-init, and answers /ping before it is ready',
    async () => {
      a.start('server', ['--cluster-init', ...SHARED_SECRETS])
      const ping = () => a.host.exec(['curl', '-sk', 'https://127.0.0.1:6443/ping'])
      let wasEarly = false
      await a.until(
        'ready',
        async () => {
          const isReady = await a.isReady()
          if (!isReady && (await ping()).stdout === 'pong') wasEarly = true
          return isReady
        },
        { everyMs: 20 },
      )
      expect(wasEarly).toBe(true)
      expect(await a.voters()).toEqual(['node-1'])
    },
  )

  needing([], 'writes a full token, whose pin is the hash of what /cacerts says', async () => {
    token = await a.token()
    pin = /^K10([0-9a-f]{64})::server:server-secret$/.exec(token)?.[1] ?? ''
    const { stdout } = await a.host.exec(['sh', '-c', 'curl -sk https://127.0.0.1:6443/cacerts | sha256sum'])
    expect(stdout.split(' ')[0]).toBe(pin)
  })

  needing([], 'does not let a joiner in that pins another authority, or has the wrong password', async () => {
    const bad = [
      [
        `K10${'0'.repeat(64)}::server:server-secret`,
        'token CA hash does not match the Cluster CA certificate hash',
      ],
      [`K10${pin}::server:wrong`, '401 Unauthorized'],
      // Who may join agents may not join servers.
      [`K10${pin}::server:agent-secret`, '401 Unauthorized'],
    ]
    for (const [given, words] of bad) {
      const { exitCode, stderr } = await b.run(['server', serverAt(a), `--token=${given}`])
      expect(exitCode).toBe(1)
      expect(stderr).toContain(words)
      await b.wipe()
    }
    expect(await a.members()).toHaveLength(1)
  })

  needing([], 'refuses a joiner whose ranges are others', async () => {
    const { exitCode, stderr } = await b.run([
      'server',
      serverAt(a),
      `--token=${token}`,
      '--cluster-cidr=10.99.0.0/16',
    ])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('critical configuration value mismatch')
    await b.wipe()
  })

  needing([], 'takes two servers that join at once one after the other, as learners first', async () => {
    const join = [`--token=${token}`, '--agent-token=agent-secret']
    for (const machine of [b, c]) machine.start('server', [serverAt(a), ...join])
    const learners: number[] = []
    await a.until('three voters', async () => {
      const members = await a.members()
      learners.push(members.filter(({ isLearner }) => isLearner).length)
      return members.length === 3 && members.every(({ isLearner }) => !isLearner)
    })
    expect(Math.max(...learners)).toBe(1)
    for (const machine of [b, c]) await machine.untilReady()
    expect((await a.voters()).sort()).toEqual(['node-1', 'node-2', 'node-3'])
    for (const machine of [b, c]) expect(await machine.token()).toBe(token)
  })

  needing(['node'], 'says of every server’s node that it is ready, and a voter', async () => {
    await a.until('three voters in their conditions', async () => {
      const nodes = await a.nodes()
      return (
        nodes.length === 3 &&
        nodes.every(({ conditions: { Ready, EtcdIsVoter } }) => Ready === 'True' && EtcdIsVoter === 'True')
      )
    })
  })

  needing([], 'says who the members are at /db/info to who has the server token only', async () => {
    const info = (user: string) =>
      d.host.exec([
        'curl',
        '-sk',
        ...(user === '' ? [] : ['-u', user]),
        `https://${a.host.address}:6443/db/info`,
      ])
    expect(JSON.parse((await info('server:server-secret')).stdout).members).toHaveLength(3)
    for (const user of ['', 'node:agent-secret', 'server:agent-secret'])
      expect((await info(user)).stdout).not.toContain('peerURLs')
  })

  needing([], 'lets nobody read the API without a certificate of its own authority', async () => {
    const { stdout } = await a.host.exec(['curl', '-sk', 'https://127.0.0.1:6443/api/v1/nodes'])
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'Status', code: 401 })
  })

  needing(['node'], 'takes an agent through any server, which then knows them all', async () => {
    d.start('agent', [serverAt(b), `--token=K10${pin}::node:agent-secret`])
    await a.until('node-4 ready', async () =>
      (await a.nodes()).some(({ name, conditions }) => name === 'node-4' && conditions.Ready === 'True'),
    )
    const known = '/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json'
    await d.until('it knows three servers', async () => {
      const { stdout } = await d.host.exec(['cat', known])
      return [a, b, c].every(({ host }) => stdout.includes(`${host.address}:6443`))
    })
  })

  needing(['node'], 'keeps an agent’s node ready when the server that it was told of is gone', async () => {
    await b.stop()
    await a.until('node-2 not ready', async () =>
      (await a.nodes()).some(({ name, conditions }) => name === 'node-2' && conditions.Ready !== 'True'),
    )
    expect((await a.nodes()).find(({ name }) => name === 'node-4')?.conditions.Ready).toBe('True')
    // Started again it has only what it remembers: the server of its command line does not answer.
    await d.kill()
    d.start('agent', [serverAt(b), `--token=K10${pin}::node:agent-secret`])
    const before = d.log().length
    await d.until('registered again', () => d.log().slice(before).includes('Successfully registered node'))
  })

  needing([], 'comes back from its log alone, whatever it is told of cluster-init and servers', async () => {
    const before = (await a.members()).map(({ name }) => name).sort()
    if (await b.isRunning()) await b.kill()
    b.start('server', [
      '--cluster-init',
      '--server=https://10.77.9.9:6443',
      `--token=${token}`,
      '--agent-token=agent-secret',
    ])
    await b.untilReady()
    expect((await b.members()).map(({ name }) => name).sort()).toEqual(before)
    expect(await b.token()).toBe(token)
  })

  needing([], 'does not serve data with another server token', async () => {
    await b.kill()
    const { exitCode, stderr } = await b.run(['server', `--token=K10${pin}::server:other`], 60_000)
    expect(exitCode).toBe(1)
    expect(stderr).toContain('encrypted with different token')
    b.start('server', [serverAt(a), `--token=${token}`, '--agent-token=agent-secret'])
    await b.untilReady()
  })

  needing([], 'makes a snapshot that ls shows', async () => {
    expect((await a.run(['etcd-snapshot', 'save', '--name=before'])).exitCode).toBe(0)
    expect((await a.run(['etcd-snapshot', 'ls'])).stdout).toMatch(/^before-node-1-\d+/m)
  })

  needing(
    ['node'],
    'refuses a wiped server of a known name, and takes it when its node was deleted',
    async () => {
      await c.kill()
      await c.wipe()
      const join = [serverAt(a), `--token=${token}`, '--agent-token=agent-secret']
      const { exitCode, stderr } = await c.run(['server', ...join])
      expect(exitCode).toBe(1)
      expect(stderr).toContain('duplicate node name found, please use a unique name for this node')
      await c.wipe()
      expect((await a.call('DELETE', '/api/v1/nodes/node-3')).status).toBe(200)
      await a.until('its member is gone, too', async () => (await a.members()).length === 2)
      c.start('server', join)
      await c.untilReady()
      expect((await a.voters()).sort()).toEqual(['node-1', 'node-2', 'node-3'])
    },
  )

  needing(['node'], 'refuses a wiped agent of a known name until its node is deleted', async () => {
    await d.kill()
    await d.wipe()
    d.start('agent', [serverAt(a), `--token=K10${pin}::node:agent-secret`])
    await d.until('refused', () => d.log().includes('Node password rejected'))
    expect((await a.call('DELETE', '/api/v1/nodes/node-4')).status).toBe(200)
    await d.until('taken', () => d.log().includes('Successfully registered node'))
  })

  needing(
    ['node'],
    'takes a removed member that starts again in as a new one: nothing keeps it out',
    async () => {
      const before = (await a.members()).find(({ node }) => node === 'node-2')?.name
      expect((await a.call('DELETE', '/api/v1/nodes/node-2')).status).toBe(200)
      await b.until('it knows that it is removed', () =>
        b
          .log()
          .includes('this node has been removed from the cluster please restart k3s to rejoin the cluster'),
      )
      await b.kill()
      b.start('server', [serverAt(a), `--token=${token}`, '--agent-token=agent-secret'])
      await b.untilReady()
      const after = (await a.members()).find(({ node }) => node === 'node-2')?.name
      expect(after).toMatch(/^node-2-/)
      expect(after).not.toBe(before)
    },
  )

  needing([], 'needs a majority, and has it again when one is back', async () => {
    for (const machine of [b, c]) await machine.kill()
    await a.until('not ready', async () => !(await a.isReady()))
    b.start('server', [serverAt(a), `--token=${token}`, '--agent-token=agent-secret'])
    await a.untilReady()
    await b.untilReady()
  })

  needing(
    [],
    'forgets all others when a person resets it, only once, and goes on with its data',
    async () => {
      const { status } = await a.call('POST', '/api/v1/namespaces/default/configmaps', {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: { name: 'kept' },
        data: { motto: 'one token' },
      })
      expect(status).toBe(201)
      // A reset keeps what this very member knows to be agreed, which may come a moment after the answer.
      expect(await a.raw('/api/v1/namespaces/default/configmaps/kept')).toContain('one token')
      for (const machine of [a, b]) await machine.kill()
      const reset = ['server', '--cluster-reset', `--token=${token}`, '--agent-token=agent-secret']
      const { exitCode, stderr } = await a.run(reset, 60_000)
      expect(exitCode).toBe(0)
      expect(stderr).toContain('Managed etcd cluster membership has been reset')
      expect((await a.run(reset, 60_000)).stderr).toContain('was previously reset')
      a.start('server', [`--token=${token}`, '--agent-token=agent-secret'])
      await a.untilReady()
      expect(await a.voters()).toEqual(['node-1'])
      expect(await a.raw('/api/v1/namespaces/default/configmaps/kept')).toContain('one token')
    },
  )
})
