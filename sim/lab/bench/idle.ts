/** What a formed cluster of ten costs while nothing happens: on the wire, in CPU and in memory. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../host.ts'
import { leaderHost } from '../view.ts'
import { cpuSeconds, memory } from './cost.ts'
import type { Figure } from './figure.ts'
import { type Bench, startAll, untilReady, withLab } from './setting.ts'

const HOSTS = 10
/** The first look-ups, the gossip after the founding and most of the announcements by mDNS are over by then. */
const SETTLE_MS = 60_000
const MEASURE_MS = 60_000

interface Cost {
  readonly isLeader: boolean
  /** kB (1,000 bytes) per second through the host's interface. */
  readonly sent: number
  readonly received: number
  /** Per cent of one core. */
  readonly cpu: number
  /** The user-space WireGuard beside the daemon, where there is one; per cent of one core. */
  readonly wireguardCpu: number | null
  readonly rss: number
  readonly own: number
}

export async function idle(bench: Bench): Promise<Figure[]> {
  const costs = await withLab(bench, HOSTS, 'none', async (setting) => {
    const { lab, watch } = setting
    await startAll(setting)
    await untilReady(setting)
    const leader = leaderHost(watch.view)
    // The watch would be most of what is measured.
    watch.stop()
    bench.say(`10 idle hosts: settling ${SETTLE_MS / 1_000} s, measuring ${MEASURE_MS / 1_000} s`)
    await sleep(SETTLE_MS)
    const before = await Promise.all(lab.hosts.map(books))
    const from = performance.now()
    await sleep(MEASURE_MS)
    const after = await Promise.all(lab.hosts.map(books))
    const seconds = (performance.now() - from) / 1_000
    return lab.hosts.map((host, i): Cost => {
      const [a, b] = [before[i], after[i]]
      if (a === undefined || b === undefined || host.daemonPid === null) throw new Error('a daemon died')
      return {
        isLeader: host.index === leader,
        sent: (b.sent - a.sent) / 1_000 / seconds,
        received: (b.received - a.received) / 1_000 / seconds,
        cpu: ((b.cpu - a.cpu) / seconds) * 100,
        wireguardCpu:
          a.wireguard === null || b.wireguard === null ? null : ((b.wireguard - a.wireguard) / seconds) * 100,
        ...memory(host.daemonPid),
      }
    })
  })
  const followers = costs.filter((cost) => !cost.isLeader)
  const leaders = costs.filter((cost) => cost.isLeader)
  const wire = (of: readonly Cost[]): number[] => of.map((cost) => cost.sent + cost.received)
  const wireguard = costs.flatMap((cost) => cost.wireguardCpu ?? [])
  const below = (value: number) => ({ bound: 'below', value }) as const
  return [
    {
      name: 'idle, N=10: sent and received, not the leader',
      unit: 'kB/s',
      samples: wire(followers),
      target: below(1),
    },
    {
      name: 'idle, N=10: of that, sent',
      unit: 'kB/s',
      samples: followers.map((cost) => cost.sent),
      target: null,
    },
    {
      name: 'idle, N=10: sent and received, the leader',
      unit: 'kB/s',
      samples: wire(leaders),
      target: below(1 + 0.2 * HOSTS),
    },
    {
      name: 'idle, N=10: of that, sent',
      unit: 'kB/s',
      samples: leaders.map((cost) => cost.sent),
      target: null,
    },
    {
      name: 'idle, N=10: CPU of a daemon',
      unit: '% of a core',
      samples: costs.map((cost) => cost.cpu),
      target: below(1),
    },
    ...(wireguard.length === 0
      ? []
      : [
          {
            name: 'idle, N=10: CPU of wireguard-go beside it',
            unit: '% of a core',
            samples: wireguard,
            target: null,
          },
        ]),
    {
      name: 'idle, N=10: RSS of a daemon',
      unit: 'MiB',
      samples: costs.map((cost) => cost.rss),
      target: below(90),
    },
    {
      name: 'idle, N=10: of that, not pages of node itself',
      unit: 'MiB',
      samples: costs.map((cost) => cost.own),
      target: null,
    },
  ]
}

interface Books {
  readonly sent: number
  readonly received: number
  readonly cpu: number
  readonly wireguard: number | null
}

async function books(host: Host): Promise<Books> {
  const bytes = host.bytes()
  const pid = host.daemonPid
  if (bytes === null || pid === null) throw new Error(`${host.name} has no daemon`)
  const wireguard = await host.processes('wireguard-go')
  return {
    ...bytes,
    cpu: cpuSeconds(pid),
    wireguard: wireguard.length === 0 ? null : wireguard.reduce((sum, one) => sum + cpuSeconds(one), 0),
  }
}
