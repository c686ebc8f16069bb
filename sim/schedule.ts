/**
 * What a seed means: machines, network, faults with their times, all drawn before the run, so that a fault can
 * be taken out and the rest stays as it was. Swarm testing (Groce et al. 2012): each seed leaves out most
 * kinds of fault altogether, so that the others go deeper.
 */
import type { K3sSettings } from '../src/core/k3s.ts'
import { type ClusterSettings, MEMBERSHIP_DEFAULTS, type ServerTarget } from '../src/core/settings.ts'
import type { CrashPoint } from './disk.ts'
import type { LiarPlan } from './liar.ts'
import { type COMMAND_VERBS, drawMembership, NOBODY } from './membership.ts'
import type { NetworkPlan } from './network.ts'
import { type Random, randomFrom } from './random.ts'
import { withK3s } from './schedule-k3s.ts'

export interface MachinePlan {
  /** When it is first switched on, milliseconds. */
  readonly startAt: number
  readonly expect: number
  readonly hostName: string
  readonly preference: 'prefer' | 'neutral' | 'avoid'
  readonly cpus: number
  readonly memoryMiB: number
  /** How much its clock gains, parts per million; the wall clock's offset, milliseconds. */
  readonly driftPpm: number
  readonly wallOffsetMs: number
  /** Times of one durable write, milliseconds. */
  readonly diskMs: readonly number[]
}

export type Fault = { readonly at: number; readonly machine: number } & (
  | {
      readonly kind: 'crash'
      /** Null: at once; else at the next write. */
      readonly point: CrashPoint | null
      /** Writes that are let pass before. */
      readonly skip: number
      /** Whether the whole machine went off, so that peers hear nothing, not even a reset. */
      readonly power: boolean
      readonly offMs: number
    }
  /** Comes back as a new machine: empty disk, new identity. */
  | { readonly kind: 'wipe'; readonly offMs: number }
  | { readonly kind: 'pause'; readonly ms: number }
  | { readonly kind: 'disk-full'; readonly ms: number }
  /** Nothing passes from `machine` and `with` to the others; and back, unless it is one-way. */
  | { readonly kind: 'cut'; readonly with: readonly number[]; readonly oneWay: boolean; readonly ms: number }
  | { readonly kind: 'break'; readonly other: number }
  | { readonly kind: 'power-cut'; readonly offMs: readonly number[] }
  | { readonly kind: 'mesh-down'; readonly ms: number }
  | { readonly kind: 'datastore-hang'; readonly ms: number }
  /** What is ordered is done, but nobody is told. */
  | { readonly kind: 'mesh-mute' | 'datastore-mute'; readonly ms: number }
  /** Off; its disk, as it was at `copyAt`, is put back; on again. */
  | { readonly kind: 'restore'; readonly copyAt: number; readonly offMs: number }
  /** Starts with a copy of another machine's disk; without a fingerprint nothing tells the two apart. */
  | { readonly kind: 'clone'; readonly of: number; readonly fingerprint: boolean; readonly offMs: number }
  /** Everything of muster's is gone, the datastore's data is not. In stories only. */
  | { readonly kind: 'forget'; readonly offMs: number }
  /** The datastore's data is gone, muster's own state is not. */
  | { readonly kind: 'datastore-loss'; readonly offMs: number }
  /** Nothing passes between these two, though both reach all others: not transitive. */
  | { readonly kind: 'sever'; readonly other: number; readonly oneWay: boolean; readonly ms: number }
  /** Everything to and from it takes so much longer. */
  | { readonly kind: 'slow'; readonly byMs: number; readonly ms: number }
  /** A person commands on `machine`, about `other`; or, where it is not lawful, a thief tries to. */
  | {
      readonly kind: 'command'
      readonly other: number
      readonly verb: (typeof COMMAND_VERBS)[number]
      readonly as: 'agent' | 'server'
      readonly lawful: boolean
    }
  /** Off for good: nobody switches it on again. */
  | { readonly kind: 'dies' }
  | { readonly kind: 'clock-jump'; readonly byMs: number }
  | { readonly kind: 'move' }
  /** A person changes settings of k3s, on any server, or steers the rollout that this began. */
  | {
      readonly kind: 'configure'
      readonly k3s: Partial<K3sSettings>
      readonly acceptDowntime: boolean
    }
  | { readonly kind: 'steer'; readonly to: 'pause' | 'resume' }
  /** What k3s starts, or changes to, does not come up there. */
  | { readonly kind: 'k3s-spoilt'; readonly ms: number }
  /** Whoever leads, or stands in a founding, or holds the act, is struck again and again. */
  | {
      readonly kind: 'hunt'
      readonly ms: number
      readonly everyMs: number
      readonly how: 'crash' | 'cut' | 'pause' | 'hang'
      readonly offMs: number
      /** Of the chances to strike. */
      readonly perMille: number
      /** After holders of acts, not leaders. */
      readonly holder?: boolean
      /** One throw of the dice for each candidacy, leadership or act; else one every time. */
      readonly once?: boolean
    }
)

export interface Schedule {
  readonly seed: number
  readonly machines: readonly MachinePlan[]
  readonly cluster: ClusterSettings
  readonly settleMs: number
  readonly network: NetworkPlan
  readonly faults: readonly Fault[]
  readonly liar: LiarPlan | null
  /** Whether the cluster has an operator's key. */
  readonly operator?: boolean
  readonly crypto: 'symbolic' | 'real'
  /** Whether messages and disks pass through the real encoding and schemas. */
  readonly encoded: boolean
  /** From here on nothing goes wrong any more. */
  readonly calmAt: number
  /** How long after calm every healthy machine must be ready (rule 11), milliseconds. */
  readonly boundMs: number
  /** Ends then, ready or not; null: when all is quiet. */
  readonly endAt: number | null
}

const FAULT_KINDS = [
  'crash',
  'wipe',
  'pause',
  'disk-full',
  'cut',
  'break',
  'power-cut',
  'mesh-down',
  'datastore-hang',
  'hunt',
] as const

/** Drawn from numbers of their own, so that those above stay what they were. */
const LATER_KINDS = [
  'restore',
  'restore',
  'clone',
  'datastore-loss',
  'sever',
  'sever',
  'slow',
  'clock-jump',
  'move',
  'mesh-mute',
  'datastore-mute',
] as const

const DISKS: readonly (readonly number[])[] = [[0], [0], [1], [0, 1, 2, 8, 40], [5, 5, 5, 300]]
const DELAYS: readonly (readonly number[])[] = [
  [1],
  [0, 1, 1, 2, 5],
  [10, 20, 20, 30, 60, 200],
  [1, 1, 1, 1, 800],
  [80, 120, 150, 400],
]

/** The schedule of a seed; the same for ever, as long as this function does not change. */
export const drawSchedule = (seed: number): Schedule =>
  hasPeople(seed) ? withK3s(drawKept(seed)) : drawKept(seed)

/**
 * Odd seeds may have people who command, servers that are lost for good, and k3s. This part of the core is young: one
 * such seed in a thousand still breaks a rule, so that campaigns of fresh seeds leave them out unless asked.
 */
const hasPeople = (seed: number): boolean => seed % 2 === 1

function drawKept(seed: number): Schedule {
  const random = randomFrom(seed, 'schedule')
  const focus = random.pick(['founding', 'leader', 'datastore', 'mixed', 'mixed'] as const)
  const count =
    drawCrowd(seed) ??
    random.pick(focus === 'founding' ? [3, 4, 4, 5, 6, 7] : [1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 7, 8, 9])
  const size = drawSize(random, count)
  const { expect } = size
  const calmAt = random.pick(CALMS[focus])
  const kinds = FAULT_KINDS.filter(() => random.perMille(300))
  const intensity = random.pick([1, 3, 6, 12, 25])
  const spreadMs = random.pick([0, 0, 50, 3_000, 60_000])
  const differing = random.perMille(120)
  const machines = Array.from(
    { length: count },
    (_, i): MachinePlan => ({
      startAt: Math.min(random.below(spreadMs + 1) + (i < size.early ? 0 : random.below(calmAt)), calmAt),
      expect: differing && i >= size.early ? Math.max(2, count - size.early) : expect,
      hostName: random.perMille(300) ? 'node' : `host-${i}`,
      preference: random.perMille(800) ? 'neutral' : random.pick(['prefer', 'avoid']),
      cpus: random.pick([1, 2, 4, 4, 64]),
      memoryMiB: random.pick([512, 2_048, 2_048, 262_144]),
      driftPpm: random.pick([0, 0, 50, -50, 500, 20_000, -20_000]),
      wallOffsetMs: random.pick([0, 0, 3_600_000, -3_600_000, 40_000]),
      diskMs: random.pick(DISKS),
    }),
  )
  const faults: Fault[] = drawHunts(random, focus, calmAt)
  if (kinds.length > 0 && random.perMille(900)) {
    for (let i = 0; i < intensity; i++) faults.push(drawFault(random, random.pick(kinds), count, calmAt))
    // Most seeds stay within what rule 1 promises, or they would prove nothing.
    if (random.perMille(750)) spare(faults, random.below(2))
  }
  faults.push(...drawLaterFaults(randomFrom(seed, 'later faults'), count, calmAt))
  const membership = hasPeople(seed) ? drawMembership(randomFrom(seed, 'membership'), count, calmAt) : NOBODY
  faults.push(...membership.faults)
  return {
    seed,
    machines,
    cluster: {
      servers: random.pick<ServerTarget>(['auto', 'auto', 'auto', 1, 3, 5]),
      admission: 'open',
      maxNodes: 64,
      vpnMode: 'wireguard',
      vpnCidr: '10.86.0.0/16',
      distribution: focus === 'datastore' || random.perMille(700) ? 'etcd' : 'none',
      k3s: null,
      ...MEMBERSHIP_DEFAULTS,
      replaceAfterMs: 0,
      ...membership.settings,
    },
    operator: membership.operator,
    settleMs: random.pick([2_000, 5_000, 15_000]),
    network: {
      ...bearable(drawNetwork(random), count),
      ...drawNoise(randomFrom(seed, 'noise')),
      ...drawWidth(randomFrom(seed, 'width')),
    },
    faults: faults.sort((a, b) => a.at - b.at),
    liar: random.perMille(150) ? drawLiar(random) : null,
    crypto: random.perMille(15) && count <= 5 ? 'real' : 'symbolic',
    encoded: random.perMille(60),
    calmAt,
    boundMs: 900_000,
    endAt: null,
  }
}

/** What the seed is about: the founding, the leaders, who holds an act; or whatever comes. */
type Focus = 'founding' | 'leader' | 'datastore' | 'mixed'

const CALMS: Readonly<Record<Focus, readonly number[]>> = {
  founding: [10_000, 30_000],
  leader: [30_000, 90_000],
  datastore: [150_000, 400_000],
  mixed: [5_000, 15_000, 30_000, 60_000, 120_000],
}

/** Faults are biased to where they hurt: to whom the others wait for, at what it is just about to do. */
function drawHunts(random: Random, focus: Focus, calmAt: number): Fault[] {
  if (focus === 'mixed' || random.perMille(150)) return []
  const at = random.pick([0, 0, 2_000, 5_000])
  const how = random.pick(['crash', 'crash', 'cut', 'pause'] as const)
  const hunt = { kind: 'hunt', at, machine: 0, ms: calmAt - at, how } as const
  switch (focus) {
    case 'founding': {
      const everyMs = random.pick([2, 10, 40])
      const offMs = random.pick([1_000, 8_000, 8_000, 25_000])
      return [
        { ...hunt, how: random.perMille(750) ? 'crash' : how, everyMs, offMs, perMille: 450, once: true },
      ]
    }
    case 'leader': {
      const everyMs = random.pick([300, 1_500, 4_000, 7_000])
      return [{ ...hunt, everyMs, offMs: random.pick([0, 1_500, 4_500, 9_000]), perMille: 500 }]
    }
    case 'datastore': {
      const offMs = random.pick([3_000, 30_000, 90_000, 90_000, 200_000])
      return [
        {
          ...hunt,
          how: random.pick(['crash', 'hang', 'cut'] as const),
          everyMs: random.pick([200, 700, 2_500]),
          offMs,
          perMille: 300,
          holder: true,
        },
      ]
    }
    default:
      return focus satisfies never
  }
}

/** A few seeds have fifty machines; a thousand are a scenario of their own: one takes as long as a hundred others. */
const drawCrowd = (seed: number): number | null => (randomFrom(seed, 'crowd').perMille(2) ? 50 : null)

/** Machines of the first day, and those of later; rarely more than `expect` allows at once. */
function drawSize(random: Random, count: number): { readonly expect: number; readonly early: number } {
  const dice = random.below(100)
  if (dice < 65 || count === 1) return { expect: count, early: count }
  if (dice < 90) {
    const expect = random.between(Math.min(2, count - 1), count - 1)
    return { expect, early: expect + random.below(2) }
  }
  if (dice < 96) return { expect: count + 1, early: count }
  return { expect: random.between(1, count), early: count }
}

/** Takes all wipes but a few out. */
function spare(faults: Fault[], left: number): void {
  let seen = 0
  for (let i = faults.length - 1; i >= 0; i--) {
    if (faults[i]?.kind !== 'wipe') continue
    seen += 1
    if (seen > left) faults.splice(i, 1)
  }
}

function drawLaterFaults(random: Random, count: number, calmAt: number): Fault[] {
  if (random.perMille(600)) return []
  const kinds = LATER_KINDS.filter(() => random.perMille(250))
  if (kinds.length === 0) return []
  const intensity = random.pick([1, 2, 4, 8])
  const faults = Array.from({ length: intensity }, () =>
    drawLaterFault(random, random.pick(kinds), count, calmAt),
  )
  // One copied disk is what the rules promise to survive; more of them only now and then.
  let copies = 0
  const isSpared = random.perMille(800)
  return faults.filter(({ kind }) => {
    if (kind !== 'restore' && kind !== 'clone' && kind !== 'datastore-loss') return true
    copies += 1
    return copies === 1 || !isSpared
  })
}

function drawLaterFault(
  random: Random,
  kind: (typeof LATER_KINDS)[number],
  count: number,
  calmAt: number,
): Fault {
  const at = random.perMille(300) ? random.below(Math.min(calmAt, 8_000)) : random.below(calmAt)
  const machine = random.below(count)
  const other = random.below(count)
  const left = Math.max(1, calmAt - at)
  const ms = Math.min(left, random.pick([100, 1_000, 5_000, 20_000, 60_000]))
  switch (kind) {
    case 'restore':
      return {
        at,
        machine,
        kind,
        copyAt: Math.max(0, at - random.pick([100, 1_000, 5_000, 20_000, 100_000])),
        offMs: ms,
      }
    case 'clone':
      return { at, machine, kind, of: other, fingerprint: random.perMille(500), offMs: ms }
    case 'datastore-loss':
      return { at, machine, kind, offMs: ms }
    case 'sever':
      return { at, machine, kind, other, oneWay: random.perMille(300), ms }
    case 'slow':
      return { at, machine, kind, byMs: random.pick([50, 300, 1_500, 4_000]), ms }
    case 'clock-jump':
      return { at, machine, kind, byMs: random.pick([3_600_000, -3_600_000, 86_400_000, -1_000]) }
    case 'move':
      return { at, machine, kind }
    case 'mesh-mute':
    case 'datastore-mute':
      return { at, machine, kind, ms }
    default:
      return kind satisfies never
  }
}

/** With a fifth of all lost, one of fifty has always just missed two beats: never are all ready at once. */
const bearable = (network: NetworkPlan, count: number): NetworkPlan =>
  count < 20 ? network : { ...network, lossPerMille: Math.min(network.lossPerMille, 50) }

function drawNetwork(random: Random): NetworkPlan {
  const wild = random.perMille(350)
  return {
    ordered: !wild,
    delaysMs: random.pick(DELAYS),
    lossPerMille: wild ? random.pick([0, 10, 50, 200]) : 0,
    duplicatePerMille: wild ? random.pick([0, 10, 50, 200]) : 0,
    discoverMs: random.pick([
      [5, 20, 50],
      [100, 500, 1_000],
      [50, 2_000, 9_000],
    ]),
    redialMs: random.pick([
      [20, 50],
      [200, 500, 1_000],
      [1_000, 5_000],
    ]),
    noticeMs: random.pick([
      [1, 5],
      [50, 500],
      [3_000, 15_000],
    ]),
  }
}

/** Flipped bits: the cipher notices, and ends the connection. */
const drawNoise = (random: Random): Partial<NetworkPlan> =>
  random.perMille(100) ? { corruptPerMille: random.pick([1, 5, 30]) } : {}

/** Narrow links count where messages are encoded; there every third seed has them. */
const drawWidth = (random: Random): Partial<NetworkPlan> =>
  random.perMille(350) ? { bytesPerSecond: random.pick([4_000, 20_000, 100_000]) } : {}

function drawLiar(random: Random): LiarPlan {
  return {
    everyMs: random.pick([20, 100, 500, 2_000]),
    startAt: random.pick([0, 0, 3_000, 20_000]),
    founds: random.perMille(200),
    replays: random.perMille(700),
    floods: random.perMille(200),
  }
}

function drawFault(random: Random, kind: (typeof FAULT_KINDS)[number], count: number, calmAt: number): Fault {
  const at = random.perMille(500) ? random.below(Math.min(calmAt, 8_000)) : random.below(calmAt)
  const machine = random.below(count)
  const left = Math.max(1, calmAt - at)
  const some = (high: number): number => Math.min(left, random.pick([0, 100, 1_000, 5_000, 20_000, high]))
  switch (kind) {
    case 'crash': {
      const points: (CrashPoint | null)[] = [
        null,
        'before-write',
        'in-write',
        'after-write',
        'after-write',
        'between-effects',
      ]
      return {
        at,
        machine,
        kind,
        point: random.pick(points),
        power: random.perMille(400),
        skip: random.pick([0, 0, 1, 2, 5]),
        offMs: some(60_000),
      }
    }
    case 'wipe':
      return { at, machine, kind, offMs: some(30_000) }
    case 'pause':
    case 'disk-full':
    case 'mesh-down':
    case 'datastore-hang':
      return { at, machine, kind, ms: some(60_000) }
    case 'cut': {
      const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== machine)
      const together = others.filter(() => random.perMille(300))
      return { at, machine, kind, with: together, oneWay: random.perMille(300), ms: some(60_000) }
    }
    case 'break':
      return { at, machine, kind, other: random.below(count) }
    case 'power-cut':
      return { at, machine, kind, offMs: Array.from({ length: count }, () => some(30_000)) }
    case 'hunt': {
      const everyMs = random.pick([20, 200, 1_500, 4_000, 9_000])
      const how = random.pick(['crash', 'cut', 'pause'] as const)
      const offMs = random.pick([0, 100, 3_000, 6_000, 20_000])
      return { at, machine, kind, ms: some(60_000), everyMs, how, offMs, perMille: 400 }
    }
    default:
      return kind satisfies never
  }
}
