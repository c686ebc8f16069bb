import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { KAIROS_TABLE } from '../../src/config/kairos.ts'
import { ConfigError, type NodeConfig } from '../../src/config.ts'
import { plainK3s } from '../../src/core/k3s.ts'
import { EDGEVPN, EDGEVPN_YAML, faultsOf, makeFiles, read, short, TOKEN, tokenFor } from './files.ts'

const KIND = 'muster: {distribution: {kind: k3s}}'

function write(text: string): string {
  const files = makeFiles()
  onTestFinished(() => files.remove())
  return files.write('90_custom.yaml', `#cloud-config\n${text}\n`)
}

const readText = (text: string): NodeConfig => read([write(text)])

/** A cloud-config of Kairos with one more key, of `p2p:` or of another block. */
function withKey(key: string, value: string): string {
  const [block = '', ...path] = key.split('.')
  const nested = path.reduceRight((inner, name) => `{${name}: ${inner}}`, value)
  const token = `network_token: ${EDGEVPN}`
  if (block !== 'p2p') return `p2p: {${token}}\n${block}: ${nested}\n${KIND}`
  const own = path[0] === 'network_token' ? '' : `, ${token}`
  return `p2p: ${nested.slice(0, -1)}${own}}\n${KIND}`
}

/** What differs from a cloud-config with the token alone. */
function effect(key: string, value: string): Readonly<Record<string, unknown>> {
  const flat = ({ settings, discovery, k3s }: NodeConfig): Record<string, unknown> => {
    const { network, expect: machines, serverPreference, cluster } = settings
    return {
      network,
      expect: machines,
      serverPreference,
      servers: cluster.servers,
      vpnMode: cluster.vpnMode,
      dht: discovery.dht,
      ...cluster.k3s,
      externalDb: k3s.externalDb?.reveal(),
    }
  }
  const before = readText(`p2p: {network_token: ${EDGEVPN}}\n${KIND}`)
  const after = readText(withKey(key, value))
  const own = after.warnings.filter(
    ({ message }) => message.includes(`: ${key}: `) && !message.includes('token of EdgeVPN'),
  )
  const changed = Object.entries(flat(after)).filter(
    ([name, what]) => !isDeepStrictEqual(flat(before)[name], what),
  )
  return {
    ...Object.fromEntries(changed),
    ...(own.length === 0 ? {} : { warns: own.map(({ code }) => code).join() }),
  }
}

const PLAIN = plainK3s().server
/** As Kairos has it where only the address is given. */
const VIP = {
  eip: '192.0.2.1',
  interface: null,
  mode: 'manifest',
  version: 'v1.2.3',
  image: 'ghcr.io/kube-vip/kube-vip',
}
const IGNORED = { warns: 'config.ignored' }
const SOME = { enabled: 'true', env: '{A: b}', args: '[--x]', replace_env: 'true', replace_args: 'true' }

/** Every entry of the table, with values and what becomes of them. */
const CASES: readonly (readonly [key: string, value: string, effect: Readonly<Record<string, unknown>>])[] = [
  ['p2p.network_token', tokenFor(5), { network: 'shop-12', expect: 5 }],
  ['p2p.network_id', 'prod', { network: 'prod' }],
  ['p2p.network_id', 'Shop_12', { network: 'shop-12', warns: 'config.network-name' }],
  ['p2p.minimum_nodes', '3', { expect: 3, warns: 'config.minimum-nodes' }],
  ['p2p.role', 'master', { serverPreference: 'prefer', warns: 'config.role' }],
  ['p2p.role', 'worker', { serverPreference: 'never' }],
  ['p2p.role', 'none', { serverPreference: 'avoid', warns: 'config.role' }],
  ['p2p.role', '""', {}],
  ['p2p.disable_dht', 'true', { dht: false }],
  ['p2p.disable_dht', 'yes', { dht: false }],
  ['p2p.disable_dht', 'false', {}],
  ['p2p.vpn.create', 'false', { vpnMode: 'none' }],
  ['p2p.vpn.create', 'true', {}],
  ['p2p.vpn.use', 'false', { vpnMode: 'none' }],
  ['p2p.vpn.use', 'true', {}],
  ['p2p.vpn.env', '{EDGEVPNDHT: "false"}', IGNORED],
  ['p2p.vpn.env', '{}', {}],
  ['p2p.auto.ha.master_nodes', '2', { servers: 3 }],
  ['p2p.auto.ha.master_nodes', '4', { servers: 5 }],
  ['p2p.auto.ha.master_nodes', '6', { servers: 7 }],
  ['p2p.auto.ha.master_nodes', '1', { warns: 'config.servers' }],
  ['p2p.auto.ha.master_nodes', '3', { servers: 3, warns: 'config.servers' }],
  ['p2p.auto.ha.master_nodes', '9', { servers: 7, warns: 'config.servers' }],
  ['p2p.auto.ha.master_nodes', '0', {}],
  ['p2p.auto.ha.enable', 'true', { servers: 'auto', warns: 'config.servers' }],
  ['p2p.auto.ha.enable', 'false', {}],
  ['p2p.auto.ha.external_db', 'postgres://db', { external: true, externalDb: 'postgres://db' }],
  ['p2p.auto.ha.external_db', '""', {}],
  ['p2p.auto.enable', 'false', IGNORED],
  ['p2p.auto.enable', 'true', {}],
  ['p2p.dynamic_roles', 'true', IGNORED],
  ['p2p.dynamic_roles', 'false', {}],
  ['p2p.dns', 'true', IGNORED],
  ['p2p.dns', 'false', {}],
  ['p2p.loglevel', 'debug', IGNORED],
  ...['k0s', 'k0s-worker'].flatMap((block) =>
    Object.entries(SOME).map(([key, value]) => [`${block}.${key}`, value, IGNORED] as const),
  ),
  ['k3s.enabled', 'true', {}],
  ['k3s.enabled', 'false', {}],
  [
    'k3s.args',
    '["--disable=traefik", "--write-kubeconfig-mode 0644"]',
    {
      server: { ...PLAIN, args: ['--disable=traefik', '--write-kubeconfig-mode', '0644'] },
    },
  ],
  ['k3s.args', '[]', {}],
  ['k3s.env', '{A: b, N: 3}', { server: { ...PLAIN, env: { A: 'b', N: '3' } } }],
  ['k3s.replace_args', 'true', { server: { ...PLAIN, replaceArgs: true } }],
  ['k3s.replace_env', 'yes', { server: { ...PLAIN, replaceEnv: true } }],
  ['k3s.embedded_registry', 'true', { registry: true }],
  ['k3s-agent.enabled', 'true', {}],
  ['k3s-agent.args', '[--x]', IGNORED],
  ['k3s-agent.env', '{A: b}', IGNORED],
  ['k3s-agent.replace_args', 'true', {}],
  ['k3s-agent.replace_env', 'true', {}],
  ['kubevip.eip', '192.0.2.1', { kubevip: VIP }],
  ['kubevip.enable', 'true', IGNORED],
  ['kubevip.static_pod', 'true', {}],
  ['kubevip.interface', 'eth0', {}],
  ['kubevip.manifest_url', 'https://example.org', IGNORED],
  ['kubevip.version', 'v1.2.3', {}],
  ['kubevip.image', 'example.org/kube-vip', {}],
]

describe('the table of Kairos’ keys', () => {
  it.each(CASES)('%s: %s', (key, value, what) => {
    expect(effect(key, value)).toEqual(what)
  })

  it('has no entry that is not tested', () => {
    expect([...new Set(CASES.map(([key]) => key))].sort()).toEqual(KAIROS_TABLE.map(({ key }) => key).sort())
  })

  it.each([
    ['p2p.minimum_nodes', 'many', 'must be a whole number from 1 to 512, not "many"'],
    ['p2p.role', 'king', 'must be master, worker or none, not "king"'],
    ['p2p.disable_dht', '[1]', 'must be true or false, not a list'],
    ['p2p.auto.ha.master_nodes', '-1', 'must be a whole number from 0 to 64, not -1'],
    ['p2p.vpn', 'off', 'must be a map of settings, not "off"'],
    ['p2p.network_token', '[a]', 'must be a token, not a list'],
    ['kubevip', 'on', 'must be a map of settings, not "on"'],
    ['kubevip.eip', 'vip.example', 'must be an IP address, not "vip.example"'],
    [
      'p2p.auto.ha.external_db',
      'db',
      'must begin with mysql://, postgres://, nats://, https:// or http:// (etcd)',
    ],
    ['k3s.args', '--x', 'must be a list of arguments, not "--x"'],
    [
      'k3s.args',
      '["--tls-san=a", "--cluster-init"]',
      '--cluster-init is not yours to give: muster decides, once, who initialises and who joins whom',
    ],
    [
      'k3s.env',
      '{K3S_TOKEN: secret}',
      '"K3S_TOKEN" is not yours to give: muster makes the tokens of k3s, and keeps them from the others',
    ],
  ])('%s: %s is an error', (key, value, message) => {
    const [fault] = faultsOf([write(withKey(key, value))])
    expect(fault).toMatchObject({ key, message, line: key.startsWith('p2p') ? 2 : 3 })
  })
})

describe('p2p', () => {
  it('without ha means one server, and without minimum_nodes two machines, as in Kairos', () => {
    const { settings, warnings } = readText(`p2p: {network_token: ${EDGEVPN}}\n${KIND}`)
    expect(settings).toMatchObject({ network: 'kairos', expect: 2, cluster: { servers: 1 } })
    expect(warnings.map(({ code }) => code)).toEqual(['config.edgevpn-token', 'config.minimum-nodes'])
  })

  it('with ha switched off means one server, whatever master_nodes says', () => {
    const { settings } = readText(
      `p2p: {network_token: ${EDGEVPN}, minimum_nodes: 3, auto: {ha: {enable: false, master_nodes: 2}}}\n${KIND}`,
    )
    expect(settings.cluster.servers).toBe(1)
  })

  it('is overruled by muster in what that names, and in nothing else', () => {
    const { settings, discovery } = readText(
      [
        `p2p: {network_token: ${EDGEVPN}, network_id: prod, minimum_nodes: 3, role: master, disable_dht: true, vpn: {create: false}}`,
        `muster: {token: ${TOKEN}, servers: 3, vpn: {mode: wireguard}, discovery: {dht: true}}`,
      ].join('\n'),
    )
    expect(settings).toMatchObject({
      network: 'shop-12',
      expect: 3,
      serverPreference: 'prefer',
      cluster: { servers: 3, vpnMode: 'wireguard' },
    })
    expect(discovery.dht).toBe(true)
  })

  it('alone is a configuration: what runs is k3s', () => {
    const { settings } = readText(`p2p: {network_token: ${EDGEVPN}}`)
    expect(settings.cluster).toMatchObject({ distribution: 'k3s', k3s: plainK3s() })
  })

  it('without a token is no configuration', () => {
    expect(faultsOf([write(`p2p: {minimum_nodes: 3}\n${KIND}`)]).map(short)).toEqual([
      '- muster.token: is missing: there is no network token, and no token_file that names one',
    ])
  })

  it('that contradicts a token of muster in it is refused, for either may be meant', () => {
    const text = (line: string): string => write(`p2p:\n  network_token: ${TOKEN}\n  ${line}\n${KIND}`)
    expect(faultsOf([text('minimum_nodes: 5')])[0]).toMatchObject({
      line: 4,
      key: 'p2p.minimum_nodes',
      message: expect.stringMatching(/^is 5, but the token .* expects 3 machines$/),
    })
    expect(faultsOf([text('network_id: prod')])[0]).toMatchObject({
      line: 4,
      key: 'p2p.network_id',
      message: 'differs from the network that the token names, shop-12',
    })
    expect(read([text('network_id: shop-12')]).settings.network).toBe('shop-12')
  })

  it('keys that Kairos does not know are named, as it does not look at them either', () => {
    const { warnings } = readText(`p2p: {network_token: ${EDGEVPN}, minimum_nods: 3}\n${KIND}`)
    expect(warnings).toContainEqual(
      expect.objectContaining({
        code: 'config.ignored',
        message: expect.stringContaining('minimum_nods is no key'),
        hint: 'did you mean p2p.minimum_nodes?',
      }),
    )
  })

  it('is merged over several files, key by key', () => {
    const files = makeFiles()
    onTestFinished(() => files.remove())
    files.write('oem/1.yaml', `#cloud-config\np2p: {network_token: ${EDGEVPN}, minimum_nodes: 3}\n`)
    files.write('oem/2.yaml', `#cloud-config\np2p: {minimum_nodes: 4}\n${KIND}\n`)
    expect(read([], { root: files.directory }).settings.expect).toBe(4)
  })
})

describe('k3s-agent and kubevip', () => {
  const p2p = `p2p: {network_token: ${EDGEVPN}}`

  it('of agents count where enabled is true, as in Kairos', () => {
    const { settings } = readText(
      `${p2p}\nk3s-agent: {enabled: true, args: [--x], env: {A: b}, replace_args: true, replace_env: true}`,
    )
    expect(settings.cluster.k3s).toMatchObject({
      server: PLAIN,
      agent: { args: ['--x'], env: { A: 'b' }, replaceArgs: true, replaceEnv: true },
    })
  })

  it('of a virtual address say how it is kept', () => {
    const { settings } = readText(
      `${p2p}\nkubevip: {eip: 192.0.2.1, static_pod: true, interface: eth0, version: v0.9.0, image: example.org/vip}`,
    )
    expect(settings.cluster.k3s?.kubevip).toEqual({
      eip: '192.0.2.1',
      interface: 'eth0',
      mode: 'static-pod',
      version: 'v0.9.0',
      image: 'example.org/vip',
    })
    expect(
      readText(`${p2p}\nkubevip: {eip: 192.0.2.1, enable: false}`).settings.cluster.k3s?.kubevip,
    ).toBeNull()
  })

  it('are overruled by muster, key by key', () => {
    const { settings, k3s } = readText(
      [
        `p2p: {network_token: ${EDGEVPN}, role: worker, auto: {ha: {external_db: "postgres://theirs"}}}`,
        'k3s: {args: [--theirs], env: {THEIRS: "1"}, embedded_registry: true}',
        'kubevip: {eip: 192.0.2.1, interface: eth0}',
        'muster: {role: auto, distribution: {args: [--ours], registry: false, kubevip: {interface: eth1}, external_db: "postgres://ours"}}',
      ].join('\n'),
    )
    expect(settings.serverPreference).toBe('neutral')
    expect(settings.cluster.k3s).toMatchObject({
      server: { args: ['--ours'], env: { THEIRS: '1' } },
      registry: false,
      kubevip: { eip: '192.0.2.1', interface: 'eth1' },
    })
    expect(k3s.externalDb?.reveal()).toBe('postgres://ours')
  })

  it('mean nothing where muster says that something else is to run', () => {
    const { settings, warnings } = readText(
      `${p2p}\nk3s: {args: [--x]}\nkubevip: {eip: 192.0.2.1, enable: true}\nmuster: {distribution: {kind: etcd}}`,
    )
    expect(settings.cluster).toMatchObject({ distribution: 'etcd', k3s: null })
    const ignored = warnings.filter(({ code }) => code === 'config.ignored').map(({ message }) => message)
    expect(ignored).toHaveLength(3)
    for (const message of ignored) expect(message).toContain('because distribution.kind is etcd')
  })

  it('k0s asked for is refused, for k3s would take its place, unless muster says that it may', () => {
    const [fault] = faultsOf([write(`${p2p}\nk0s: {enabled: true}`)])
    expect(fault).toMatchObject({
      key: 'k0s.enabled',
      line: 3,
      message: expect.stringContaining('asks for k0s'),
    })
    expect(readText(`${p2p}\nk0s: {enabled: true}\n${KIND}`).settings.cluster.distribution).toBe('k3s')
  })
})

describe('a token of EdgeVPN', () => {
  const idOf = (yaml: string, id = 'prod'): string =>
    readText(`p2p: {network_token: ${Buffer.from(yaml).toString('base64')}, network_id: ${id}}\n${KIND}`)
      .settings.networkId

  it('makes one network of every machine that has it, however its YAML is written', () => {
    const flow = EDGEVPN_YAML.replaceAll('9223372036854775807', '360').replace(
      'max_message_size: 20971520\n',
      '',
    )
    expect(idOf(flow)).toBe(idOf(EDGEVPN_YAML))
  })

  it.each(['key: a', 'key: A', 'room: ', 'rendezvous: ', 'mdns: '])(
    'makes another network where %s differs',
    (part) => {
      expect(EDGEVPN_YAML).toContain(part)
      expect(idOf(EDGEVPN_YAML.replace(part, `${part}x`))).not.toBe(idOf(EDGEVPN_YAML))
    },
  )

  it('makes another network for every network_id, also for those that become one label', () => {
    expect(new Set(['prod-1', 'prod_1', 'Prod.1', 'test'].map((id) => idOf(EDGEVPN_YAML, id))).size).toBe(4)
  })

  it('may have static rendezvous and no one-time keys', () => {
    expect(idOf('room: aaaaaaaaaaaaaaaaaaaaaaaa\nrendezvous: bbbbbbbbbbbbbbbbbbbb\n')).toMatch(
      /^[0-9a-f]{64}$/,
    )
  })

  it('that can be guessed is warned of', () => {
    const weak = Buffer.from(
      '{otp: {dht: {interval: 360, key: a, length: 43}}, room: r, rendezvous: z}',
    ).toString('base64')
    const { warnings } = readText(`p2p: {network_token: ${weak}}\n${KIND}`)
    expect(warnings.map(({ code }) => code)).toContain('config.weak-token')
  })

  it('is not every text in base64', () => {
    for (const text of ['{}', 'hello', 'room: a', '[1, 2]', ': :']) {
      const token = Buffer.from(text).toString('base64')
      expect(() => readText(`p2p: {network_token: "${token}"}\n${KIND}`)).toThrow(ConfigError)
    }
  })
})
