/** One datastore of three on real etcd, from its first member to its last day. The tests build on each other. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, describe, expect, it } from 'vitest'
import { connectEtcd } from '../../../src/host/distribution/etcd-api.ts'
import { issueCredentials } from '../../../src/host/distribution/pki.ts'
import { commandLine, Lab, SECRET, until } from './lab.ts'

const lab = new Lab(1)
const [a, b, c, d] = [lab.member(1), lab.member(2), lab.member(3), lab.member(4)]
afterAll(() => lab.close(), 30_000)

const orders = (): { clusterId: string | null } => ({ clusterId: a.facts.clusterId })

describe('three machines', () => {
  it('become a datastore of one, two and three voters, one after the other', async () => {
    a.start().apply('initialise')
    await a.untilHealthy()
    expect(a.facts).toMatchObject({
      voter: true,
      running: true,
      dataPresent: true,
      dataEpoch: 1,
      problems: [],
    })
    expect(a.facts.version).toMatch(/^3\./)

    b.start().apply('join', { members: [a.self], ...orders() })
    c.start().apply('join', { members: [a.self], ...orders() })
    await b.untilHealthy()
    await c.untilHealthy()
    for (const member of [b, c]) {
      expect(member.facts.clusterId).toBe(a.facts.clusterId)
      expect(member.facts.voter).toBe(true)
      expect(member.events).toContain('datastore.promoted')
    }
    a.apply('run', { members: [b.self, c.self], ...orders() })
    b.apply('run', { members: [a.self, c.self], ...orders() })
    c.apply('run', { members: [a.self, b.self], ...orders() })
    await a.until(
      'three healthy voters',
      ({ members }) => members.filter((m) => m.healthy && m.voter).length === 3,
    )
    expect(a.facts.members.map(({ name }) => name).sort()).toEqual(['node-1', 'node-2', 'node-3'])
  }, 30_000)

  it('keep their keys to themselves: in no argument, no log, and no file that others can read', () => {
    for (const member of [a, b, c]) {
      const keys = join(member.runDirectory, 'etcd')
      expect(statSync(keys).mode & 0o777).toBe(0o700)
      for (const name of readdirSync(keys)) expect(statSync(join(keys, name)).mode & 0o777).toBe(0o600)
      const visible =
        commandLine(member.etcdPid ?? 0) + readFileSync(join(member.directory, 'etcd.log'), 'utf8')
      expect(visible).toContain('--data-dir=')
      expect(visible).not.toContain('PRIVATE KEY')
      for (const name of ['server.pem', 'peer.pem', 'client.pem']) {
        const lines = readFileSync(join(keys, name), 'utf8').split('\n')
        for (const line of lines.filter((text) => text.length > 40)) expect(visible).not.toContain(line)
      }
      expect(visible).not.toContain(Buffer.from(SECRET).toString('hex'))
      expect(visible).not.toContain(Buffer.from(SECRET).toString('base64'))
    }
  })

  it('serve the standard tools with the files in the run directory', async () => {
    const flags = (member: typeof a): string[] => {
      const keys = join(member.runDirectory, 'etcd')
      return ['--cacert', `${keys}/ca.pem`, '--cert', `${keys}/client.pem`, '--key', `${keys}/client.pem`]
    }
    const env = { ETCDCTL_API: '3' }
    await execa('etcdctl', ['--endpoints', a.clientUrl, ...flags(a), 'put', 'motto', 'one token'], { env })
    const { stdout } = await execa('etcdctl', ['--endpoints', c.clientUrl, ...flags(b), 'get', 'motto'], {
      env,
    })
    expect(stdout).toBe('motto\none token')
  })

  it('refuse whoever has a certificate of another authority, or none', async () => {
    const keys = await issueCredentials(join(lab.root, 'stranger'), new Uint8Array(32).fill(8), {
      name: 'stranger',
      address: '127.77.1.9',
    })
    const trusted = await issueCredentials(join(lab.root, 'friend'), SECRET, {
      name: 'friend',
      address: '127.77.1.9',
    })
    const stranger = connectEtcd({ ca: trusted.ca, client: keys.client })
    const fooled = connectEtcd({ ca: keys.ca, client: trusted.client })
    const friend = connectEtcd(trusted)
    try {
      await expect(stranger.members(a.clientUrl)).rejects.toMatchObject({ code: 'MUSTER_E_ETCD_UNREACHABLE' })
      await expect(fooled.members(a.clientUrl)).rejects.toMatchObject({ code: 'MUSTER_E_ETCD_UNREACHABLE' })
      expect((await friend.members(a.clientUrl)).members).toHaveLength(3)
    } finally {
      for (const api of [stranger, fooled, friend]) api.close()
    }
    await expect(fetch(`${a.clientUrl}/health`)).rejects.toThrow()
  })

  it('do not notice when a daemon dies: the next one takes the running etcd over', async () => {
    const pid = b.etcdPid
    await b.leave()
    expect(b.etcdPid).toBe(pid)
    b.start().apply('run', { members: [a.self, c.self], ...orders() })
    await b.untilHealthy()
    expect(b.etcdPid).toBe(pid)
    expect(b.events).toContain('datastore.adopted')
    expect(b.events).not.toContain('datastore.started')
  })

  it('start an etcd again that was killed, adopted or not', async () => {
    for (const member of [b, c]) {
      const pid = member.etcdPid ?? 0
      process.kill(pid, 'SIGKILL')
      await member.until('unhealthy', (facts) => !facts.healthy)
      await member.untilHealthy()
      expect(member.etcdPid).not.toBe(pid)
    }
  }, 20_000)

  it('go on with two of three, and the third comes back from its data alone', async () => {
    await c.stop()
    expect(c.etcdPid).toBeNull()
    await a.until('node-3 seen as missing', ({ members }) =>
      members.some((m) => m.name === 'node-3' && !m.healthy),
    )
    expect(a.facts.healthy).toBe(true)
    // No member is named: what it needs to know is on its disk.
    c.start().apply('run', orders())
    await c.untilHealthy()
    expect(c.facts.clusterId).toBe(a.facts.clusterId)
  }, 20_000)

  it('clear away the learner of a join that was given up, but not a fresh one, and never a voter', async () => {
    const api = await lab.api()
    await until('the cluster takes a learner', () =>
      api.addLearner(a.clientUrl, d.peerUrl).then(
        () => true,
        () => false,
      ),
    )
    const members = [b.self, c.self]
    a.apply('run', { members, ...orders(), evict: ['node-3', 'node-4'] })
    await a.until('the learner is seen', (facts) => facts.members.length === 4)
    expect(a.events).not.toContain('datastore.evicted')
    await a.until('the learner is gone', (facts) => facts.members.length === 3)
    expect(a.facts.members.map(({ name }) => name).sort()).toEqual(['node-1', 'node-2', 'node-3'])
    expect(a.events.filter((event) => event === 'datastore.evicted')).toHaveLength(1)
  }, 30_000)

  it('say who is missing when there is no quorum, keep the data, and come back', async () => {
    await Promise.all([b.stop(), c.stop()])
    await a.untilProblem('datastore.no-quorum')
    expect(a.facts).toMatchObject({ healthy: false, voter: true, running: true })
    const text = a.facts.problems.map(({ message }) => message).join()
    expect(text).toContain('node-2')
    expect(text).toContain('node-3')
    b.start().apply('run', orders())
    await b.untilHealthy()
    await a.until('healthy without problems', (facts) => facts.healthy && facts.problems.length === 0)
    const { stdout } = await execa(
      'etcdctl',
      [
        '--endpoints',
        b.clientUrl,
        ...['cacert', 'cert', 'key'].flatMap((flag) => [
          `--${flag}`,
          join(b.runDirectory, 'etcd', flag === 'cacert' ? 'ca.pem' : 'client.pem'),
        ]),
        'get',
        'motto',
      ],
      { env: { ETCDCTL_API: '3' } },
    )
    expect(stdout).toBe('motto\none token')
  }, 40_000)

  it('end etcd when it is ordered to stop, and leave its data', async () => {
    a.apply('stop')
    await a.until('stopped', (facts) => !facts.running)
    expect(a.etcdPid).toBeNull()
    expect(a.facts).toMatchObject({ dataPresent: true, dataEpoch: 1, problems: [] })
  }, 20_000)
})
