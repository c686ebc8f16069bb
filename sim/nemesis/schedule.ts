/**
 * Draws what the nemesis will do, from a seed: two lanes of steps that are played side by side, one that hurts
 * servers and the network, one that hurts agents. Within a lane one fault ends before the next begins, and so
 * the servers lose more than one of them at a time only for as long as the last one needs to come back.
 * Each lane begins with every fault that it knows, in an order of its own; then come draws until time is up.
 */
import { type Random, randomFrom } from '../random.ts'

/** Those that hurt one host, in whichever lane that host belongs. */
export const HOST_FAULTS = ['kill', 'pause', 'power'] as const
/** Those of servers alone, and of the network as a whole. */
export const SERVER_FAULTS = ['kill-etcd', 'isolate', 'groups', 'one-way', 'pair', 'blackout'] as const
/** Those of agents alone: who wipes a server's disk needs a person afterwards. */
export const AGENT_FAULTS = ['wipe'] as const
/** Those of a host that was made for them. */
export const PLACED_FAULTS = ['full-disk', 'clock'] as const

export const FAULTS = [...HOST_FAULTS, ...SERVER_FAULTS, ...AGENT_FAULTS, ...PLACED_FAULTS] as const
export type FaultKind = (typeof FAULTS)[number]

export type Lane = 'servers' | 'agents'

export interface Step {
  readonly kind: FaultKind
  /** Instead of the host that `dice` picks: whoever leads then. */
  readonly atLeader: boolean
  /** Not before all servers are back from what came before it. */
  readonly afterCalm: boolean
  /** How long it lasts, milliseconds. */
  readonly holdMs: number
  /** Quiet after it, milliseconds. */
  readonly restMs: number
  /** Decides what is left to decide when it is played: which host, which groups, which way. */
  readonly dice: number
}

export interface ScheduleOptions {
  /** How long each lane goes on, milliseconds; the first round is played whole. */
  readonly lengthMs: number
  readonly holdMs: readonly [number, number]
  readonly restMs: readonly [number, number]
  readonly agents: number
  /** In which lane the host with the small disk is; null where there is none. */
  readonly fullDisk: Lane | null
  /** In which lane the host with the clock that jumps is; null where there is none. */
  readonly clock: Lane | null
}

export type Schedule = Readonly<Record<Lane, readonly Step[]>>

/** A fault at the leader this often, of a thousand that could be: it is one of many, and the one that matters. */
const AT_LEADER = 400
/** The others meet a cluster that is still at work on what came before. */
const AFTER_CALM = 500
/** All servers but one lose power: for a moment only, whatever the others last. */
const BLACKOUT_MS = 500

export function drawSchedule(seed: number, options: ScheduleOptions): Schedule {
  return { servers: drawLane(seed, 'servers', options), agents: drawLane(seed, 'agents', options) }
}

/** The kinds that a lane plays. */
export function kindsOf(lane: Lane, options: ScheduleOptions): FaultKind[] {
  const kinds: FaultKind[] = []
  if (lane === 'servers') kinds.push(...HOST_FAULTS, ...SERVER_FAULTS)
  else if (options.agents > 0) kinds.push(...HOST_FAULTS, ...AGENT_FAULTS)
  if (options.fullDisk === lane) kinds.push('full-disk')
  if (options.clock === lane) kinds.push('clock')
  return kinds
}

function drawLane(seed: number, lane: Lane, options: ScheduleOptions): Step[] {
  const random = randomFrom(seed, `nemesis ${lane}`)
  const kinds = kindsOf(lane, options)
  const steps: Step[] = []
  if (kinds.length === 0) return steps
  let spentMs = 0
  const add = (kind: FaultKind, isFirst: boolean): void => {
    const step = drawStep(random, lane, kind, isFirst, options)
    steps.push(step)
    spentMs += step.holdMs + step.restMs
  }
  for (const kind of random.shuffled(kinds)) add(kind, true)
  while (spentMs < options.lengthMs) add(random.pick(kinds), false)
  return steps
}

function drawStep(
  random: Random,
  lane: Lane,
  kind: FaultKind,
  isFirst: boolean,
  { holdMs, restMs }: ScheduleOptions,
): Step {
  // A leader that loses power is followed by another, and a daemon that is killed while all is well finds its etcd
  // running: without the one and the other, a run would prove neither.
  const atLeader = random.perMille(AT_LEADER) || (isFirst && kind === 'power')
  const afterCalm = random.perMille(AFTER_CALM) || (isFirst && kind === 'kill')
  return {
    kind,
    atLeader: lane === 'servers' && atLeader,
    afterCalm,
    holdMs: kind === 'blackout' ? BLACKOUT_MS : random.between(...holdMs),
    restMs: random.between(...restMs),
    dice: random.word(),
  }
}
