/** What a mesh must do, with the real tools, between hosts of the lab. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { nodeId } from '../../../src/core/ids.ts'
import type { MeshPeer } from '../../../src/core/orders.ts'
import { type AgentOptions, type Host, type Lab, makeLab, makeTools, type Tools } from './lab.ts'

/** Before what is waited for counts as missing: no statement about speed. */
const WAIT = { timeout: 60_000, interval: 50 }
/** An address of the LAN at which nobody is. */
const NOBODY = '192.168.77.250:51871'
const WITHOUT_NET_ADMIN = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
const WITHOUT_TUN = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net; exec "$@"', 'sh']

/** Each test has a lab and tools of its own, so that they may all run at once. */
const it = test.extend<{ lab: Lab; toolsOf: (names: readonly string[]) => Tools }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs
  lab: async ({}, use) => {
    const lab = makeLab()
    try {
      await use(lab)
    } finally {
      await lab.end()
    }
  },
  // biome-ignore lint/correctness/noEmptyPattern: as above
  toolsOf: async ({}, use) => {
    const made: Tools[] = []
    await use((names) => {
      const tools = makeTools(names)
      made.push(tools)
      return tools
    })
    for (const tools of made) tools.end()
  },
})

export function meshContract(): void {
  describe('peers', () => {
    it('reach each other, with nothing but encrypted packets on the wire', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      await b.exec(`nft 'add table inet lan; add chain inet lan in { type filter hook input priority 0; }'
        nft add rule inet lan in iifname eth0 udp dport != 51871 drop
        nft add rule inet lan in iifname eth0 meta l4proto != udp meta protocol ip drop`)
      await reaches(a, b.mesh)
      expect(await a.pings(b.lan)).toBe(false)
      expect(await a.exec('ip route')).toContain(`10.86.0.0/16 dev ${a.interfaceName} `)
    })

    it('of three hosts each reach both others', async ({ lab }) => {
      const hosts = await meshOf(lab, 3)
      for (const from of hosts) for (const to of hosts) await reaches(from, to.mesh)
    })

    it('that are removed reach nobody any more', async ({ lab }) => {
      const [a, b, c] = await meshOf(lab, 3)
      a.apply([b.peer()])
      await vi.waitFor(() => expect(a.facts().peers.map(({ id }) => id)).toEqual(['node-2']), WAIT)
      await vi.waitFor(async () => expect(await c.pings(a.mesh)).toBe(false), WAIT)
      await reaches(b, a.mesh)
    })

    it('without anybody behind them have no path', async ({ lab }) => {
      const a = lab.host(1)
      start(a, [lab.host(2).peer()])
      await vi.waitFor(() => expect(a.facts().up).toBe(true), WAIT)
      expect(a.facts()).toEqual({ up: true, peers: [{ id: 'node-2', path: 'none' }], problems: [] })
    })

    it('that move to another address are followed there', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      await b.exec('ip address delete 192.168.77.2/24 dev eth0; ip address add 192.168.77.9/24 dev eth0')
      expect(await a.pings(b.mesh)).toBe(false)
      a.apply([b.peer(['192.168.77.9:51871'])])
      await reaches(a, b.mesh)
    })

    it('are found at their second endpoint when nobody is at the first', async ({ lab }) => {
      const [a, b] = [lab.host(1), lab.host(2)]
      start(a, [b.peer([NOBODY, `${b.lan}:51871`])])
      // b waits to be found: it knows no endpoint of a.
      start(b, [a.peer([])])
      await direct(a)
      await reaches(a, b.mesh)
    })

    it('that cannot be in this mesh are left out and the others work', async ({ lab }) => {
      const [a, b] = [lab.host(1), lab.host(2)]
      const bad = { ...b.peer(), id: nodeId('bad'), wireguardKey: new Uint8Array(31) }
      const strange = {
        ...fakePeer(7),
        endpoints: ['example.test:1', '127.0.0.1:9', '10.86.0.3:51871', '\n'],
      }
      start(a, [bad, b.peer(), strange])
      start(b, [a.peer()])
      await vi.waitFor(
        () => expect(pathsOf(a)).toEqual({ bad: 'none', 'node-2': 'direct', fake7: 'none' }),
        WAIT,
      )
      expect(a.events()).toContain('mesh.peer.refused')
      expect(await a.exec(`wg show ${a.interfaceName} endpoints`)).toMatch(/\(none\)/)
    })
  })

  describe('a daemon that is killed', () => {
    it('leaves a mesh that goes on working, and takes it over again', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      const process = a.userspace()
      await a.kill()
      await reaches(b, a.mesh)
      start(a, [b.peer()])
      await direct(a)
      expect(a.events()).toContain('mesh.interface.adopted')
      expect(a.userspace()).toBe(process)
      await reaches(a, b.mesh)
    })

    it('together with its wireguard-go makes the same mesh again', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      await a.kill()
      endUserspace(a, 'SIGKILL')
      start(a, [b.peer()])
      await direct(a)
      await reaches(a, b.mesh)
      await reaches(b, a.mesh)
    })

    it('replaces a wireguard-go that hangs', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      const process = a.userspace()
      await a.kill()
      endUserspace(a, 'SIGSTOP')
      start(a, [b.peer()])
      await reaches(a, b.mesh)
      expect(a.userspace()).not.toBe(process)
    })

    it('finds back from another key and address', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      await a.exec(`wg genkey >/tmp/${a.namespace}; wg set ${a.interfaceName} private-key /tmp/${a.namespace}
        rm /tmp/${a.namespace}; ip address flush dev ${a.interfaceName}
        ip address add 10.86.9.9/24 dev ${a.interfaceName}`)
      await a.kill()
      start(a, [b.peer()])
      await reaches(a, b.mesh)
      expect(await a.exec(`ip -4 address show dev ${a.interfaceName}`)).not.toContain('10.86.9.9')
    })
  })

  describe('an interface', () => {
    it('that is deleted behind our back is made again', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      await a.exec(`ip link delete ${a.interfaceName}`)
      await vi.waitFor(() => expect(a.events()).toContain('mesh.interface.lost'), WAIT)
      await reaches(a, b.mesh)
    })

    it('whose wireguard-go dies is made again', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      endUserspace(a, 'SIGKILL')
      await vi.waitFor(() => expect(a.events()).toContain('mesh.interface.lost'), WAIT)
      await reaches(a, b.mesh)
    })

    it('that loses a peer to someone with wg in hand gets it back', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      const key = Buffer.from(b.peer().wireguardKey).toString('base64')
      await a.exec(`wg set ${a.interfaceName} peer ${key} remove`)
      a.apply([b.peer(), fakePeer(8)])
      await reaches(a, b.mesh)
    })

    it('is gone after a stop, or kept for the next run', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      await a.stop(true)
      await reaches(b, a.mesh)
      await b.stop(false)
      expect(await b.exec('ip -brief link')).not.toContain(b.interfaceName)
      expect(b.userspace()).toBeNull()
    })

    it('does not exist in mode none, and everyone has a path', async ({ lab }) => {
      const [a, b] = await meshOf(lab, 2)
      a.apply([b.peer()], { mode: 'none', address: a.lan })
      await vi.waitFor(
        async () => expect(await a.exec('ip -brief link')).not.toContain(a.interfaceName),
        WAIT,
      )
      expect(a.facts()).toEqual({ up: true, peers: [{ id: 'node-2', path: 'direct' }], problems: [] })
      await vi.waitFor(() => expect(a.userspace()).toBeNull(), WAIT)
    })

    it('that is something else is a problem and stays', async ({ lab }) => {
      const a = lab.host(1)
      await a.exec(`ip link add ${a.interfaceName} type bridge`)
      start(a, [])
      await problem(a, 'mesh.name-taken')
      await a.stop(false)
      expect(await a.exec('ip -brief link')).toContain(a.interfaceName)
    })

    it('has an MTU that leaves room for WireGuard in the LAN’s', async ({ lab }) => {
      const [a, b] = [lab.host(1), lab.host(2)]
      await a.exec('ip link set eth0 mtu 1400')
      start(a, [b.peer()])
      await vi.waitFor(() => expect(a.facts().up).toBe(true), WAIT)
      expect(await a.exec(`ip link show ${a.interfaceName}`)).toContain('mtu 1340')
    })
  })

  describe('what stands in the way is said, and the mesh comes up when it is gone:', () => {
    it('a local route in the mesh’s range', async ({ lab }) => {
      const a = lab.host(1)
      await a.exec('ip route add 10.86.3.0/24 dev eth0')
      start(a, [])
      const { message, hint } = await problem(a, 'mesh.range-overlap')
      expect(message).toContain('10.86.3.0/24 through eth0')
      expect(hint).toContain('vpn.cidr')
      expect(await a.exec('ip -brief link')).not.toContain(a.interfaceName)
      await a.exec('ip route delete 10.86.3.0/24')
      await vi.waitFor(() => expect(a.facts()).toEqual({ up: true, peers: [], problems: [] }), WAIT)
    })

    it('another program on the port', async ({ lab }) => {
      const a = lab.host(1)
      const release = await takePort(a)
      start(a, [])
      expect((await problem(a, 'mesh.port-taken')).message).toContain('51871')
      release()
      await vi.waitFor(() => expect(a.facts()).toEqual({ up: true, peers: [], problems: [] }), WAIT)
      expect((await a.exec(`wg show ${a.interfaceName} listen-port`)).trim()).toBe('51871')
    })

    it.for<[string, string[]]>([
      ['mesh.no-wg', ['ip', 'wireguard-go']],
      ['mesh.no-ip', ['wg', 'wireguard-go']],
      ['mesh.no-wireguard', ['ip', 'wg']],
    ])('%s', async ([code, present], { lab, toolsOf }) => {
      const a = lab.host(1)
      const tools = toolsOf(present)
      start(a, [], { path: tools.path })
      await problem(a, code)
      expect(a.facts().up).toBe(false)
      await a.kill()
      start(a, [])
      await vi.waitFor(() => expect(a.facts().up).toBe(true), WAIT)
    })

    it('no right to make interfaces', async ({ lab }) => {
      const a = lab.host(1)
      start(a, [], { wrap: WITHOUT_NET_ADMIN })
      await problem(a, 'mesh.not-permitted')
    })

    it('no TUN', async ({ lab }) => {
      const a = lab.host(1)
      start(a, [], { wrap: WITHOUT_TUN })
      await problem(a, 'mesh.no-tun')
    })
  })

  describe('the tools', () => {
    it('are run once for ten peers, not once for each', async ({ lab, toolsOf }) => {
      const a = lab.host(1)
      const tools = toolsOf(['ip', 'wg', 'wireguard-go'])
      start(a, [], { path: tools.path })
      await vi.waitFor(() => expect(a.facts().up).toBe(true), WAIT)
      const before = setsOf(tools)
      a.apply(Array.from({ length: 10 }, (_, index) => fakePeer(index + 20)))
      await vi.waitFor(() => expect(a.facts().peers).toHaveLength(10), WAIT)
      expect(setsOf(tools) - before).toBe(1)
    })

    it('are not run for an order that changes nothing', async ({ lab, toolsOf }) => {
      const [a, b] = [lab.host(1), lab.host(2)]
      const tools = toolsOf(['ip', 'wg', 'wireguard-go'])
      start(a, [b.peer()], { path: tools.path })
      start(b, [a.peer()])
      await direct(a)
      const before = tools.runs().length
      a.apply([{ ...b.peer(), name: 'renamed' }])
      a.apply([b.peer()], { network: 'renamed' })
      await reaches(a, b.mesh)
      expect(tools.runs()).toHaveLength(before)
    })

    it('never get the private key in arguments or environment, and nobody logs it', async ({
      lab,
      toolsOf,
    }) => {
      const [a, b] = [lab.host(1), lab.host(2)]
      const tools = toolsOf(['ip', 'wg', 'wireguard-go'])
      start(a, [b.peer()], { path: tools.path })
      start(b, [a.peer()])
      await direct(a)
      const secret = a.privateKeyText
      expect(await a.exec(`wg show ${a.interfaceName} private-key`)).toContain(secret)
      expect(tools.runs().join('\n')).toContain('private-key')
      expect(tools.runs().join('\n')).not.toContain(secret)
      expect(a.said()).not.toContain(secret)
      for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
        expect(readOrNothing(`/proc/${pid}/cmdline`) + readOrNothing(`/proc/${pid}/environ`)).not.toContain(
          secret,
        )
      }
      const left = (): string[] => readdirSync('/run').filter((name) => name.startsWith('.muster'))
      await vi.waitFor(() => expect(left()).toEqual([]), WAIT)
    })
  })
}

function start(host: Host, peers: readonly MeshPeer[], options: AgentOptions = {}): void {
  host.start(options)
  host.apply(peers)
}

async function meshOf(lab: Lab, count: 2): Promise<[Host, Host]>
async function meshOf(lab: Lab, count: 3): Promise<[Host, Host, Host]>
async function meshOf(lab: Lab, count: number): Promise<Host[]> {
  const hosts = Array.from({ length: count }, (_, index) => lab.host(index + 1))
  for (const host of hosts)
    start(
      host,
      hosts.filter((other) => other !== host).map((other) => other.peer()),
    )
  for (const host of hosts) await direct(host)
  return hosts
}

const pathsOf = (host: Host) => Object.fromEntries(host.facts().peers.map(({ id, path }) => [id, path]))

/** In one of several pings: a busy machine may answer late. */
const reaches = (from: Host, address: string) =>
  vi.waitFor(async () => expect(await from.pings(address)).toBe(true), WAIT)

const direct = (host: Host) =>
  vi.waitFor(() => {
    const { up, peers, problems } = host.facts()
    expect({ up, problems, paths: new Set(peers.map(({ path }) => path)) }).toEqual({
      up: true,
      problems: [],
      paths: new Set(['direct']),
    })
  }, WAIT)

const problem = (host: Host, code: string) =>
  vi.waitFor(() => {
    const [found] = host.facts().problems
    expect(found?.code).toBe(code)
    if (found === undefined) throw new Error('unreachable: its code was just compared')
    return found
  }, WAIT)

/** A peer that does not exist. */
const fakePeer = (number: number): MeshPeer => ({
  id: nodeId(`fake${number}`),
  name: `fake${number}`,
  address: `10.86.1.${number}`,
  wireguardKey: new Uint8Array(randomBytes(32)),
  endpoints: [NOBODY],
})

const setsOf = (tools: Tools): number => tools.runs().filter((line) => line.startsWith('wg set')).length

function endUserspace(host: Host, signal: NodeJS.Signals): void {
  const pid = host.userspace()
  if (pid !== null) process.kill(pid, signal)
}

/** Takes the mesh's UDP port in the host's namespace; the result gives it back. */
async function takePort(host: Host): Promise<() => void> {
  const script = `const s = require('node:dgram').createSocket('udp4'); s.bind(51871); process.stdin.resume()
    process.stdin.on('end', () => s.close())`
  const holder = spawn('ip', ['netns', 'exec', host.namespace, process.execPath, '-e', script])
  await vi.waitFor(async () => expect(await host.exec('ss -Huln')).toContain(':51871'), WAIT)
  return () => holder.stdin.end()
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
