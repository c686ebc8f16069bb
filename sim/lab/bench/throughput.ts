/** What the mesh carries, beside a plain WireGuard tunnel of the same kind between the same two machines. */
import { z } from 'zod'
import type { Host } from '../host.ts'
import { until } from '../until.ts'
import { nodeOf } from '../view.ts'
import type { Figure } from './figure.ts'
import { type Bench, startAll, untilReady, withLab } from './setting.ts'

const SECONDS = 5
const PLAIN = {
  interface: 'wgplain',
  port: 51999,
  /** Of the kind that muster tells nobody: else the mesh makes room for a path through this tunnel, MTU 1360. */
  addresses: ['169.254.99.1', '169.254.99.2'],
  /** In the machine's own memory. */
  keyFile: '/run/wgplain.key',
} as const

const Report = z.object({ end: z.object({ sum_received: z.object({ bits_per_second: z.number() }) }) })

export async function throughput(bench: Bench): Promise<Figure[]> {
  return withLab(bench, 2, 'none', async (setting) => {
    const { lab, watch } = setting
    await startAll(setting)
    await untilReady(setting)
    const [one, two] = lab.hosts
    const status = one === undefined ? undefined : watch.view.get(one.index)
    const twoId = two === undefined ? undefined : watch.view.get(two.index)?.self.id
    if (one === undefined || two === undefined || status === undefined || twoId === undefined) {
      throw new Error('two hosts are needed')
    }
    const meshAddress = nodeOf(status, twoId)?.address
    if (meshAddress === undefined || meshAddress === null) throw new Error('no mesh address')
    watch.stop()
    await plainTunnel(one, two, await mtuOf(one, 'muster0'))

    const runs = Math.max(3, bench.runs)
    const mesh: number[] = []
    const plain: number[] = []
    // One unmeasured run each fills the caches; then in turns, and in turns who is first, so that
    // drift of the machine hits both.
    await measure(one, two, meshAddress, 1)
    await measure(one, two, PLAIN.addresses[1], 1)
    for (let run = 1; run <= runs; run++) {
      bench.say(`throughput, run ${run} of ${runs}`)
      const turns = [
        [plain, PLAIN.addresses[1]],
        [mesh, meshAddress],
      ] as const
      for (const [samples, address] of run % 2 === 1 ? turns : turns.toReversed()) {
        samples.push(await measure(one, two, address, SECONDS))
      }
    }
    const ratios = mesh.map((value, i) => value / (plain[i] ?? Number.NaN))
    return [
      {
        name: 'mesh throughput over plain WireGuard',
        unit: '×',
        samples: ratios,
        target: { bound: 'at-least', value: 0.95 },
      },
      { name: 'mesh throughput', unit: 'Mbit/s', samples: mesh, target: null },
      { name: 'plain WireGuard throughput', unit: 'Mbit/s', samples: plain, target: null },
    ]
  })
}

async function measure(from: Host, to: Host, address: string, seconds: number): Promise<number> {
  to.spawn(['iperf3', '--server', '--one-off', '--bind', address])
  await until('iperf3 listens', async () => (await to.exec(['ss', '-Hltn', 'sport = :5201'])).stdout !== '', {
    timeoutMs: 5_000,
    everyMs: 50,
  })
  const result = await from.exec(['iperf3', '--client', address, '--time', String(seconds), '--json'], {
    timeoutMs: (seconds + 10) * 1_000,
  })
  if (result.exitCode !== 0) throw new Error(`iperf3: ${result.stdout.slice(-500)}`)
  return Report.parse(JSON.parse(result.stdout)).end.sum_received.bits_per_second / 1e6
}

/** The kernel's WireGuard where it is, else wireguard-go: the same choice that the mesh makes. */
async function plainTunnel(one: Host, two: Host, mtu: string): Promise<void> {
  const hosts = [one, two] as const
  const keys = await Promise.all(hosts.map(makeKey))
  for (const [i, host] of hosts.entries()) {
    const own = keys[i]
    const peer = keys[1 - i]
    const other = hosts[1 - i]
    const [address, peerAddress] = [PLAIN.addresses[i], PLAIN.addresses[1 - i]]
    if (own === undefined || peer === undefined || other === undefined) throw new Error('a key is missing')
    const kernel = await host.exec(['ip', 'link', 'add', PLAIN.interface, 'type', 'wireguard'])
    // In a session of its own like the mesh's: the kernel shares the processor out by sessions (autogroup).
    if (kernel.exitCode !== 0) host.spawn(['wireguard-go', '-f', PLAIN.interface])
    await until(
      'the plain interface',
      async () => (await host.exec(['wg', 'show', PLAIN.interface])).exitCode === 0,
      { everyMs: 50 },
    )
    const set = `wg set ${PLAIN.interface} listen-port ${PLAIN.port} private-key ${PLAIN.keyFile} peer ${peer.public}`
    const configured = await host.exec(
      [
        'sh',
        '-ec',
        `umask 077; cat > ${PLAIN.keyFile}; ${set} allowed-ips ${peerAddress}/32 endpoint ${other.address}:${PLAIN.port}`,
      ],
      { input: own.private },
    )
    if (configured.exitCode !== 0) throw new Error(configured.stderr)
    await host.exec(['ip', 'address', 'add', `${address}/24`, 'dev', PLAIN.interface])
    await host.exec(['ip', 'link', 'set', PLAIN.interface, 'mtu', mtu, 'up'])
  }
}

async function makeKey(host: Host): Promise<{ private: string; public: string }> {
  const { stdout } = await host.exec(['wg', 'genkey'])
  const derived = await host.exec(['wg', 'pubkey'], { input: `${stdout}\n` })
  return { private: `${stdout}\n`, public: derived.stdout.trim() }
}

async function mtuOf(host: Host, name: string): Promise<string> {
  return (await host.exec(['cat', `/sys/class/net/${name}/mtu`])).stdout.trim()
}
