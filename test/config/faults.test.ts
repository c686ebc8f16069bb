import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config.ts'
import { faultsOf, makeFiles, muster, read, short, TOKEN, tokenFor } from './files.ts'

const files = makeFiles()
afterAll(() => files.remove())

const faultsIn = (text: string | Uint8Array): readonly string[] =>
  faultsOf([files.write('muster.yaml', text)]).map(short)

const hintIn = (text: string): string | undefined => faultsOf([files.write('muster.yaml', text)])[0]?.hint

describe('a fault', () => {
  it('is shown as file, line, key and message, with a hint below', () => {
    const file = files.write('shown.yaml', muster('servers: 2'))
    expect(() => read([file])).toThrow(
      `${file}:4: muster.servers: must be auto, 1, 3, 5 or 7, not 2\n  hint: `,
    )
  })

  it('does not hide the others, of this file or of another', () => {
    const first = files.write(
      'first.yaml',
      muster('servers: 2', 'vpn: {mode: tunnel, prot: 1}', 'expect: none'),
    )
    const second = files.write('second.yaml', 'muster:\n  settle: soon\n  listne: []\n')
    expect(faultsOf([first, second]).map(short)).toEqual([
      '4 muster.servers: must be auto, 1, 3, 5 or 7, not 2',
      '5 muster.vpn.mode: must be wireguard or none, not "tunnel"',
      '5 muster.vpn.prot: unknown key',
      '6 muster.expect: must be a whole number from 1 to 512, not "none"',
      '2 muster.settle: must be a time from 0s to 60m, such as 10s or 2m, not "soon"',
      '3 muster.listne: unknown key',
    ])
  })

  it('has the line of the item in a list', () => {
    expect(faultsIn(muster('discovery:', '  peers:', '    - 10.0.0.1', '    - 10.0.0.300'))).toEqual([
      '7 muster.discovery.peers.1: is no address: "10.0.0.300"',
    ])
  })

  it('has the line of a key that came by an alias', () => {
    const text = `#cloud-config\nbase: &base\n  vpn:\n    mode: tunnel\nmuster: *base\n`
    expect(faultsIn(text)).toContain('4 muster.vpn.mode: must be wireguard or none, not "tunnel"')
  })

  it('is an error of its own kind with a code for scripts', () => {
    const file = files.write('coded.yaml', 'muster: 1\n')
    expect(() => read([file])).toThrow(ConfigError)
    expect(() => read([file])).toThrow(expect.objectContaining({ code: 'MUSTER_E_CONFIG' }))
  })
})

describe('an unknown key', () => {
  it.each([
    ['serves: 3', 'did you mean muster.servers?'],
    ['cidr: 10.9.0.0/16', 'did you mean muster.vpn.cidr?'],
    ['vpn: {port_number: 1}', 'known here: mode, cidr, interface, port'],
    ['vpn: {prot: 1}', 'did you mean muster.vpn.port?'],
    ['discovery: {peer: []}', 'did you mean muster.discovery.peers?'],
    ['discovery: {rendezvous: []}', 'known here: mdns, dht, peers'],
    ['tokenfile: x', 'did you mean muster.token_file?'],
  ])('%s is an error, and the nearest known is suggested', (line, hint) => {
    expect(hintIn(muster(line))).toBe(hint)
  })

  it('beside `muster:` is an error in a file of muster’s own', () => {
    expect(faultsIn(`token: ${TOKEN}\n${muster()}`)).toEqual(['1 token: stands outside of `muster:`'])
    expect(hintIn(`p2p: {}\n${muster()}`)).toBe(
      'a file with Kairos’ blocks begins with the line #cloud-config',
    )
  })

  it('beside `muster:` is somebody else’s in a cloud-config', () => {
    const file = files.write('cloud.yaml', `#cloud-config\nusers: [{name: a}]\nusers: twice\n${muster()}`)
    expect(read([file]).settings.expect).toBe(3)
  })
})

describe('a value', () => {
  it.each([
    ['expect: 0', '4 muster.expect: must be a whole number from 1 to 512, not 0'],
    ['expect: 2.5', '4 muster.expect: must be a whole number from 1 to 512, not 2.5'],
    ['expect: "3"', '4 muster.expect: must be a whole number from 1 to 512, not "3"'],
    ['servers: none', '4 muster.servers: must be auto, 1, 3, 5 or 7, not "none"'],
    ['admission: closed', '4 muster.admission: must be open or approve, not "closed"'],
    ['promote: all', '4 muster.promote: must be founders or any, not "all"'],
    ['replace_after: 3', '4 muster.replace_after: must be a time such as 10s, 500ms or 2m, not 3'],
    [
      'replace_after: 721h',
      '4 muster.replace_after: must be a time from 0s to 720h, such as 10s or 2m, not "721h"',
    ],
    [
      'operators: [me]',
      '4 muster.operators.0: is no public key of an operator: it begins with 12D3KooW, see `muster operator new`',
    ],
    ['role: server', '4 muster.role: must be auto or agent, not "server"'],
    ['max_nodes: 5000', '4 muster.max_nodes: must be a whole number from 1 to 4096, not 5000'],
    ['vpn: wireguard', '4 muster.vpn: must be a map of settings, not "wireguard"'],
    [
      'vpn: {interface: "a b"}',
      '4 muster.vpn.interface: must be the name of an interface: 1 to 15 letters, digits, _, . and -, not "a b"',
    ],
    ['vpn: {port: 0}', '4 muster.vpn.port: must be a whole number from 1 to 65535, not 0'],
    ['vpn: {cidr: 10.86.3.0/16}', '4 muster.vpn.cidr: must begin with its network address: 10.86.0.0/16'],
    ['discovery: {mdns: yes}', '4 muster.discovery.mdns: must be true or false, not "yes"'],
    ['discovery: {peers: 10.0.0.1}', '4 muster.discovery.peers: must be a list of addresses, not "10.0.0.1"'],
    ['founders: []', '4 muster.founders: names nobody, so that nobody could found'],
    [
      'founders: [me]',
      '4 muster.founders.0: is no node ID: it begins with 12D3KooW, see `muster status --json`, self.id',
    ],
    [
      'server_preference: always',
      '4 muster.server_preference: must be prefer, neutral or avoid, not "always"',
    ],
    ['settle: 10', '4 muster.settle: must be a time such as 10s, 500ms or 2m, not 10'],
    ['settle: 61m', '4 muster.settle: must be a time from 0s to 60m, such as 10s or 2m, not "61m"'],
    ['listen: []', '4 muster.listen: has no address to listen on'],
    ['listen: [node-1]', '4 muster.listen.0: must be an IP address of this machine, not "node-1"'],
    ['state: muster', '4 muster.state: must be an absolute path'],
    [`socket: /${'s'.repeat(120)}`, '4 muster.socket: must not be longer than 107 bytes'],
    ['max_nodes:', '4 muster.max_nodes: has no value: it must be a whole number from 1 to 4096'],
  ])('%s is refused', (line, fault) => {
    expect(faultsIn(muster(line))).toEqual([fault])
  })

  it('that must never be a server cannot wish to be one', () => {
    expect(faultsIn(muster('role: agent', 'server_preference: prefer'))).toEqual([
      expect.stringMatching(/^5 muster.server_preference: is prefer, but .*:4: muster.role says that/),
    ])
  })

  it('is checked against the others', () => {
    expect(faultsIn(muster('vpn: {cidr: 10.86.0.0/24}', 'max_nodes: 300'))).toEqual([
      '5 muster.max_nodes: is 300, but 10.86.0.0/24 has addresses for 254',
    ])
    expect(faultsIn(muster('max_nodes: 2'))).toEqual([
      '4 muster.max_nodes: leaves room for 2 nodes, but 3 are expected on the first day',
    ])
    expect(faultsIn(muster('founders: [12D3KooWLPwjdiBPdzh6tbB21ZBoCxPfxhzf64Thaaz1ZHTBrj9R]'))).toEqual([
      '4 muster.founders: names 1, but with 3 machines expected it takes 3 to found',
    ])
    const large = muster('vpn: {cidr: 10.86.0.0/24}').replace(TOKEN, tokenFor(300))
    expect(faultsIn(large)).toEqual([
      '4 muster.vpn.cidr: leaves room for 254 nodes, but 300 are expected on the first day',
    ])
  })
})

describe('a distribution', () => {
  const without = `muster:\n  token: ${TOKEN}\n`

  it('of no name is k3s', () => {
    const kinds = [without, `${without}  distribution: {}\n`, `${without}  distribution:\n`].map(
      (text) => read([files.write('muster.yaml', text)]).settings.cluster.distribution,
    )
    expect(kinds).toEqual(['k3s', 'k3s', 'k3s'])
  })

  it('must be one that there is', () => {
    expect(faultsIn(`${without}  distribution: {kind: k8s}\n`)).toEqual([
      '3 muster.distribution.kind: must be k3s, etcd or none, not "k8s"',
    ])
  })

  it.each(['etcd', 'none'])('%s has no keys of k3s, and still no range that Kubernetes takes', (kind) => {
    const text = (line: string): string => `${without}  distribution: {kind: ${kind}${line}}\n`
    expect(faultsIn(text(', version: v1.33.4+k3s1, args: []'))).toEqual([
      `3 muster.distribution.version: means nothing where distribution.kind is ${kind}`,
      `3 muster.distribution.args: means nothing where distribution.kind is ${kind}`,
    ])
    expect(faultsIn(`${text('')}  vpn: {cidr: 10.43.0.0/16}\n`)).toEqual([
      '4 muster.vpn.cidr: overlaps with 10.43.0.0/16, which Kubernetes takes for services; 10.86.0.0/16 is free of that',
    ])
  })
})

describe('a file', () => {
  it('that was named must be there', () => {
    expect(faultsOf([files.path('missing.yaml')])).toEqual([
      expect.objectContaining({ file: files.path('missing.yaml'), message: 'does not exist' }),
    ])
  })

  it('must be a regular one', () => {
    mkdirSync(files.path('directory'))
    execFileSync('mkfifo', [files.path('pipe')])
    for (const name of ['directory', 'pipe']) {
      expect(faultsOf([files.path(name)]).map(short)).toEqual(['- -: is no regular file'])
    }
    expect(faultsOf(['/dev/zero']).map(short)).toEqual(['- -: is no regular file'])
  })

  it.each([
    ['nothing in it', '', '- -: is empty'],
    ['only comments', '# nothing\n', '- -: is empty'],
    ['a list', '- muster\n', '1 -: is no map of settings'],
    ['two documents', `${muster()}---\n${muster()}`, '4 -: holds more than one YAML document'],
    ['bytes that are no text', new Uint8Array([0x6d, 0xff, 0xfe, 0x00]), '- -: is not UTF-8 text'],
    ['more than a mebibyte', `${muster()}# ${'x'.repeat(1_048_576)}`, '- -: has more than 1048576 bytes'],
    ['a bracket too few', 'muster: {vpn: {mode: none}\n', '2 -: is not YAML here'],
    ['tabs', 'muster:\n\ttoken: x\n', '2 -: is not YAML here'],
    ['no block of muster', '#cloud-config\nusers: []\n', '- -: there is no `muster:` block in this file'],
    ['a block misspelt', '#cloud-config\nmustr: {}\n', '2 mustr: there is no `muster:` block in this file'],
    ['a block of another shape', 'muster: [1]\n', '1 muster: must be a map of settings, not a list'],
    [
      'an alias to nothing',
      'muster: *gone\n',
      '1 muster: cannot be read: too deep, or YAML aliases too many or undefined',
    ],
  ])('with %s is refused', (_what, text, fault) => {
    const [found] = faultsIn(text)
    expect(found?.startsWith(fault)).toBe(true)
  })

  it('with a key that stands twice is refused, at the second', () => {
    expect(faultsIn(muster('vpn:', '  mode: none', '  mode: wireguard'))).toEqual([
      '6 muster.vpn.mode: stands twice in one map',
    ])
    expect(faultsIn(`${muster()}muster: {}\n`)).toEqual(['4 muster: stands twice in one map'])
  })

  it('whose aliases would fill the memory is refused', () => {
    const levels = Array.from({ length: 12 }, (_, n) => `  l${n + 1}: &l${n + 1} [${`*l${n}, `.repeat(10)}]`)
    const text = ['muster:', '  l0: &l0 [x]', ...levels].join('\n')
    expect(faultsIn(text)).toEqual([
      '1 muster: cannot be read: too deep, or YAML aliases too many or undefined',
    ])
  })

  it('that is nested without end is refused', () => {
    expect(faultsIn(`muster: ${'['.repeat(200_000)}`)[0]).toMatch(/^(-|1) -: (cannot be read as|is not) YAML/)
  })

  it('that cannot be read leaves the others to be checked, and no guesses about what is missing', () => {
    const broken = files.write('broken.yaml', 'muster: {')
    const other = files.write('other.yaml', 'muster: {servers: 2}\n')
    expect(faultsOf([broken, other]).map(({ file }) => file)).toEqual([broken, other])
  })
})
