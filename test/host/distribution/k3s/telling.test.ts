import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { digest, nodeId } from '../../../../src/core/ids.ts'
import { plainK3s } from '../../../../src/core/k3s.ts'
import {
  commandLine,
  configurationOf,
  configurationText,
  environmentOf,
  type K3sOrder,
  restartText,
  type Surroundings,
} from '../../../../src/host/distribution/k3s/configuration.ts'
import { isForKubelet, marksOf } from '../../../../src/host/distribution/k3s/labels.ts'
import { machineOf } from '../../../../src/host/distribution/k3s/machine.ts'
import { GIVEN, markPatch, parseTaint } from '../../../../src/host/distribution/k3s/marks.ts'
import { placesOf } from '../../../../src/host/distribution/k3s/places.ts'
import { rangeOverlap } from '../../../../src/host/distribution/k3s/ranges.ts'
import {
  agentPassword,
  caHash,
  pinned,
  serverPassword,
} from '../../../../src/host/distribution/k3s/tokens.ts'
import { environmentText, openrcScript, systemdUnit } from '../../../../src/host/distribution/k3s/unit.ts'

const member = (n: number) => ({ id: nodeId(`id-${n}`), name: `node-${n}`, address: `10.86.0.${n}` })
const places = placesOf({
  directory: '/var/lib/muster/k3s',
  runDirectory: '/run/muster.run',
  root: '/',
  dataDirectory: '/var/lib/rancher/k3s',
  binDirectory: null,
})

function orderOf(more: Partial<K3sOrder> = {}): K3sOrder {
  const settings = more.settings ?? plainK3s()
  return {
    kind: 'k3s',
    role: 'server',
    action: 'run',
    epoch: 1,
    genesis: digest('a1'.repeat(32)),
    self: member(1),
    members: [member(2), member(3)],
    servers: [member(1), member(2), member(3)],
    clusterId: 'c'.repeat(64),
    gone: [],
    evict: [],
    secret: new Uint8Array(32).fill(7),
    agentSecret: new Uint8Array(32).fill(9),
    settings,
    revision: 1,
    version: null,
    prepare: { revision: 1, settings },
    snapshot: null,
    ...more,
  }
}

const surroundings: Surroundings = {
  places,
  machine: { interface: 'muster0', lanAddress: '192.168.1.11', lanInterface: 'eth0', ranges: [] },
  target: '10.86.0.2',
  endpoint: null,
  isRooted: false,
}
const told = (more: Partial<K3sOrder> = {}, around: Partial<Surroundings> = {}): Record<string, unknown> =>
  parse(configurationText(configurationOf(orderOf(more), { ...surroundings, ...around })))

describe('config.yaml', () => {
  it('never says cluster-init, not even for who initialises', () => {
    const text = configurationText(
      configurationOf(orderOf({ action: 'initialise', members: [] }), { ...surroundings, target: null }),
    )
    expect(text).not.toContain('cluster-init')
    expect(commandLine(orderOf({ action: 'initialise' }), places, ['--cluster-init']).at(-1)).toBe(
      '--cluster-init',
    )
    expect(parse(text).server).toBeUndefined()
  })

  it('names another server, and holds files of tokens, never tokens', () => {
    expect(told()).toMatchObject({
      server: 'https://10.86.0.2:6443',
      'token-file': places.serverToken,
      'agent-token-file': places.agentToken,
      'node-ip': '10.86.0.1',
      'node-external-ip': ['192.168.1.11'],
      'flannel-iface': 'muster0',
      'flannel-backend': 'vxlan',
      'advertise-address': '10.86.0.1',
    })
    const text = JSON.stringify(told())
    for (const secret of [orderOf().secret, orderOf().agentSecret]) {
      expect(text).not.toContain(serverPassword(secret ?? new Uint8Array(), 1))
      expect(text).not.toContain(agentPassword(secret ?? new Uint8Array(), 1))
    }
  })

  it('lists every name and address that a client may use', () => {
    const kubevip = {
      eip: '192.168.1.100',
      interface: null,
      mode: 'manifest',
      version: 'v1',
      image: 'i',
    } as const
    expect(told({ settings: { ...plainK3s(), kubevip } })['tls-san']).toEqual([
      ...['10.86.0.1', 'node-1', '10.86.0.2', 'node-2', '10.86.0.3', 'node-3'],
      ...['192.168.1.11', '192.168.1.100', '127.0.0.1'],
    ])
  })

  it('of an agent has none of the keys that only servers know: k3s would refuse to start', () => {
    const keys = Object.keys(told({ role: 'agent' }))
    expect(keys).toEqual(
      expect.arrayContaining(['server', 'token-file', 'node-name', 'node-ip', 'data-dir', 'flannel-iface']),
    )
    for (const key of [
      'tls-san',
      'advertise-address',
      'agent-token-file',
      'flannel-backend',
      'embedded-registry',
    ])
      expect(keys).not.toContain(key)
  })

  it('leaves the network alone for who brings Cilium', () => {
    const cilium = told({ settings: { ...plainK3s(), flannel: 'none' } })
    expect(cilium).toMatchObject({ 'flannel-backend': 'none', 'disable-network-policy': true })
    expect(cilium['flannel-iface']).toBeUndefined()
  })

  it('gives way to arguments of people, whole where they replace, but not in what makes the cluster', () => {
    const args = { args: ['--flannel-backend=host-gw'], env: {}, replaceArgs: false, replaceEnv: false }
    const beside = told({ settings: { ...plainK3s(), server: args } })
    expect(beside['flannel-backend']).toBeUndefined()
    expect(beside['flannel-iface']).toBe('muster0')
    const instead = told({ settings: { ...plainK3s(), server: { ...args, replaceArgs: true } } })
    expect(instead['flannel-iface']).toBeUndefined()
    expect(instead['node-external-ip']).toBeUndefined()
    expect(instead).toMatchObject({ server: 'https://10.86.0.2:6443', 'node-ip': '10.86.0.1' })
  })

  it('says where an external datastore is, only where the settings want one', () => {
    const endpoint = 'mysql://user:password@tcp(db:3306)/k3s'
    expect(told({}, { endpoint })['datastore-endpoint']).toBeUndefined()
    expect(told({ settings: { ...plainK3s(), external: true } }, { endpoint })['datastore-endpoint']).toBe(
      endpoint,
    )
  })

  it('comes back whole through YAML, whatever a node is called', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/), (name) => {
        expect(told({ self: { ...member(1), name } })['node-name']).toBe(name)
      }),
    )
  })
})

describe('k3s is restarted', () => {
  const text = (more: Partial<K3sOrder> = {}, around: Partial<Surroundings> = {}): string => {
    const order = orderOf(more)
    return restartText(
      order,
      configurationOf(order, { ...surroundings, ...around }),
      environmentOf(order, '/bin'),
    )
  }

  it('neither for another server nor for another address of the LAN', () => {
    const machine = { ...surroundings.machine, lanAddress: '192.168.1.99' }
    expect(text({ servers: [member(1)], members: [] }, { target: '10.86.0.3', machine })).toBe(text())
  })

  it('for other arguments, environment, version or labels', () => {
    const plain = plainK3s()
    const server = { ...plain.server, args: ['--disable=traefik'] }
    const rules = [{ match: { names: null, role: null }, labels: { disk: 'ssd' }, taints: [] }]
    for (const more of [
      { settings: { ...plain, server } },
      { settings: { ...plain, server: { ...plain.server, env: { A: '1' } } } },
      { settings: { ...plain, rules } },
      { version: 'v1.34.1+k3s1' },
    ])
      expect(text(more)).not.toBe(text())
  })
})

describe('tokens', () => {
  it('are another for each epoch and purpose, and name the CA', () => {
    const secret = new Uint8Array(32).fill(1)
    const made = [serverPassword(secret, 1), serverPassword(secret, 2), agentPassword(secret, 1)]
    expect(new Set(made).size).toBe(3)
    for (const each of made) expect(each).toMatch(/^[0-9a-f]{64}$/)
    expect(pinned('ab', 'server', 'pw')).toBe('K10ab::server:pw')
  })

  it('take nothing for a CA that is none', () => {
    expect(caHash('')).toBeNull()
    expect(caHash('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')).toBeNull()
  })
})

describe('a machine', () => {
  const info = (address: string, cidr: string) => ({
    address,
    cidr,
    family: 'IPv4' as const,
    internal: false,
    mac: '',
    netmask: '',
  })

  it('is known to the LAN by the address of its default route, never by one of a CNI or the mesh', () => {
    const all = {
      cni0: [info('10.42.0.1', '10.42.0.1/24')],
      eth1: [info('172.16.0.9', '172.16.0.9/24')],
      eth0: [info('192.168.1.11', '192.168.1.11/24')],
      muster0: [info('10.86.0.1', '10.86.0.1/16')],
    }
    const machine = machineOf('10.86.0.1', all, 'eth0')
    expect(machine).toMatchObject({ interface: 'muster0', lanAddress: '192.168.1.11', lanInterface: 'eth0' })
    expect(machine.ranges.map(({ interface: name }) => name)).toEqual(['eth1', 'eth0', 'muster0'])
    expect(machineOf('192.168.1.11', { eth0: all.eth0 }, 'eth0')).toMatchObject({
      interface: 'eth0',
      lanAddress: null,
    })
    expect(machineOf('10.86.0.1', { eth0: all.eth0 }, null).interface).toBeNull()
  })

  it('must not have pods or services where something else is', () => {
    const mesh = [{ interface: 'muster0', cidr: '10.86.0.1/16' }]
    expect(rangeOverlap([], mesh, [])).toBeNull()
    expect(rangeOverlap(['--cluster-cidr=10.86.128.0/17'], mesh, [])).toMatchObject({ flag: 'cluster-cidr' })
    expect(rangeOverlap(['--service-cidr', '10.0.0.0/8'], mesh, [])?.with).toContain('muster0')
    expect(rangeOverlap([], [{ interface: 'eth0', cidr: '10.43.7.9/24' }], [])?.flag).toBe('service-cidr')
    expect(rangeOverlap([], [], [{ name: 'node-9', address: '10.42.3.4' }])?.with).toContain('node-9')
  })
})

describe('labels and taints by rule', () => {
  const rules = [
    { match: { names: ['edge-*'], role: null }, labels: { place: 'edge' }, taints: ['edge=yes:NoSchedule'] },
    { match: { names: null, role: 'server' as const }, labels: { place: 'core' }, taints: [] },
  ]

  it('go by name and role, the later rule over the earlier', () => {
    expect(marksOf(rules, 'edge-1', 'agent')).toEqual({
      labels: { place: 'edge' },
      taints: ['edge=yes:NoSchedule'],
    })
    expect(marksOf(rules, 'edge-1', 'server').labels).toEqual({ place: 'core' })
    expect(marksOf(rules, 'desk', 'agent')).toEqual({ labels: {}, taints: [] })
  })

  it('are registered by the kubelet only where it may', () => {
    expect(isForKubelet('disk')).toBe(true)
    expect(isForKubelet('example.com/disk')).toBe(true)
    expect(isForKubelet('topology.kubernetes.io/zone')).toBe(true)
    expect(isForKubelet('node-role.kubernetes.io/worker')).toBe(false)
  })

  const node = {
    name: 'edge-1',
    ready: true,
    isVoter: false,
    isServer: false,
    version: null,
    labels: { place: 'edge', own: 'mine' },
    annotations: { [GIVEN]: '{"labels":["place"],"taints":["edge=yes:NoSchedule"]}' },
    taints: [
      { key: 'edge', value: 'yes', effect: 'NoSchedule' },
      { key: 'own', effect: 'NoExecute' },
    ],
  }

  it('change nothing on a Node that is as it should be', () => {
    expect(markPatch(node, marksOf(rules, 'edge-1', 'agent'))).toBeNull()
    expect(
      markPatch({ ...node, annotations: {}, labels: {}, taints: [] }, { labels: {}, taints: [] }),
    ).toBeNull()
  })

  it('take away again what they gave, and nothing that people did', () => {
    expect(markPatch(node, { labels: {}, taints: [] })).toEqual({
      metadata: { labels: { place: null }, annotations: { [GIVEN]: null } },
      spec: { taints: [{ key: 'own', effect: 'NoExecute' }] },
    })
  })

  it('read taints with and without a value', () => {
    expect(parseTaint('a:NoExecute')).toEqual({ key: 'a', effect: 'NoExecute' })
    expect(parseTaint('a=b:NoSchedule')).toEqual({ key: 'a', value: 'b', effect: 'NoSchedule' })
    expect(parseTaint('a=b:Sometimes')).toBeNull()
  })
})

describe('units', () => {
  const place = {
    role: 'server' as const,
    binary: '/var/lib/muster/k3s/bin/k3s',
    args: ['server', '--config', '/etc/rancher/k3s/config.yaml', '--kubelet-arg=a b$c%d"e'],
    environmentFile: '/etc/systemd/system/k3s.service.env',
    run: '/run/muster.run/k3s',
    log: '/var/lib/muster/k3s/k3s.log',
  }

  it('wait for muster’s word, and read what is said once from /run', () => {
    const unit = systemdUnit(place)
    expect(unit).toContain('until [ -e /run/muster.run/k3s/may-run ]')
    expect(unit).toContain('EnvironmentFile=-/run/muster.run/k3s/start.env')
    expect(unit).toContain('Conflicts=k3s-agent.service')
    expect(unit).toMatch(/^ExecStart=.* "--kubelet-arg=a b\$\$c%%d\\"e" \$MUSTER_K3S_START$/m)
    expect(unit).not.toContain('cluster-init')
    const script = openrcScript(place)
    expect(script).toContain('until [ -e /run/muster.run/k3s/may-run ]')
    expect(script).not.toContain('cluster-init')
  })

  it('give the environment in a form that the shell reads back', () => {
    expect(environmentText({ A: 'x "y" $z `w` \\' })).toContain('A="x \\"y\\" \\$z \\`w\\` \\\\"\n')
  })
})
