import { describe, expect, it, onTestFinished } from 'vitest'
import { ConfigError, printableConfig } from '../../src/config.ts'
import { encodeToken, parseToken, pinToken } from '../../src/core/token.ts'
import { EDGEVPN, type Files, faultsOf, makeFiles, muster, read, short, TOKEN, tokenFor } from './files.ts'

function inFiles(): Files {
  const files = makeFiles()
  onTestFinished(() => files.remove())
  return files
}

describe('a token and a kind of distribution', () => {
  it('are all that a configuration needs: expect, network and the keys come from the token', () => {
    const config = read([inFiles().write('muster.yaml', muster())])
    expect(config.settings).toEqual({
      network: 'shop-12',
      networkId: expect.stringMatching(/^[0-9a-f]{64}$/),
      expect: 3,
      pin: null,
      settleMs: 10_000,
      founders: null,
      serverPreference: 'neutral',
      allowEphemeral: false,
      cluster: {
        servers: 'auto',
        admission: 'open',
        maxNodes: 1_000,
        vpnMode: 'wireguard',
        vpnCidr: '10.86.0.0/16',
        distribution: 'etcd',
        k3s: null,
        promote: 'founders',
        replaceAfterMs: 900_000,
        operators: [],
      },
    })
    expect(config).toMatchObject({
      stateDirectory: '/var/lib/muster',
      socketPath: '/run/muster.sock',
      interfaceName: 'muster0',
      listen: ['0.0.0.0', '::'],
      meshPort: 51_871,
      discovery: { mdns: true, dht: true, peers: [] },
      warnings: [],
    })
  })

  it('that are pinned join that cluster only', () => {
    const genesis = 'a'.repeat(64)
    const pinned = encodeToken(pinToken(parseToken(TOKEN), genesis))
    const file = inFiles().write('muster.yaml', muster().replace(TOKEN, pinned))
    expect(read([file]).settings.pin).toBe(genesis)
  })

  it('leave room for as many nodes as a small range has addresses', () => {
    const file = inFiles().write('muster.yaml', muster('vpn: {cidr: 192.168.77.0/24}'))
    expect(read([file]).settings.cluster.maxNodes).toBe(254)
  })
})

describe('several files', () => {
  it('are merged key by key: a later one wins, and its lists replace lists', () => {
    const files = inFiles()
    const first = files.write(
      '1.yaml',
      muster('vpn: {mode: none, port: 1}', 'discovery: {peers: [10.0.0.1, 10.0.0.2]}'),
    )
    const second = files.write(
      '2.yaml',
      'muster: {vpn: {port: 2}, discovery: {peers: [10.0.0.3], mdns: false}}',
    )
    const config = read([first, second])
    expect(config.meshPort).toBe(2)
    expect(config.settings.cluster.vpnMode).toBe('none')
    expect(config.discovery).toEqual({ mdns: false, dht: true, peers: ['10.0.0.3'] })
    expect(config.sources).toEqual([first, second])
  })

  it.each([
    ['token', `token: ${tokenFor(3, 'other')}`],
    ['expect', 'expect: 4'],
    ['token_file', 'token_file: /other'],
  ])('that differ in %s are refused: they lead to different clusters', (key, line) => {
    const files = inFiles()
    const first = files.write('1.yaml', muster('expect: 3', 'token_file: token'))
    const second = files.write('2.yaml', `muster:\n  ${line}\n`)
    expect(faultsOf([first, second])).toContainEqual(
      expect.objectContaining({
        file: second,
        line: 2,
        key: `muster.${key}`,
        message: expect.stringMatching(/^differs from .*1\.yaml:/),
      }),
    )
  })

  it('may say the same token', () => {
    const files = inFiles()
    expect(read([files.write('1.yaml', muster()), files.write('2.yaml', muster())]).settings.expect).toBe(3)
  })
})

describe('expect', () => {
  it('may repeat what the token says', () => {
    expect(read([inFiles().write('muster.yaml', muster('expect: 3'))]).settings.expect).toBe(3)
  })

  it('that differs from the token is an error that names both', () => {
    const file = inFiles().write('muster.yaml', muster('expect: 5'))
    expect(faultsOf([file]).map(short)).toEqual([
      `4 muster.expect: is 5, but the token in ${file}:2: muster.token expects 3 machines`,
    ])
  })

  it.each([
    ['of muster', tokenFor(null)],
    ['of EdgeVPN', EDGEVPN],
  ])('must be given with a token %s that does not say', (_whose, token) => {
    const files = inFiles()
    const without = files.write('without.yaml', muster().replace(TOKEN, token))
    expect(faultsOf([without]).map(short)).toEqual([
      `- muster.expect: is missing: the token in ${without}:2: muster.token does not say how many machines there are on the first day`,
    ])
    const given = files.write('given.yaml', muster('expect: 4').replace(TOKEN, token))
    expect(read([given]).settings.expect).toBe(4)
  })
})

describe('a token file', () => {
  const kind = 'distribution: {kind: none}'

  it('is found beside the file that names it', () => {
    const files = inFiles()
    files.write('secrets/token', `# the token\n\n${TOKEN}\n`)
    const file = files.write('muster.yaml', `muster: {token_file: secrets/token, ${kind}}`)
    expect(read([file]).settings.network).toBe('shop-12')
  })

  it('of MUSTER_TOKEN_FILE wins over that of a file', () => {
    const files = inFiles()
    const token = files.write('token', tokenFor(5))
    const file = files.write('muster.yaml', `muster: {token_file: missing, ${kind}}`)
    expect(read([file], { env: { MUSTER_TOKEN_FILE: token } }).settings.expect).toBe(5)
  })

  it('beside a token is one too many, whoever names it', () => {
    const files = inFiles()
    const token = files.write('token', TOKEN)
    const both = files.write('both.yaml', muster('token_file: token'))
    expect(faultsOf([both]).map(short)).toEqual([
      `4 muster.token_file: names a token file, and a token stands in ${both}:2: muster.token`,
    ])
    const one = files.write('one.yaml', muster())
    expect(faultsOf([one], { env: { MUSTER_TOKEN_FILE: token } }).map(short)).toEqual([
      `- MUSTER_TOKEN_FILE: names a token file, and a token stands in ${one}:2: muster.token`,
    ])
  })

  it.each([
    ['missing', undefined, /does not exist$/],
    ['empty', '\n# nothing\n', /^holds no token$/],
    ['too long', 'x'.repeat(20_000), /has more than 16384 bytes$/],
    ['of another program', 'hello', /^is no network token: /],
  ])('that is %s is refused', (_what, text, message) => {
    const files = inFiles()
    if (text !== undefined) files.write('token', text)
    const file = files.write('muster.yaml', `muster: {token_file: token, ${kind}}`)
    expect(faultsOf([file]).map((fault) => fault.message)).toEqual([expect.stringMatching(message)])
  })

  it('that everyone on the machine can read is warned of, and so is such a file with a token', () => {
    const files = inFiles()
    const token = files.write('token', TOKEN, 0o644)
    const file = files.write('muster.yaml', `muster: {token_file: token, ${kind}}`, 0o644)
    expect(read([file]).warnings).toEqual([
      expect.objectContaining({ code: 'config.token-readable', hint: `chmod 600 ${token}` }),
    ])
    const holder = files.write('holder.yaml', muster(), 0o644)
    expect(read([holder]).warnings.map(({ hint }) => hint)).toEqual([`chmod 600 ${holder}`])
  })

  it('in a private directory is nobody’s to read', () => {
    const files = inFiles()
    const file = files.write('private/muster.yaml', muster(), 0o644)
    files.chmod('private', 0o700)
    expect(read([file]).warnings).toEqual([])
  })
})

describe('a token in the wrong place', () => {
  it.each([
    ['token_file', `token_file: ${TOKEN}`],
    ['discovery.peers.0', `discovery: {peers: [${TOKEN}]}`],
    ['state', `state: /${TOKEN}`],
    ['state', `state: ${EDGEVPN}`],
  ])('under %s is refused without repeating it', (key, line) => {
    const [fault] = faultsOf([inFiles().write('muster.yaml', muster(line))])
    expect(fault).toMatchObject({
      key: `muster.${key}`,
      message: 'is a network token: only `token` may hold it',
    })
  })

  it('in MUSTER_TOKEN_FILE is refused without repeating it', () => {
    const file = inFiles().write('muster.yaml', 'muster: {distribution: {kind: none}}')
    expect(faultsOf([file], { env: { MUSTER_TOKEN_FILE: TOKEN } }).map(short)).toEqual([
      '- MUSTER_TOKEN_FILE: is a token, not the name of a file',
    ])
  })
})

describe('a warning', () => {
  it.each([
    ['vpn: {cidr: 8.8.0.0/16}', 'config.public-range'],
    ['servers: 5', 'config.servers'],
  ])('%s is taken, and warned of', (line, code) => {
    const { warnings } = read([inFiles().write('muster.yaml', muster(line))])
    expect(warnings.map((warning) => warning.code)).toEqual([code])
  })
})

describe('the default places', () => {
  it('are read in the order /etc/muster, /oem, /usr/local/cloud-config, by name in each', () => {
    const files = inFiles()
    const cloud = (port: number): string => `#cloud-config\nmuster: {vpn: {port: ${port}}}\n`
    const paths = [
      files.write('etc/muster/10-a.yaml', muster()),
      files.write('etc/muster/20-b.yml', 'muster: {vpn: {port: 1}}'),
      files.write('oem/90_custom.yaml', cloud(2)),
      files.write('usr/local/cloud-config/a.yaml', cloud(3)),
    ]
    const config = read([], { root: files.directory })
    expect(config.sources).toEqual(paths)
    expect(config.meshPort).toBe(3)
  })

  it('may hold files of other programs, readable or not, in the directories of the system', () => {
    const files = inFiles()
    files.write('oem/01_stages.yaml', 'name: other\nmuster: [not, ours]\n')
    files.write('oem/02_broken.yaml', '#cloud-config\nstages: {{ .Broken\n')
    files.write('oem/03_other.yaml', '#cloud-config\nhostname: a\n')
    files.write('oem/04.txt', 'muster: {')
    const ours = files.write('oem/90_custom.yaml', `#cloud-config\n${muster()}`)
    expect(read([], { root: files.directory }).sources).toEqual([ours])
  })

  it('that hold a broken file of ours are refused', () => {
    const files = inFiles()
    files.write('oem/90_custom.yaml', '#cloud-config\nmuster: {vpn: [}\n')
    expect(faultsOf([], { root: files.directory }).map(short)).toEqual([
      expect.stringMatching(/^2 -: is not YAML/),
    ])
  })

  it('that are empty are named, with how to make a configuration', () => {
    const { directory } = inFiles()
    const [fault] = faultsOf([], { root: directory })
    expect(fault?.message).toBe(
      `no configuration: looked for ${directory}/etc/muster/*.yaml, ${directory}/oem/*.yaml, ${directory}/usr/local/cloud-config/*.yaml`,
    )
    expect(fault?.hint).toMatch(/muster token new .* \/etc\/muster\/muster\.yaml/)
  })

  it('do not count where --config or MUSTER_CONFIG names files, and the flag wins', () => {
    const files = inFiles()
    files.write('etc/muster/muster.yaml', muster('vpn: {port: 1}'))
    const [a, b, c] = [
      files.write('a.yaml', muster()),
      files.write('b.yaml', 'muster: {vpn: {port: 2}}'),
      files.write('c.yaml', muster()),
    ]
    for (const separator of [':', ',']) {
      const env = { MUSTER_CONFIG: [a, b].join(separator) }
      expect(read([], { root: files.directory, env }).sources).toEqual([a, b])
      expect(read([c], { root: files.directory, env }).sources).toEqual([c])
    }
  })
})

describe('what this machine needs to know', () => {
  const text = muster(
    'state: /file/state',
    'socket: /file/socket',
    'listen: [10.0.0.1]',
    'vpn: {interface: file0}',
  )

  it('comes from flags before the environment before files', () => {
    const file = inFiles().write('muster.yaml', text)
    const env = { MUSTER_STATE: '/env/state', MUSTER_SOCKET: '/env/socket' }
    const flags = {
      state: 'flag/state',
      socket: '/flag/socket',
      interfaceName: 'flag0',
      listen: ['10.0.0.2:80'],
    }
    expect(read([file])).toMatchObject({
      stateDirectory: '/file/state',
      socketPath: '/file/socket',
      interfaceName: 'file0',
      listen: ['10.0.0.1'],
    })
    expect(read([file], { env })).toMatchObject({ stateDirectory: '/env/state', socketPath: '/env/socket' })
    expect(read([file], { env, flags })).toMatchObject({
      stateDirectory: `${process.cwd()}/flag/state`,
      socketPath: '/flag/socket',
      interfaceName: 'flag0',
      listen: ['10.0.0.2:80'],
    })
  })

  it('counts a variable that is set to nothing as not set', () => {
    const file = inFiles().write('muster.yaml', text)
    const env = { MUSTER_STATE: '', MUSTER_SOCKET: '', MUSTER_TOKEN_FILE: '', MUSTER_CONFIG: '' }
    expect(read([file], { env }).stateDirectory).toBe('/file/state')
  })

  it('is refused where a flag makes no sense', () => {
    const file = inFiles().write('muster.yaml', text)
    const flags = {
      socket: `/${'s'.repeat(120)}`,
      interfaceName: 'much-too-long-a-name',
      listen: ['nowhere'],
    }
    expect(faultsOf([file], { flags }).map(short)).toEqual([
      '- --socket: must not be longer than 107 bytes',
      '- --interface: cannot be the name of an interface: "much-too-long-a-name"',
      '- --listen: must be an IP address of this machine, not "nowhere"',
    ])
  })

  it('is kept where it stays on Kairos', () => {
    const files = inFiles()
    files.write('etc/kairos-release', '')
    const file = files.write('muster.yaml', muster())
    expect(read([file], { root: files.directory }).stateDirectory).toBe('/usr/local/muster')
  })
})

describe('the printed configuration', () => {
  it('says everything in effect but the token, and reads back as it was', () => {
    const files = inFiles()
    const original = read([
      files.write(
        'muster.yaml',
        muster(
          'settle: 1500ms',
          'servers: 3',
          'vpn: {mode: none}',
          'discovery: {peers: [10.0.0.1]}',
          'founders: [12D3KooWLPwjdiBPdzh6tbB21ZBoCxPfxhzf64Thaaz1ZHTBrj9R, 12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8, 12D3KooWH3uVF6wv47WnArKHk5p6cvgCJEb74UTmxztmQDc298L3]',
        ),
      ),
    ])
    const printed = printableConfig(original)
    expect(printed).not.toContain(TOKEN)
    const again = read([files.write('again.yaml', printed.replace('"[secret]"', TOKEN))])
    expect({ ...again, sources: [] }).toEqual({ ...original, sources: [] })
  })

  it('is refused as a configuration: the secret is not in it', () => {
    const files = inFiles()
    const printed = printableConfig(read([files.write('muster.yaml', muster())]))
    expect(() => read([files.write('printed.yaml', printed)])).toThrow(ConfigError)
  })
})
