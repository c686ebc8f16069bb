import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { plainK3s } from '../../../../src/core/k3s.ts'
import { checkOrder } from '../../../../src/host/distribution/k3s/check.ts'
import {
  commandLine,
  configurationOf,
  environmentOf,
  HEADER,
  restartText,
  type Surroundings,
} from '../../../../src/host/distribution/k3s/configuration.ts'
import { readData } from '../../../../src/host/distribution/k3s/data.ts'
import { foreignFiles, writeFiles } from '../../../../src/host/distribution/k3s/given-files.ts'
import type { Places } from '../../../../src/host/distribution/k3s/places.ts'
import { agentPassword, serverPassword } from '../../../../src/host/distribution/k3s/tokens.ts'
import { CA_HASH, k3sOrder, MACHINE, member, placesIn } from './order.ts'

let root: string
let places: Places
let around: Surroundings

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'muster-k3s-files-'))
  places = placesIn(root)
  around = { places, machine: MACHINE, target: null, endpoint: null, isRooted: false }
})
afterEach(() => rmSync(root, { recursive: true }))

const bob = member('bob', '10.86.0.2')
const put = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

describe('the configuration of k3s', () => {
  it.each(['initialise', 'join', 'run'] as const)('to %s never says cluster-init', (action) => {
    const target = action === 'initialise' ? null : bob.address
    const order = k3sOrder({ action, members: action === 'initialise' ? [] : [bob] })
    const configuration = configurationOf(order, { ...around, target })
    expect(Object.keys(configuration)).not.toContain('cluster-init')
    expect(commandLine(order, places, [])).toEqual(['server', '--config', places.config])
    expect(configuration.server).toBe(target === null ? undefined : 'https://10.86.0.2:6443')
  })

  it('tells a server who it is, by which names, and where everything lies', () => {
    const order = k3sOrder({ members: [bob], servers: [k3sOrder().self, bob] })
    expect(configurationOf(order, { ...around, target: bob.address })).toEqual({
      'data-dir': places.data,
      'node-name': 'ada',
      'node-ip': '10.86.0.1',
      'token-file': places.serverToken,
      'agent-token-file': places.agentToken,
      server: 'https://10.86.0.2:6443',
      'advertise-address': '10.86.0.1',
      'tls-san': ['10.86.0.1', 'ada', '10.86.0.2', 'bob', '192.168.7.4', '127.0.0.1'],
      'flannel-backend': 'vxlan',
      'flannel-iface': 'muster0',
      'node-external-ip': ['192.168.7.4'],
    })
  })

  it('tells an agent nothing of servers', () => {
    const order = k3sOrder({ role: 'agent', secret: null, members: [bob] })
    const configuration = configurationOf(order, { ...around, target: bob.address })
    expect(Object.keys(configuration).sort()).toEqual([
      'data-dir',
      'flannel-iface',
      'node-external-ip',
      'node-ip',
      'node-name',
      'server',
      'token-file',
    ])
    expect(configuration['token-file']).toBe(places.agentToken)
  })

  it('follows the settings', () => {
    const settings = {
      ...plainK3s(),
      flannel: 'none' as const,
      registry: true,
      external: true,
      kubevip: {
        eip: '192.168.7.100',
        interface: null,
        mode: 'manifest' as const,
        version: 'v0.9.2',
        image: 'ghcr.io/kube-vip/kube-vip',
      },
      rules: [
        {
          match: { names: null, role: null },
          labels: { 'example.org/a': '1', 'node-role.kubernetes.io/worker': '' },
          taints: ['a:NoSchedule'],
        },
      ],
    }
    const configuration = configurationOf(k3sOrder({ settings }), {
      ...around,
      endpoint: 'postgres://user:secret@db/k3s',
    })
    expect(configuration).toMatchObject({
      'flannel-backend': 'none',
      'disable-network-policy': true,
      'embedded-registry': true,
      'datastore-endpoint': 'postgres://user:secret@db/k3s',
      'node-label': ['example.org/a=1'],
      'node-taint': ['a:NoSchedule'],
    })
    expect(configuration['tls-san']).toContain('192.168.7.100')
    expect(configuration).not.toHaveProperty('flannel-iface')
  })

  it('gives way to arguments of people, wholly where they say so', () => {
    const plain = plainK3s()
    const args = ['--flannel-backend=host-gw', '--disable=traefik']
    const beside = { ...plain, server: { ...plain.server, args, env: { A: 'b' } } }
    expect(configurationOf(k3sOrder({ settings: beside }), around)).not.toHaveProperty('flannel-backend')
    expect(commandLine(k3sOrder({ settings: beside }), places, ['--cluster-init'])).toEqual([
      'server',
      '--config',
      places.config,
      ...args,
      '--cluster-init',
    ])
    expect(environmentOf(k3sOrder({ settings: beside }), '/bin')).toEqual({ PATH: '/bin', A: 'b' })
    const instead = { ...beside, server: { ...beside.server, replaceArgs: true, replaceEnv: true } }
    const configuration = configurationOf(k3sOrder({ settings: instead }), around)
    expect(configuration).not.toHaveProperty('node-external-ip')
    expect(configuration).toHaveProperty('token-file')
    expect(environmentOf(k3sOrder({ settings: instead }), '/bin')).toEqual({ A: 'b' })
  })

  it('is no reason to restart where only the others have changed', () => {
    const text = (order: ReturnType<typeof k3sOrder>, target: string | null): string =>
      restartText(order, configurationOf(order, { ...around, target }), {})
    const alone = k3sOrder()
    expect(text(k3sOrder({ members: [bob], servers: [alone.self, bob] }), bob.address)).toBe(
      text(alone, null),
    )
    const plain = plainK3s()
    const settings = { ...plain, server: { ...plain.server, args: ['--disable=traefik'] } }
    expect(text(k3sOrder({ settings }), null)).not.toBe(text(alone, null))
  })
})

describe('files of k3s', () => {
  const write = (order: ReturnType<typeof k3sOrder>): Promise<void> =>
    writeFiles(order, configurationOf(order, around), places, MACHINE)
  const read = (path: string): string => readFileSync(path, 'utf8').trim()

  it('are only root’s to read, and begin with whose they are', async () => {
    await write(k3sOrder())
    for (const path of [places.config, places.serverToken, places.agentToken]) {
      expect(statSync(path).mode & 0o777).toBe(0o600)
    }
    expect(read(places.config).startsWith(HEADER)).toBe(true)
    expect(parse(read(places.config))).toMatchObject({ 'node-name': 'ada' })
  })

  it('name the authority in full once there is one, and agents’ differ from servers’', async () => {
    await write(k3sOrder())
    const secret = new Uint8Array(32).fill(7)
    const password = serverPassword(secret, 1)
    expect(read(places.serverToken)).toBe(password)
    await write(k3sOrder({ clusterId: CA_HASH }))
    expect(read(places.serverToken)).toBe(`K10${CA_HASH}::server:${password}`)
    const agents = agentPassword(new Uint8Array(32).fill(9), 1)
    expect(read(places.agentToken)).toBe(agents)
    await write(k3sOrder({ role: 'agent', secret: null, clusterId: CA_HASH }))
    expect(read(places.agentToken)).toBe(`K10${CA_HASH}::node:${agents}`)
    expect(new Set([agents, password, agentPassword(secret, 1), serverPassword(secret, 2)]).size).toBe(4)
  })

  it('of people are moved aside, and that is told', async () => {
    put(places.config, 'cluster-init: true\n')
    await write(k3sOrder())
    expect(read(`${places.config}.before-muster`)).toBe('cluster-init: true')
    expect(await foreignFiles(places)).toMatchObject([{ code: 'k3s.file-aside', severity: 'info' }])
  })
})

describe('before anything is started', () => {
  const check = (order = k3sOrder(), endpoint: string | null = null): Promise<void> =>
    checkOrder(order, MACHINE, places, endpoint)
  const plain = plainK3s()
  const code = (name: string): object => ({ problem: { code: `k3s.${name}` } })

  it('a good order passes', async () => {
    await expect(check()).resolves.toBeUndefined()
  })

  it.each([
    ['a flag that is muster’s', { args: ['--cluster-init'], env: {} }],
    ['a variable that is muster’s', { args: [], env: { K3S_TOKEN: 'x' } }],
  ])('%s is refused', async (_what, said) => {
    const settings = { ...plain, server: { ...plain.server, ...said } }
    await expect(check(k3sOrder({ settings }))).rejects.toMatchObject(code('reserved-argument'))
  })

  it('a file beside the configuration cannot say it either', async () => {
    put(join(`${places.config}.d`, 'old.yaml'), 'cluster-init: true\n')
    await expect(check()).rejects.toMatchObject(code('reserved-argument'))
    put(join(`${places.config}.d`, 'old.yaml'), '[nonsense\n')
    await expect(check()).rejects.toMatchObject(code('unreadable-config'))
  })

  it('what is missing is told', async () => {
    const agent = k3sOrder({ role: 'agent', secret: null, agentSecret: null })
    await expect(check(agent)).rejects.toMatchObject(code('no-agent-secret'))
    const external = k3sOrder({ settings: { ...plain, external: true } })
    await expect(check(external)).rejects.toMatchObject(code('no-endpoint'))
    await expect(check(external, 'postgres://db')).resolves.toBeUndefined()
  })

  it('ranges that are in use are refused', async () => {
    const server = { ...plain.server, args: ['--cluster-cidr=192.168.0.0/16'] }
    await expect(check(k3sOrder({ settings: { ...plain, server } }))).rejects.toMatchObject(
      code('range-overlap'),
    )
  })
})

describe('data on the disk', () => {
  it.each([
    ['db/etcd/member/wal/0.wal', { isPresent: true, hasLog: true }],
    ['db/state.db', { isPresent: true, hasLog: false }],
    ['tls/server-ca.key', { isPresent: true, hasLog: false }],
    ['manifests/own.yaml', { isPresent: false, hasLog: false }],
    ['db/etcd/tombstone', { isPresent: false, isTombstone: true }],
  ])('%s', (file, state) => {
    put(join(places.server, file), 'x')
    expect(readData(places.server)).toMatchObject({ marker: null, ...state })
  })
})
