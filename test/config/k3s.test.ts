import { afterAll, describe, expect, it } from 'vitest'
import { type NodeConfig, printableConfig } from '../../src/config.ts'
import { plainK3s } from '../../src/core/k3s.ts'
import { faultsOf, makeFiles, read, short, TOKEN } from './files.ts'

const files = makeFiles()
afterAll(() => files.remove())

const HASH = 'a'.repeat(64)
const OTHER = 'b'.repeat(64)
const PASSWORD = 'opensesame-opensesame'
const URL_K3S = 'https://get.example/v1.33.4%2Bk3s1/k3s'

const write = (...lines: readonly string[]): string =>
  files.write(
    'muster.yaml',
    ['muster:', `  token: ${TOKEN}`, '  distribution:', ...lines.map((line) => `    ${line}`), ''].join('\n'),
  )
const withKeys = (...lines: readonly string[]): NodeConfig => read([write(...lines)])
const k3sOf = (...lines: readonly string[]) => withKeys(...lines).settings.cluster.k3s
const faultsIn = (...lines: readonly string[]): readonly string[] => faultsOf([write(...lines)]).map(short)

describe('k3s', () => {
  it('needs nothing said: the machine’s own binary, and k3s’ defaults', () => {
    expect(k3sOf()).toEqual(plainK3s())
  })

  it('takes every key', () => {
    const { settings, k3s } = withKeys(
      'version: v1.33.4+k3s1',
      'bin: /opt/k3s',
      'bin_dir: /opt/bin',
      'data_dir: /data/k3s',
      `download: {amd64: {url: "${URL_K3S}", checksum: ${HASH}}, arm: {checksum: ${OTHER}}}`,
      `images: [{url: "https://get.example/i.tar.zst", checksum: ${HASH}}, {name: own.tar, checksum: ${OTHER}}]`,
      'args: ["--disable=traefik"]',
      'env: {HTTP_PROXY: "http://proxy", DEPTH: 3}',
      'replace_env: true',
      'agent: {args: [--x], replace_args: true}',
      'flannel: host-gw',
      'registry: true',
      `external_db: mysql://root:${PASSWORD}@tcp(db:3306)/k3s`,
      'kubevip: {eip: 192.0.2.9, mode: static-pod}',
      'rules: [{names: ["gpu-*"], labels: {gpu: true}}, {role: agent, taints: ["slow:NoSchedule"]}]',
      'hooks: {before: ["modprobe x"], after: ["touch /done"]}',
    )
    expect(settings.cluster.k3s).toEqual({
      version: 'v1.33.4+k3s1',
      artefacts: [
        { arch: 'amd64', url: URL_K3S, sha256: HASH },
        { arch: 'arm', url: null, sha256: OTHER },
      ],
      images: [
        { name: 'i.tar.zst', url: 'https://get.example/i.tar.zst', sha256: HASH },
        { name: 'own.tar', url: null, sha256: OTHER },
      ],
      server: {
        args: ['--disable=traefik'],
        env: { HTTP_PROXY: 'http://proxy', DEPTH: '3' },
        replaceArgs: false,
        replaceEnv: true,
      },
      agent: { args: ['--x'], env: {}, replaceArgs: true, replaceEnv: false },
      flannel: 'host-gw',
      registry: true,
      external: true,
      kubevip: {
        eip: '192.0.2.9',
        interface: null,
        mode: 'static-pod',
        version: 'v1.2.3',
        image: 'ghcr.io/kube-vip/kube-vip',
      },
      rules: [
        { match: { names: ['gpu-*'], role: null }, labels: { gpu: 'true' }, taints: [] },
        { match: { names: null, role: 'agent' }, labels: {}, taints: ['slow:NoSchedule'] },
      ],
    })
    expect(k3s).toMatchObject({
      bin: '/opt/k3s',
      binDirectory: '/opt/bin',
      dataDirectory: '/data/k3s',
      hooks: { before: ['modprobe x'], after: ['touch /done'] },
    })
  })

  it('is printed as it reads back, but for the password', () => {
    const original = withKeys(
      'version: v1.33.4+k3s1',
      `download: {amd64: {url: "${URL_K3S}", checksum: ${HASH}}}`,
      `images: [{url: "https://get.example/i.tar.zst", checksum: ${HASH}}]`,
      'args: ["--disable=traefik", "--cluster-cidr=10.52.0.0/16"]',
      'agent: {env: {A: b}}',
      'external_db: postgres://k3s@db',
      'kubevip: {eip: 192.0.2.9}',
      'rules: [{names: ["gpu-*"], labels: {gpu: "true"}}]',
      'hooks: {before: ["modprobe x"]}',
    )
    const printed = printableConfig(original)
    expect(printed).not.toContain('k3s@db')
    const written = printed.replace('"[secret]"', TOKEN).replace('"[secret]"', 'postgres://k3s@db')
    const again = read([files.write('again.yaml', written)])
    expect(again.settings).toEqual(original.settings)
    expect(again.k3s.externalDb?.reveal()).toBe('postgres://k3s@db')
    expect({ ...again.k3s, externalDb: null }).toEqual({ ...original.k3s, externalDb: null })
  })

  it.each([
    [
      'version: 1.33',
      '4 muster.distribution.version: must be a release of k3s such as v1.33.4+k3s1, not 1.33',
    ],
    [
      'version: latest',
      '4 muster.distribution.version: must be a release of k3s such as v1.33.4+k3s1, not "latest"',
    ],
    ['bin: k3s', '4 muster.distribution.bin: must be an absolute path'],
    ['flannel: wireguard', '4 muster.distribution.flannel: must be vxlan, host-gw or none, not "wireguard"'],
    ['env: [a]', '4 muster.distribution.env: must be a map of settings, not a list'],
    ['env: {"A B": c}', '4 muster.distribution.env.A B: is no name of an environment variable'],
    ['agent: {arg: []}', '4 muster.distribution.agent.arg: unknown key'],
    ['download: {riscv: {}}', '4 muster.distribution.download.riscv: unknown key'],
    [
      'rules: [{names: [a], labels: {"a b": c}}]',
      '4 muster.distribution.rules.0.labels.a b: is no name of a label',
    ],
    [
      'rules: [{names: [a], labels: {a: "b c"}}]',
      '4 muster.distribution.rules.0.labels.a: is no value of a label: "b c"',
    ],
    [
      'rules: [{names: [a], taints: ["gpu"]}]',
      '4 muster.distribution.rules.0.taints.0: must be key:Effect or key=value:Effect with NoSchedule, PreferNoSchedule or NoExecute, not "gpu"',
    ],
    ['rules: [{names: [a]}]', '4 muster.distribution.rules.0: gives no labels and no taints'],
    ['rules: [{name: a}]', '4 muster.distribution.rules.0.name: unknown key'],
    ['kubevip: {eip: vip}', '4 muster.distribution.kubevip.eip: is no IP address: "vip"'],
    [
      'kubevip: {eip: 10.86.0.9}',
      '4 muster.distribution.kubevip.eip: is in 10.86.0.0/16, the range of the mesh',
    ],
    [
      'kubevip: {interface: eth0}',
      '4 muster.distribution.kubevip.interface: means nothing without distribution.kubevip.eip',
    ],
  ])('refuses %s', (line, fault) => {
    expect(faultsIn(line)).toEqual([fault])
  })
})

describe('arguments', () => {
  it.each([
    ['--cluster-init', 'muster decides, once, who initialises and who joins whom'],
    ['--server=https://other:6443', 'muster decides, once, who initialises and who joins whom'],
    ['--token=abc', 'muster makes the tokens of k3s, and keeps them from the others'],
    ['-t', 'muster makes the tokens of k3s, and keeps them from the others'],
    ['--cluster-reset', 'only a person may reset a datastore'],
    ['--data-dir=/x', 'write muster.distribution.data_dir'],
    ['--datastore-endpoint=postgres://x', 'write muster.distribution.external_db, which is kept secret'],
    ['--flannel-backend=none', 'write muster.distribution.flannel'],
    ['--node-ip=10.0.0.1', 'muster takes it from the plan, the same on every machine'],
  ])('%s is refused, at its line, with what to do instead', (argument, why) => {
    const flag = /^--?[a-z-]+/.exec(argument)?.[0].replace(/^--?/, '')
    expect(faultsIn('args:', '  - --disable=traefik', `  - ${argument}`)).toEqual([
      `6 muster.distribution.args.1: --${flag} is not yours to give: ${why}`,
    ])
    expect(faultsIn(`agent: {args: ["${argument}"]}`)).toHaveLength(1)
  })

  it('with a value after a space are refused, for k3s would not know them', () => {
    expect(faultsIn('args: ["--write-kubeconfig-mode 0644"]')).toEqual([
      '4 muster.distribution.args.0: holds a space: write "--write-kubeconfig-mode=…", or the value as the next item',
    ])
  })

  it('that begin like a reserved one are others', () => {
    const args = ['--tls-san=a', '--kubelet-arg=v=2', '--token-ttl=1h', 'value', '--node-label=a=b']
    expect(k3sOf(`args: ${JSON.stringify(args)}`)?.server.args).toEqual(args)
  })

  it('in the environment are refused as well', () => {
    expect(faultsIn('env: {K3S_URL: "https://other:6443"}')).toEqual([
      '4 muster.distribution.env.K3S_URL: is not yours to give: muster decides, once, who initialises and who joins whom',
    ])
  })
})

describe('the ranges of pods and services', () => {
  const withVpn = (cidr: string, ...lines: readonly string[]): string => {
    const text = ['muster:', `  token: ${TOKEN}`, `  vpn: {cidr: ${cidr}}`, '  distribution:', ...lines]
    return files.write('ranges.yaml', `${text.join('\n')}\n`)
  }

  it('are k3s’ own unless told otherwise, and the mesh must not overlap with them', () => {
    expect(faultsOf([withVpn('10.42.0.0/16')]).map(short)).toEqual([
      '3 muster.vpn.cidr: 10.42.0.0/16 overlaps with 10.42.0.0/16, which k3s takes for pods',
    ])
    expect(faultsOf([withVpn('10.40.0.0/14')]).map(short)).toHaveLength(2)
  })

  it.each([
    ['["--cluster-cidr=10.86.128.0/17"]', '10.86.128.0/17 for pods', 0],
    ['["--disable=x", "--service-cidr", "10.0.0.0/8"]', '10.0.0.0/8 for services', 1],
    [
      '["--cluster-cidr=10.52.0.0/16,fd00::/56", "--service-cidr=10.86.0.0/24,fd01::/112"]',
      '10.86.0.0/24 for services',
      1,
    ],
  ])('in %s are told at their line', (args, what, index) => {
    expect(faultsOf([withVpn('10.86.0.0/16', `    args: ${args}`)]).map(short)).toContain(
      `5 muster.distribution.args.${index}: ${what} overlaps with 10.86.0.0/16, the range of the mesh`,
    )
  })

  it('moved away leave their old place to the mesh', () => {
    const args = '    args: ["--cluster-cidr=10.52.0.0/16", "--service-cidr=10.53.0.0/16"]'
    expect(read([withVpn('10.42.0.0/16', args)]).settings.cluster.vpnCidr).toBe('10.42.0.0/16')
  })

  it('may be what they like where there is no mesh', () => {
    const text = `muster: {token: ${TOKEN}, vpn: {mode: none}, distribution: {args: ["--cluster-cidr=10.86.0.0/16"]}}`
    expect(read([files.write('none.yaml', text)]).settings.cluster.vpnMode).toBe('none')
  })

  it('must be ranges, and two', () => {
    expect(faultsIn('args: ["--cluster-cidr=many"]')).toEqual([
      '4 muster.distribution.args.0: --cluster-cidr must be a prefix such as 10.52.0.0/16, not "many"',
    ])
    expect(faultsIn('args: ["--cluster-cidr=10.43.0.0/16"]')).toEqual([
      '4 muster.distribution.args.0: the ranges of pods and services overlap in 10.43.0.0/16',
    ])
  })

  it('of Kairos’ block are told at its line', () => {
    const text = `#cloud-config\nmuster: {token: ${TOKEN}}\nk3s:\n  args: ["--cluster-cidr 10.86.0.0/17"]\n`
    expect(faultsOf([files.write('cloud.yaml', text)]).map(short)).toEqual([
      '4 k3s.args: 10.86.0.0/17 for pods overlaps with 10.86.0.0/16, the range of the mesh',
    ])
  })
})

describe('a checksum', () => {
  const LIST = `${HASH}  k3s\n${OTHER} *dist/k3s-airgap-images-amd64.tar.zst\n`
  const sha = (checksum: string, url = URL_K3S): string | undefined =>
    k3sOf(
      'version: v1.33.4+k3s1',
      `download: {amd64: {url: "${url}", checksum: ${JSON.stringify(checksum)}}}`,
    )?.artefacts[0]?.sha256

  it('may be the hash, the release’s lines, or a file with them beside the configuration', () => {
    files.write('sha256sum-amd64.txt', LIST)
    expect([sha(HASH.toUpperCase()), sha(LIST), sha('sha256sum-amd64.txt')]).toEqual([HASH, HASH, HASH])
    expect(sha(LIST, 'https://get.example/a/k3s-airgap-images-amd64.tar.zst?x=1')).toBe(OTHER)
  })

  it('of a binary without a URL is that of the release’s name', () => {
    const list = JSON.stringify(`${HASH}  k3s\n${OTHER}  k3s-arm64\n`)
    const settings = k3sOf(
      'version: v1.33.4+k3s1',
      `download: {amd64: {checksum: ${list}}, arm64: {checksum: ${list}}}`,
    )
    expect(settings?.artefacts.map(({ sha256 }) => sha256)).toEqual([HASH, OTHER])
  })

  it.each([
    [
      `{url: "${URL_K3S}"}`,
      '5 muster.distribution.download.amd64.url: has no checksum: what is fetched must be known',
    ],
    [
      `{url: "https://get.example/other", checksum: "${HASH}  k3s"}`,
      '5 muster.distribution.download.amd64.checksum: has no line for "other"',
    ],
    [
      `{url: "${URL_K3S}", checksum: missing.txt}`,
      expect.stringMatching(/^5 muster.distribution.download.amd64.checksum: .*missing.txt does not exist$/),
    ],
    [
      `{url: "https://me:${PASSWORD}@get.example/k3s", checksum: ${HASH}}`,
      '5 muster.distribution.download.amd64.url: must not hold a user or a password',
    ],
    [
      `{url: "ftp://get.example/k3s", checksum: ${HASH}}`,
      '5 muster.distribution.download.amd64.url: must begin with https:// or http://',
    ],
  ])('%s is refused', (amd64, fault) => {
    expect(faultsIn('version: v1.33.4+k3s1', `download: {amd64: ${amd64}}`)).toEqual([fault])
  })

  it('without a release is refused: no rollout could go by it', () => {
    expect(faultsIn(`download: {amd64: {url: "${URL_K3S}", checksum: ${HASH}}}`)).toEqual([
      '4 muster.distribution.download: says where k3s is, but muster.distribution.version does not say which it is',
    ])
  })

  it('is there for every archive, and each has a name of its own', () => {
    expect(faultsIn('images: [{url: "https://get.example/i.tar"}]')).toEqual([
      '4 muster.distribution.images.0: has no checksum: what is fetched must be known',
    ])
    expect(faultsIn(`images: [{checksum: ${HASH}}]`)).toEqual([
      '4 muster.distribution.images.0: has neither url nor name',
    ])
    expect(faultsIn(`images: [{name: a, checksum: ${HASH}}, {name: a, checksum: ${OTHER}}]`)).toEqual([
      '4 muster.distribution.images: names "a" a second time',
    ])
  })
})

describe('a datastore that is somewhere else', () => {
  const ADDRESS = `postgres://k3s:${PASSWORD}@db.example/k3s`

  it('is a secret: in no print, no settings and no message', () => {
    const config = withKeys(`external_db: ${ADDRESS}`)
    expect(config.k3s.externalDb?.reveal()).toBe(ADDRESS)
    expect(printableConfig(config) + JSON.stringify(config)).not.toContain(PASSWORD)
    const [fault] = faultsOf([write(`external_db: db:${PASSWORD}`)])
    expect(fault?.message).toBe('must begin with mysql://, postgres://, nats://, https:// or http:// (etcd)')
    expect(JSON.stringify(fault)).not.toContain(PASSWORD)
  })

  it('may stand in a file of its own, and several of etcd may be one', () => {
    files.write('database', `# the datastore\n${ADDRESS}\n`)
    expect(withKeys('external_db_file: database').k3s.externalDb?.reveal()).toBe(ADDRESS)
    expect(k3sOf('external_db_file: database')?.external).toBe(true)
    expect(k3sOf('external_db: "https://a:2379,https://b:2379"')?.external).toBe(true)
  })

  it('that every user of the machine can read is warned of', () => {
    const warned = (config: NodeConfig): string[] => config.warnings.map(({ code }) => code)
    files.write('database', ADDRESS, 0o644)
    expect(warned(withKeys('external_db_file: database'))).toEqual(['config.secret-readable'])
    write(`external_db: ${ADDRESS}`)
    files.chmod('muster.yaml', 0o644)
    expect(warned(read([files.path('muster.yaml')]))).toEqual([
      'config.token-readable',
      'config.secret-readable',
    ])
    files.chmod('muster.yaml', 0o600)
  })

  it.each([
    [
      ['external_db: postgres://a', 'external_db_file: b'],
      /^5 .*external_db_file: names a file, and an address stands in/,
    ],
    [['external_db_file: missing'], /missing does not exist$/],
  ])('%j is refused', (lines, fault) => {
    expect(faultsIn(...lines)).toEqual([expect.stringMatching(fault)])
  })

  it('in a file that holds none is refused without repeating it', () => {
    files.write('wrong', PASSWORD)
    const [fault] = faultsOf([write('external_db_file: wrong')])
    expect(fault?.message).toMatch(/^must begin with/)
    expect(JSON.stringify(fault)).not.toContain(PASSWORD)
  })
})
