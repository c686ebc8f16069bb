/**
 * What a driver of the datastore must do, with real members. `formation` is one datastore from its first member
 * to its last day, whose tests build on each other; each of the others has a machine of its own.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { until } from '../../../sim/lab/until.ts'
import { digest } from '../../../src/core/ids.ts'
import { connectEtcd } from '../../../src/host/distribution/etcd-api.ts'
import { issueCredentials } from '../../../src/host/distribution/pki.ts'
import {
  CLIENT_PORT,
  commandLine,
  ETCD,
  type EtcdOrder,
  GENESIS,
  Lab,
  type Member,
  occupy,
  PEER_PORT,
  processesWith,
  SECRET,
} from './lab.ts'

const OTHER_GENESIS = digest('b2'.repeat(32))

export function formationContract(): void {
  const lab = new Lab()
  const [a, b, c, d] = [lab.member(1), lab.member(2), lab.member(3), lab.member(4)]
  afterAll(() => lab.close())

  const known = (members: readonly Member[]): Partial<EtcdOrder> => ({
    clusterId: a.facts.clusterId,
    members: members.map(({ self }) => self),
  })
  const run = (member: Member, more: Partial<EtcdOrder> = {}): void =>
    member.apply('run', { ...known([a, b, c].filter((other) => other !== member)), ...more })

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

    b.start().apply('join', known([a]))
    c.start().apply('join', known([a]))
    await b.untilHealthy()
    await c.untilHealthy()
    for (const member of [b, c]) {
      expect(member.facts.clusterId).toBe(a.facts.clusterId)
      expect(member.facts.voter).toBe(true)
      expect(member.events).toContain('datastore.promoted')
    }
    for (const member of [a, b, c]) run(member)
    await a.until(
      'three healthy voters',
      ({ members }) => members.filter((m) => m.healthy && m.voter).length === 3,
    )
    expect(a.facts.members.map(({ name }) => name).sort()).toEqual(['node-1', 'node-2', 'node-3'])
  })

  it('listen on the address of the plan and nowhere else', () => {
    for (const member of [a, b, c]) {
      const listens = commandLine(member.etcdPid ?? 0)
        .split('\0')
        .filter((argument) => argument.startsWith('--listen-'))
      expect(listens.sort()).toEqual([
        `--listen-client-urls=${member.clientUrl}`,
        `--listen-peer-urls=${member.peerUrl}`,
      ])
    }
  })

  it('serve the standard tools with the files in the run directory', async () => {
    await a.etcdctl('put', 'motto', 'one token')
    expect(await c.etcdctl('get', 'motto')).toBe('motto\none token')
  })

  it('refuse whoever has a certificate of another authority, or none', async () => {
    const stranger = { name: 'stranger', address: d.self.address }
    const other = new Uint8Array(32).fill(8)
    const keys = await issueCredentials(join(lab.root, 'stranger'), other, stranger)
    const trusted = await issueCredentials(join(lab.root, 'friend'), SECRET, stranger)
    const asStranger = connectEtcd({ ca: trusted.ca, client: keys.client })
    const fooled = connectEtcd({ ca: keys.ca, client: trusted.client })
    const friend = connectEtcd(trusted)
    try {
      const unreachable = { code: 'MUSTER_E_ETCD_UNREACHABLE' }
      await expect(asStranger.members(a.clientUrl)).rejects.toMatchObject(unreachable)
      await expect(asStranger.members(a.peerUrl)).rejects.toMatchObject(unreachable)
      await expect(fooled.members(a.clientUrl)).rejects.toMatchObject(unreachable)
      expect((await friend.members(a.clientUrl)).members).toHaveLength(3)
    } finally {
      for (const api of [asStranger, fooled, friend]) api.close()
    }
    await expect(fetch(`${a.clientUrl}/health`)).rejects.toThrow()
  })

  it('do not notice when a daemon dies: the next one takes the running etcd over', async () => {
    const pid = b.etcdPid
    await b.leave()
    expect(b.etcdPid).toBe(pid)
    run(b.start())
    await b.untilHealthy()
    expect(b.etcdPid).toBe(pid)
    expect(b.events).toContain('datastore.adopted')
    expect(b.events).not.toContain('datastore.started')
    await b.until('its version', ({ version }) => version === a.facts.version)
  })

  it('start an etcd again that was killed, adopted or not', async () => {
    for (const member of [b, c]) {
      const pid = member.etcdPid
      await member.kill()
      await member.until('unhealthy', (facts) => !facts.healthy)
      await member.untilHealthy()
      expect(member.etcdPid).not.toBe(pid)
    }
  })

  it('go on with two of three, and the third comes back from its data alone', async () => {
    await c.stop()
    expect(c.etcdPid).toBeNull()
    await a.until('node-3 seen as missing', ({ members }) =>
      members.some((m) => m.name === 'node-3' && !m.healthy),
    )
    expect(a.facts.healthy).toBe(true)
    // No member is named: what it needs to know is on its disk.
    run(c.start(), { members: [] })
    await c.untilHealthy()
    expect(c.facts.clusterId).toBe(a.facts.clusterId)
  })

  it('are back after the power was cut everywhere, without anybody to ask', async () => {
    const { clusterId } = a.facts
    for (const member of [a, b, c]) await member.leave()
    for (const member of [a, b, c]) await member.kill()
    for (const member of [a, b, c]) member.start().apply('run', { clusterId })
    for (const member of [a, b, c]) await member.untilHealthy()
    expect(a.facts.clusterId).toBe(clusterId)
    expect(await b.etcdctl('get', 'motto')).toBe('motto\none token')
    for (const member of [a, b, c]) run(member)
  })

  it('clear away the learner of a join that was given up, and never a voter', async () => {
    const api = await lab.api()
    await until('the cluster takes a learner', () => api.addLearner(a.clientUrl, d.peerUrl))
    run(a, { evict: ['node-3', 'node-4'] })
    await a.until('the learner is seen', (facts) => facts.members.length === 4)
    await a.until('the learner is gone', (facts) => facts.members.length === 3)
    expect(a.facts.members.map(({ name }) => name).sort()).toEqual(['node-1', 'node-2', 'node-3'])
    expect(a.events.filter((event) => event === 'datastore.evicted')).toHaveLength(1)
    run(a)
  })

  it('take in a joiner whose daemon died at any step, without leaving anything behind', async () => {
    const order = d.order('join', known([a, b, c]))
    await d.dieWhile(order, null, lab.killer('nothing runs'))
    await until('nothing runs', () => d.etcdPid === null)
    await d.dieWhile(order, null, lab.killer('etcd runs'))
    d.start().apply('join', order)
    await d.untilHealthy()
    expect(d.events).toContain('datastore.adopted')
    expect(d.facts.members).toHaveLength(4)
    expect(d.facts.members.every(({ voter }) => voter)).toBe(true)
  })

  it('do not let a voter in again that lost its data, before somebody has removed it', async () => {
    await d.stop()
    d.wipe()
    d.start().apply('join', known([a, b, c]))
    expect(await d.untilProblem('datastore.stale-member')).toContain('node-4')
    expect(d.etcdPid).toBeNull()
    expect(a.facts.healthy).toBe(true)
    const api = await lab.api()
    const { members } = await api.members(a.clientUrl)
    const stale = members.find(({ name }) => name === 'node-4')
    await until('the member is removed', async () => {
      await api.remove(a.clientUrl, stale?.id ?? '')
      return true
    })
    await d.untilHealthy()
    expect(d.facts.problems).toEqual([])
    const again = (await api.members(a.clientUrl)).members.find(({ name }) => name === 'node-4')
    expect(again?.id).not.toBe(stale?.id)
  })

  it('that are removed say so, keep their data, and move it aside when they shall join again', async () => {
    d.apply('run', known([a, b, c]))
    await d.untilHealthy()
    const api = await lab.api()
    const { members } = await api.members(a.clientUrl)
    const removed = members.find(({ name }) => name === 'node-4')?.id ?? ''
    await until('the member is removed', async () => {
      await api.remove(a.clientUrl, removed)
      return true
    })
    expect(await d.untilProblem('datastore.member-removed')).toContain(d.directory)
    expect(d.facts).toMatchObject({ running: false, healthy: false, dataPresent: true })
    d.apply('join', known([a, b, c]))
    await d.untilHealthy()
    expect(d.facts.problems.map(({ code }) => code)).toEqual(['datastore.moved-aside'])
    expect(existsSync(join(d.directory, 'data.aside-1-1/etcd/member/wal'))).toBe(true)
    await until('node-4 is removed for good', async () => {
      const now = (await api.members(a.clientUrl)).members.find(({ name }) => name === 'node-4')
      await api.remove(a.clientUrl, now?.id ?? '')
      return true
    })
    await d.stop()
  })

  it('say that the quota is used up, and are healthy again when somebody has made room', async () => {
    await lab.raiseSpaceAlarm(a)
    for (const member of [a, b]) {
      expect(await member.untilProblem('datastore.no-space')).toContain('NOSPACE')
      expect(member.facts).toMatchObject({ running: true, healthy: false, voter: true })
    }
    await a.etcdctl('alarm', 'disarm')
    for (const member of [a, b, c]) await member.untilHealthy()
    await a.until('no problem', ({ problems }) => problems.length === 0)
  })

  it('say who is missing when there is no quorum, keep the data, and come back', async () => {
    await Promise.all([b.stop(), c.stop()])
    const text = await a.untilProblem('datastore.no-quorum')
    expect(a.facts).toMatchObject({ healthy: false, voter: true, running: true })
    expect(text).toContain('node-2')
    expect(text).toContain('node-3')
    run(b.start(), { members: [] })
    await b.untilHealthy()
    await a.until('healthy without problems', (facts) => facts.healthy && facts.problems.length === 0)
    expect(await b.etcdctl('get', 'motto')).toBe('motto\none token')
  })

  it('keep their keys to themselves: in no argument, environment, log or fact, and for nobody else to read', () => {
    run(c.start())
    const secrets = [Buffer.from(SECRET).toString('hex'), Buffer.from(SECRET).toString('base64')]
    for (const member of [a, b, c]) {
      const keys = join(member.runDirectory, 'etcd')
      expect(statSync(keys).mode & 0o777).toBe(0o700)
      for (const name of readdirSync(keys)) expect(statSync(join(keys, name)).mode & 0o777).toBe(0o600)
      for (const name of ['server.pem', 'peer.pem', 'client.pem']) {
        const [, key = ''] = readFileSync(join(keys, name), 'utf8').split('-----BEGIN PRIVATE KEY-----')
        secrets.push(...key.split('\n').filter((line) => line.length > 40))
      }
    }
    expect(secrets.length).toBeGreaterThanOrEqual(11)
    const logs = [a, b, c].map(({ directory }) => readFileSync(join(directory, 'etcd.log'), 'utf8'))
    const told = JSON.stringify([a, b, c, d].map(({ said }) => said))
    const seen = ['cmdline', 'environ'].flatMap((file) =>
      processesWith(lab.root).map((pid) => readFileSync(`/proc/${pid}/${file}`, 'utf8')),
    )
    const visible = [...logs, told, ...seen].join('\n')
    for (const expected of ['--data-dir=', 'datastore.started', 'PATH=']) expect(visible).toContain(expected)
    for (const secret of [...secrets, 'PRIVATE KEY']) expect(visible).not.toContain(secret)
  })

  it('end etcd when they are ordered to stop, or nothing is to run at all, and leave the data', async () => {
    a.apply('stop')
    b.driver.apply({ kind: 'none' })
    for (const member of [a, b]) {
      await member.until('stopped', (facts) => !facts.running)
      expect(member.etcdPid).toBeNull()
      expect(member.facts).toMatchObject({ dataPresent: true, dataEpoch: 1, problems: [] })
    }
  })
}

/** @param machine a machine that no other test has, of a lab that ends with the test */
export function machineContract(machine: () => { readonly lab: Lab; readonly node: Member }): void {
  describe('data on the disk', () => {
    const put = (node: Member, marker: object | string, log = '0.wal'): string => {
      const wal = join(node.directory, 'data/etcd/member/wal')
      mkdirSync(wal, { recursive: true })
      writeFileSync(join(wal, log), 'precious')
      const text = typeof marker === 'string' ? marker : JSON.stringify({ version: 1, ...marker })
      writeFileSync(join(node.directory, 'data/marker.json'), text)
      return join(wal, log)
    }

    it.each([
      ['of another cluster', { genesis: OTHER_GENESIS, epoch: 1 }],
      ['of a later epoch', { genesis: GENESIS, epoch: 2 }],
      ['with a marker that cannot be read', '{"version":1,"genesis":"a1'],
      ['with a marker of a later version', { version: 2, genesis: GENESIS, epoch: 1 }],
    ])('%s is not touched, whatever is ordered, and nothing is started beside it', async (_what, marker) => {
      const { node } = machine()
      const file = put(node, marker)
      node.start()
      expect(node.facts).toMatchObject({ dataPresent: true, running: false })
      for (const action of ['initialise', 'join', 'run'] as const) {
        // An order between, so that the next one's answer is not the last one's.
        node.driver.apply({ kind: 'none' })
        await node.until('quiet', ({ problems }) => problems.length === 0)
        node.apply(action)
        expect(await node.untilProblem('datastore.foreign-data')).toContain(join(node.directory, 'data'))
      }
      expect(readFileSync(file, 'utf8')).toBe('precious')
      expect(node.events).toEqual([])
      expect(node.etcdPid).toBeNull()
    })

    it('that is gone, where the plan has a member, is a problem, and nothing is made in its place', async () => {
      const { node } = machine()
      node.start().apply('run')
      expect(await node.untilProblem('datastore.no-data')).toContain(node.directory)
      expect(node.facts).toMatchObject({ dataPresent: false, running: false })
      expect(node.events).toEqual([])
    })

    it('of an epoch that the plan has given up is moved aside, each time anew, and never deleted', async () => {
      const { node } = machine()
      const first = put(node, { genesis: GENESIS, epoch: 1 })
      node.start().apply('initialise', { epoch: 2 })
      await node.untilHealthy()
      expect(node.facts).toMatchObject({ dataEpoch: 2, problems: [{ code: 'datastore.moved-aside' }] })
      const aside = first.replace('/data/', '/data.aside-1-1/')
      expect(readFileSync(aside, 'utf8')).toBe('precious')
      expect(node.facts.problems[0]?.message).toContain(join(node.directory, 'data.aside-1-1'))
      // Now another is to initialise, and this one shall join it: nobody is there yet.
      node.apply('join', { epoch: 3, members: [{ ...node.self, name: 'other', address: '127.0.0.9' }] })
      await node.untilProblem('datastore.no-member-reachable')
      expect(readFileSync(aside, 'utf8')).toBe('precious')
      expect(existsSync(join(node.directory, 'data.aside-2-1/etcd/member/wal'))).toBe(true)
      expect(node.facts).toMatchObject({ dataPresent: false, dataEpoch: 3, running: false })
      expect(node.etcdPid).toBeNull()
    })

    it('of another datastore of the same epoch is served to nobody as ours', async () => {
      const { node } = machine()
      node.start().apply('initialise')
      await node.untilHealthy()
      const { clusterId } = node.facts
      node.apply('run', { clusterId: 'abcdef' })
      expect(await node.untilProblem('datastore.wrong-cluster')).toContain(clusterId)
      expect(node.facts.healthy).toBe(false)
      node.apply('run', { clusterId })
      await node.untilHealthy()
    })
  })

  describe('a daemon that dies while it initialises', () => {
    it.each(['nothing runs', 'etcd runs'] as const)('(%s then) goes on where it was', async (then) => {
      const { lab, node } = machine()
      await node.dieWhile(node.order('initialise'), null, lab.killer(then))
      await until(then, () => (node.etcdPid === null) === (then === 'nothing runs'))
      node.start()
      expect(node.facts.dataEpoch).toBe(1)
      node.apply('initialise')
      await node.untilHealthy()
      expect(node.events.includes('datastore.adopted')).toBe(then === 'etcd runs')
      expect(node.facts).toMatchObject({ dataEpoch: 1, problems: [] })
      expect(node.facts.members).toHaveLength(1)
    })
  })

  describe('what stands in the way is said, and the datastore comes up when it is gone:', () => {
    it('no etcd', async () => {
      const { lab, node } = machine()
      const path = join(lab.root, `${node.self.name}-later/etcd`)
      node.start({ etcdBinary: path }).apply('initialise')
      expect(await node.untilProblem('datastore.no-etcd')).toContain(`${path} is not installed`)
      lab.program(`${node.self.name}-later`, `exec ${ETCD} "$@"`)
      await node.untilHealthy()
    })

    it('an etcd that cannot run', async () => {
      const { lab, node } = machine()
      const binary = lab.program(
        `${node.self.name}-broken`,
        'echo "error while loading shared libraries" >&2; exit 127',
      )
      node.start({ etcdBinary: binary }).apply('initialise')
      expect(await node.untilProblem('datastore.no-etcd')).toContain('error while loading shared libraries')
      lab.program(`${node.self.name}-broken`, `exec ${ETCD} "$@"`)
      await node.untilHealthy()
    })

    it.each(['3.3.25', '4.0.0'])('etcd %s, of which muster knows nothing', async (version) => {
      const { lab, node } = machine()
      const binary = lab.program(`${node.self.name}-other`, `echo "etcd Version: ${version}"; touch "$0.ran"`)
      node.start({ etcdBinary: binary }).apply('initialise')
      expect(await node.untilProblem('datastore.etcd-version')).toContain(`is etcd ${version}`)
      expect(node.facts.dataPresent).toBe(false)
      lab.program(`${node.self.name}-other`, `exec ${ETCD} "$@"`)
      await node.untilHealthy()
      expect(node.facts.version).toMatch(/^3\.[45]\./)
    })

    it.each([CLIENT_PORT, PEER_PORT])('another program on port %i', async (port) => {
      const { node } = machine()
      const leave = await occupy(node.self.address, port)
      node.start().apply('initialise')
      const text = await node.untilProblem('datastore.port-taken')
      expect(text).toContain(`TCP port ${port} of ${node.self.address}`)
      expect(text).toContain(`ss -tlnp sport = :${port}`)
      expect(node.facts.dataPresent).toBe(false)
      await leave()
      await node.untilHealthy()
    })

    it('an address that this machine does not have yet', async () => {
      const { node } = machine()
      const missing = { ...node.self, address: '203.0.113.9' }
      node.start().apply('initialise', { self: missing })
      expect(await node.untilProblem('datastore.address-missing')).toContain('203.0.113.9')
      node.apply('initialise')
      await node.untilHealthy()
    })

    it('a state directory that is none', async () => {
      const { lab, node } = machine()
      const directory = join(lab.root, `${node.self.name}-file`)
      writeFileSync(directory, '')
      node.start({ directory }).apply('initialise')
      expect(await node.untilProblem('datastore.directory-unusable')).toContain(directory)
    })

    it('an etcd that ends again and again', async () => {
      const { lab, node } = machine()
      const name = `${node.self.name}-ill`
      const version = `[ "$1" = --version ] && exec ${ETCD} --version`
      const words = '{"level":"fatal","msg":"discovery failed","error":"the moon is full"}'
      const binary = lab.program(name, `${version}\necho '${words}' >&2; exit 1`)
      node.start({ etcdBinary: binary }).apply('initialise')
      const text = await node.untilProblem('datastore.keeps-failing')
      expect(text).toContain('discovery failed: the moon is full')
      expect(text).toContain('code 1')
      expect(node.facts.running).toBe(false)
      lab.program(name, `${version}\nexec ${ETCD} "$@"`)
      await node.untilHealthy()
      expect(node.facts.problems).toEqual([])
    })

    it('a disk that is full', async () => {
      const { lab, node } = machine()
      const make = lab.fill(node)
      node.start().apply('initialise')
      expect(await node.untilProblem('datastore.no-space')).toContain('no space left')
      expect(node.facts.healthy).toBe(false)
      make.room()
      await node.untilHealthy()
    })
  })

  it('an order that says the same again starts nothing', async () => {
    const { node } = machine()
    node.start().apply('initialise')
    await node.untilHealthy()
    const { etcdPid, events } = node
    const before = [...events]
    node.apply('initialise')
    node.apply('run', { clusterId: node.facts.clusterId })
    await node.until('the run order is taken', (facts) => facts.healthy)
    expect(node.etcdPid).toBe(etcdPid)
    expect(node.events).toEqual(before)
  })

  it('of kind none nothing is looked for, made or run', async () => {
    const { node, lab } = machine()
    node.start({ etcdBinary: join(lab.root, 'nowhere/etcd') }).driver.apply({ kind: 'none' })
    await node.stop()
    expect(node.facts).toEqual({
      version: null,
      dataPresent: false,
      dataEpoch: null,
      dataGenesis: null,
      running: false,
      healthy: false,
      voter: false,
      ready: false,
      clusterId: null,
      members: [],
      nodes: [],
      revision: null,
      prepared: null,
      snapshot: null,
      problems: [],
    })
    expect(readdirSync(node.directory)).toEqual([])
    expect(existsSync(node.runDirectory)).toBe(false)
  })
}
