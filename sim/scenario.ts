/** Schedules written by hand: a small cluster on a good network, and the faults that a story is about. */
import { type K3sSettings, plainK3s } from '../src/core/k3s.ts'
import { type ClusterSettings, MEMBERSHIP_DEFAULTS, type ServerTarget } from '../src/core/settings.ts'
import type { LiarPlan } from './liar.ts'
import type { NetworkPlan } from './network.ts'
import type { Fault, MachinePlan, Schedule } from './schedule.ts'

/** What a story says; all else is ordinary. */
export interface Story {
  readonly seed?: number
  readonly expect: number
  /** What differs from an ordinary machine, one entry each. */
  readonly machines: readonly Partial<MachinePlan>[]
  readonly faults?: readonly Fault[]
  readonly network?: Partial<NetworkPlan>
  readonly servers?: ServerTarget
  readonly distribution?: 'k3s' | 'etcd' | 'none'
  /** What differs from plain settings, where it is k3s. */
  readonly k3s?: Partial<K3sSettings>
  /** Who may be promoted, how long a dead server is waited for, and whether newcomers wait. */
  readonly membership?: Partial<Pick<ClusterSettings, 'promote' | 'replaceAfterMs' | 'admission'>>
  readonly operator?: boolean
  readonly settleMs?: number
  readonly liar?: LiarPlan
  readonly calmAt?: number
  readonly endAt?: number
}

const QUIET_NETWORK: NetworkPlan = {
  ordered: true,
  delaysMs: [10],
  lossPerMille: 0,
  duplicatePerMille: 0,
  discoverMs: [100],
  redialMs: [500],
  noticeMs: [20],
}

export function scheduleOf(story: Story): Schedule {
  const { expect, machines, faults = [], servers = 'auto', distribution = 'etcd' } = story
  return {
    seed: story.seed ?? 1,
    machines: machines.map((given, i) => ({
      startAt: 0,
      expect,
      hostName: `host-${i}`,
      preference: 'neutral',
      cpus: 2,
      memoryMiB: 2_048,
      driftPpm: 0,
      wallOffsetMs: 0,
      diskMs: [0],
      ...given,
    })),
    cluster: {
      servers,
      admission: 'open',
      maxNodes: 64,
      vpnMode: 'wireguard',
      vpnCidr: '10.86.0.0/16',
      distribution,
      k3s: distribution === 'k3s' ? { ...plainK3s(), ...story.k3s } : null,
      ...MEMBERSHIP_DEFAULTS,
      ...story.membership,
    },
    settleMs: story.settleMs ?? 3_000,
    network: { ...QUIET_NETWORK, ...story.network },
    faults: [...faults].sort((a, b) => a.at - b.at),
    liar: story.liar ?? null,
    ...(story.operator === true ? { operator: true } : {}),
    crypto: 'symbolic',
    encoded: false,
    calmAt: story.calmAt ?? 1_000,
    boundMs: 600_000,
    endAt: story.endAt ?? null,
  }
}

/** Machines without anything special. */
export const machines = (count: number): Partial<MachinePlan>[] => Array.from({ length: count }, () => ({}))
