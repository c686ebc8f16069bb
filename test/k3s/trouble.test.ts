/** The driver's contract, each test on a machine that no other has: what is lost, given up, or said wrongly. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { K3sSettings } from '../../src/core/k3s.ts'
import { Driven, GENESIS, STATE, serverArguments, settings } from './driven.ts'
import { needing } from './ground.ts'
import { createMachines, K3S, type Machines } from './machines.ts'

let machines: Machines

beforeAll(async () => {
  machines = await createMachines('k3s-trouble', 0)
})
afterAll(() => machines.lab.destroy())

let node: Driven
beforeEach(async () => {
  node = new Driven(await machines.add())
  return async () => {
    await node.stop()
    await machines.lab.powerOff(node.machine.host)
  }
})

describe('an initialiser', () => {
  const STAGES = ['start', 'bootstrapped', 'listening', 'etcd-started', 'voter', 'api-ready'] as const
  for (const stage of STAGES) {
    needing(['double'], `that is killed at the stage ${stage} goes on where it was`, async () => {
      await node.machine.tell({ stages: { [stage]: { do: 'crash', times: 1 } } })
      node.start().apply('initialise')
      const facts = await node.untilHealthy()
      expect(facts).toMatchObject({ dataEpoch: 1, voter: true })
      expect(facts.problems).toEqual([])
      expect(await node.machine.voters()).toEqual([node.self.name])
    })
  }

  needing([], 'whose power is cut before it is done goes on where it was', async () => {
    node.start().apply('initialise')
    await node.until('it runs', ({ running }) => running)
    await machines.lab.powerOff(node.machine.host)
    await machines.lab.powerOn(node.machine.host)
    node.start()
    expect((await node.until('facts', () => true)).dataEpoch).toBe(1)
    node.apply('initialise')
    await node.untilHealthy()
    expect(await node.machine.voters()).toEqual([node.self.name])
  })

  needing([], 'that the plan gave up moves its data aside and joins whom the next epoch named', async () => {
    node.start().apply('initialise')
    const before = (await node.untilHealthy()).clusterId
    const other = new Driven(await machines.add())
    other.start().apply('initialise', { epoch: 2 })
    const { clusterId } = await other.untilHealthy()
    expect(clusterId).not.toBe(before)
    other.apply('run', { epoch: 2, clusterId })
    node.apply('join', { epoch: 2, clusterId, members: [other.self] })
    const facts = await node.until('healthy again', ({ healthy, dataEpoch }) => healthy && dataEpoch === 2)
    expect(facts.clusterId).toBe(clusterId)
    expect(facts.problems.map(({ code }) => code)).toEqual(['datastore.moved-aside'])
    expect((await other.machine.voters()).sort()).toEqual([node.self.name, other.self.name].sort())
    await other.stop()
  })

  needing([], 'whose muster forgot everything finds its datastore again by its marker', async () => {
    node.start().apply('initialise')
    const { clusterId } = await node.untilHealthy()
    await node.stop()
    await node.machine.host.exec(['rm', '-rf', STATE])
    node.start()
    expect(await node.until('facts', () => true)).toMatchObject({ dataPresent: true, dataGenesis: GENESIS })
    node.apply('run', { clusterId })
    await node.untilReady()
    expect(node.facts?.clusterId).toBe(clusterId)
  })

  needing([], 'does not start beside data of another cluster', async () => {
    node.start().apply('initialise')
    await node.untilHealthy()
    node.apply('run', { genesis: GENESIS.replaceAll('a', 'b') as typeof GENESIS })
    expect(await node.untilProblem('datastore.foreign-data')).toContain('/var/lib/rancher/k3s/server')
    await node.until('ended', ({ running }) => !running)
  })
})

describe('what a person said wrongly is one problem that says where:', () => {
  /** No k3s was made a cluster of, and the problem is the only one. */
  async function expectOnly(code: string, ...words: string[]): Promise<void> {
    const text = await node.untilProblem(code)
    for (const word of words) expect(text).toContain(word)
    expect(node.facts?.problems.map((each) => each.code)).toEqual([code])
    expect(node.facts).toMatchObject({ healthy: false })
  }
  const initialise = (more: K3sSettings): void => node.start().apply('initialise', { settings: more })

  it('a flag that k3s does not know', async () => {
    initialise(serverArguments('--no-such-flag=1'))
    await expectOnly('k3s.unknown-flag', 'no-such-flag', 'k3s.args')
  })

  it.each(['--cluster-init', '--server=https://10.77.0.99:6443', '--token=x', '--node-ip=10.0.0.1'])(
    'a flag that is muster’s to say: %s',
    async (flag) => {
      initialise(serverArguments(flag))
      await expectOnly('k3s.reserved-argument', flag.split('=')[0] ?? '', 'k3s.args')
      expect(node.facts?.dataPresent).toBe(false)
    },
  )

  it('a range of pods that overlaps the machines’ own', async () => {
    initialise(serverArguments('--cluster-cidr=10.77.0.0/16'))
    await expectOnly('k3s.range-overlap', '10.77.0.0/16', '--cluster-cidr')
    expect(node.facts?.dataPresent).toBe(false)
  })

  it('a range that is none', async () => {
    initialise(serverArguments('--cluster-cidr=many'))
    await expectOnly('k3s.bad-argument', 'many')
  })

  it('a checksum that the program does not have', async () => {
    const arch = process.arch === 'x64' ? 'amd64' : process.arch === 'arm64' ? 'arm64' : 'arm'
    initialise(settings({ artefacts: [{ arch, url: null, sha256: '0'.repeat(64) }] }))
    await expectOnly('k3s.wrong-checksum', K3S, '0'.repeat(64))
  })

  it('a program for another architecture', async () => {
    const machine = process.arch === 'arm64' ? '\\076' : '\\267'
    const elf = `\\177ELF\\002\\001\\001\\000\\000\\000\\000\\000\\000\\000\\000\\000\\002\\000${machine}\\000`
    await node.machine.host.exec([
      'sh',
      '-c',
      `printf '${elf}' > /run/lab/disk/other && chmod 755 /run/lab/disk/other`,
    ])
    node.start('/run/lab/disk/other').apply('initialise')
    await expectOnly('k3s.wrong-architecture', '/run/lab/disk/other')
  })

  it('no program where one should be', async () => {
    node.start('/run/lab/disk/nothing').apply('initialise')
    await expectOnly('k3s.no-binary', '/run/lab/disk/nothing')
  })

  it('a version that the program is not', async () => {
    initialise(settings({ version: 'v1.20.0+k3s1' }))
    await expectOnly('k3s.wrong-version', 'v1.20.0+k3s1', await node.machine.version())
  })

  it.each([6443, 2379, 2380])('another program on port %i', async (port) => {
    const listen = `require("net").createServer().listen(${port}, "0.0.0.0")`
    const other = node.machine.host.spawn([process.execPath, '-e', listen])
    await node.machine.until('it listens', async () =>
      (await node.machine.host.exec(['ss', '-tln', `sport = :${port}`])).stdout.includes(`:${port}`),
    )
    node.start().apply('initialise')
    await expectOnly('datastore.port-taken', `${port}`, `ss -tlnp sport = :${port}`)
    other.kill('SIGKILL')
  })

  it('a datastore that has another authority than the plan says', async () => {
    node.start().apply('initialise')
    await node.untilHealthy()
    node.apply('run', { clusterId: 'c'.repeat(64) })
    expect(await node.untilProblem('k3s.ca-mismatch')).toContain('c'.repeat(16))
    expect(node.facts?.healthy).toBe(false)
  })
})
