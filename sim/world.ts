/** One run of one schedule: virtual time, machines, network, faults and oracles, until all is quiet. */

import type { Event } from '../src/core/events.ts'
import { digest } from '../src/core/ids.ts'
import type { Settings } from '../src/core/settings.ts'
import { type Counters, createCounters } from './counters.ts'
import { type Keys, realKeymaker, sha256, symbolicKeymaker } from './crypto.ts'
import type { Datastore } from './datastore.ts'
import { createDht, type Dht } from './dht.ts'
import { strike } from './faults.ts'
import { createLiar } from './liar.ts'
import { createMachine, type Machine } from './machine.ts'
import { createNetwork, type Network } from './network.ts'
import { createOperator, type Operator } from './operator.ts'
import { contentOf } from './oracles/contents.ts'
import { expectable, lacks, owes, told } from './oracles/liveness.ts'
import { createOracles, type Oracles } from './oracles.ts'
import { createQueue } from './queue.ts'
import { type Random, randomFrom } from './random.ts'
import type { Schedule } from './schedule.ts'
import type { Trace } from './trace.ts'

export interface World {
  readonly seed: number
  readonly now: number
  readonly encoded: boolean
  /** Neither network nor disks ever hold anything up for long. */
  readonly swift: boolean
  /** Messages are lost for good all the time: now and then somebody always just missed a beat. */
  readonly lossy: boolean
  /** For what belongs to no machine and no link. */
  readonly random: Random
  readonly machines: readonly Machine[]
  /** The first machine with this ID: of copies of a disk there are several. */
  machineOf(id: string): Machine | undefined
  /** A machine has another ID from now on: it was wiped, or is a copy. */
  renamed(): void
  readonly network: Network
  readonly dht: Dht
  readonly operator: Operator
  readonly datastores: Datastore[]
  readonly counters: Counters
  readonly oracles: Oracles
  readonly trace: Trace | null
  at(time: number, run: () => void): void
  /** A core took a step: counted, and mixed into the digest of the run. */
  stepped(machine: number, event: Event, effects: number): void
  /** A core asked to be woken now. */
  woke(machine: number, why: string): void
}

export interface Violation {
  readonly rule: number
  readonly message: string
  readonly at: number
}

export interface Result {
  readonly violation: Violation | null
  /** Why rules did not bind this run. */
  readonly excuse: string | null
  readonly steps: number
  readonly virtualMs: number
  /** Everything that happened, and what is on the disks at the end: equal for equal runs. */
  readonly digest: string
  readonly counts: ReadonlyMap<string, number>
  /** Whether, and when, every machine that could be was ready after the faults. */
  readonly readyAt: number | null
}

/** More steps of all machines at one moment than anything but a loop takes. */
const STEPS_PER_MOMENT = 20_000
/** Faults after which a machine has another identity. */
const NEW_LIFE: ReadonlySet<string> = new Set(['wipe', 'forget'])
const SETTLE_LOOK_MS = 500
const WATCH_MS = 1_000
/** Ready must last this long to count. */
const QUIET_MS = 3_000

/** The machines as they are when the run ends: for stories that say what must have come of them. */
export interface Ending {
  readonly machines: readonly Machine[]
}

export async function runSchedule(
  schedule: Schedule,
  trace: Trace | null = null,
  atEnd: (ending: Ending) => void = () => undefined,
): Promise<Result> {
  const { seed, machines: plans } = schedule
  const queue = createQueue()
  const counters = createCounters()
  const keymaker = schedule.crypto === 'real' ? realKeymaker : symbolicKeymaker()
  let violation: Violation | null = null
  let now = 0
  let steps = 0
  let hashA = 0x811c9dc5
  let hashB = 0x9e3779b9
  let momentSteps = 0
  let lastWoken = ''

  const identities: Keys[][] = []
  for (let i = 0; i < plans.length; i++) {
    const lives =
      1 + schedule.faults.filter((fault) => NEW_LIFE.has(fault.kind) && fault.machine === i).length
    const random = randomFrom(seed, `keys ${i}`)
    const list: Keys[] = []
    for (let life = 0; life < lives; life++) {
      list.push(await keymaker(`${String.fromCharCode(97 + i)}${life === 0 ? '' : life + 1}x`, random))
    }
    identities.push(list)
  }
  const liarKeys = await keymaker('liar', randomFrom(seed, 'liar keys'))
  const operatorKeys =
    schedule.operator === true ? await keymaker('person', randomFrom(seed, 'operator keys')) : null
  const liars = new Set(schedule.liar === null ? [] : [liarKeys.id])

  const violate = (rule: number, message: string): void => {
    violation ??= { rule, message, at: now }
    trace?.note(now, `VIOLATION of rule ${rule}: ${message}`)
  }
  const machines: Machine[] = []
  let byId: Map<string, Machine> | null = null
  const world: World = {
    seed,
    get now() {
      return now
    },
    encoded: schedule.encoded,
    swift:
      schedule.network.ordered &&
      schedule.network.bytesPerSecond === undefined &&
      Math.max(...schedule.network.delaysMs, ...plans.flatMap(({ diskMs }) => diskMs)) <= 200 &&
      schedule.faults.every(({ kind }) => kind !== 'slow' && kind !== 'disk-full'),
    lossy: schedule.network.lossPerMille > 0,
    random: randomFrom(seed, 'world'),
    machines,
    machineOf: (id) => {
      if (byId === null) {
        byId = new Map()
        for (const machine of machines) if (!byId.has(machine.keys.id)) byId.set(machine.keys.id, machine)
      }
      return byId.get(id)
    },
    renamed: () => {
      byId = null
    },
    get network() {
      return network
    },
    get dht() {
      return dht
    },
    get operator() {
      return operator
    },
    datastores: [],
    counters,
    oracles: createOracles(violate, liars, Math.min(...plans.map((plan) => plan.expect)), () => world),
    trace,
    at: (time, run) => queue.add(time, run),
    stepped: (machine, event, effects) => {
      steps += 1
      momentSteps += 1
      hashA = Math.imul(hashA ^ (now * 16 + machine), 0x01000193)
      hashB = Math.imul(hashB + ((codeOf(event) << 8) ^ effects), 0x85ebca6b) ^ (hashA >>> 15)
      if (momentSteps === STEPS_PER_MOMENT)
        violate(11, `the cores are busy without end, the last one by '${lastWoken}'`)
    },
    woke: (machine, why) => {
      lastWoken = `${machines[machine]?.name ?? machine}: ${why}`
    },
  }
  trace?.attach(world)
  const network = createNetwork(world, schedule.network, schedule.encoded, plans.length)
  const dht = createDht(world)
  const operator = createOperator(world, operatorKeys)

  plans.forEach((plan, i) => {
    const machine = createMachine(world, i, plan, settingsOf(schedule, i, operatorKeys), identities[i] ?? [])
    machines.push(machine)
    network.plug(machine)
    queue.add(plan.startAt, () => machine.boot())
  })
  if (schedule.liar !== null) network.plug(createLiar(world, plans.length, schedule.liar, liarKeys))
  for (const fault of schedule.faults) {
    queue.add(fault.at, () => strike(world, fault, schedule.calmAt))
    if (fault.kind === 'restore') queue.add(fault.copyAt, () => machines[fault.machine]?.keep())
  }

  let readyAt: number | null = null
  let readySince: number | null = null
  let lateExcuse: string | null = null
  let isOver = false
  const lookWhetherReady = (): void => {
    const { machines: wanted, excuse } = expectable(world)
    lateExcuse = excuse
    const missing = firstMissing(world, wanted)
    const lacking = missing === undefined ? owes(world) : notReady(missing)
    if (lacking === null && excuse === null) readySince ??= now
    else readySince = null
    if (readySince !== null && now - readySince >= QUIET_MS) {
      readyAt = readySince
      isOver = true
    } else if (excuse !== null && now - schedule.calmAt >= 60_000) {
      isOver = true
    } else if (now - schedule.calmAt >= schedule.boundMs) {
      violate(11, `${schedule.boundMs / 1000} s after the last fault ${lacking ?? 'not all are there'}`)
    }
    queue.add(now + SETTLE_LOOK_MS, lookWhetherReady)
  }
  if (schedule.endAt === null) queue.add(schedule.calmAt + 1, lookWhetherReady)
  else {
    queue.add(schedule.endAt, () => {
      isOver = true
    })
  }

  const watch = (): void => {
    world.oracles.watch()
    queue.add(now + WATCH_MS, watch)
  }
  queue.add(WATCH_MS, watch)

  while (violation === null && !isOver) {
    const at = queue.nextAt()
    const run = queue.take()
    if (run === undefined) break
    if (at > now) momentSteps = 0
    now = at
    run()
  }
  world.oracles.bounds.weigh()
  atEnd({ machines })
  counters.add('steps', steps)
  const disks = machines.map(({ disk }) => (disk.durable === null ? 'empty' : contentOf(disk.durable)))
  const course = `${(hashA >>> 0).toString(16).padStart(8, '0')}${(hashB >>> 0).toString(16).padStart(8, '0')}`
  return {
    violation,
    excuse: world.oracles.founding.excuse() ?? world.oracles.copies.excuse() ?? lateExcuse,
    steps,
    virtualMs: now,
    digest: `${course}-${sha256(new TextEncoder().encode(disks.join())).slice(0, 8)}`,
    counts: counters.counts,
    readyAt,
  }
}

/** The first machine that is not ready, and what it lacks: looking at all of them took a tenth of the time. */
function firstMissing(world: World, wanted: readonly Machine[]): readonly [Machine, string] | undefined {
  for (const machine of wanted) {
    const why = lacks(world, machine)
    if (why !== null) return [machine, why]
  }
  return undefined
}

/** What is true of it, and what it says to a person: the two must agree. */
const notReady = ([machine, why]: readonly [Machine, string]): string =>
  `${machine.name} is not ready: ${why} (${told(machine)})`

/** What happened, in one number: the kind of event, and of whom. */
function codeOf(event: Event): number {
  if (event.kind === 'message') {
    const { kind } = event.message
    return (kind.charCodeAt(0) * 31 + kind.length) * 127 + event.from.charCodeAt(event.from.length - 1)
  }
  return event.kind.length
}

function settingsOf(schedule: Schedule, index: number, operator: Keys | null): Settings {
  const plan = schedule.machines[index]
  return {
    network: 'sim',
    networkId: digest(sha256(new TextEncoder().encode(`network ${schedule.seed}`))),
    expect: plan?.expect ?? 1,
    pin: null,
    settleMs: schedule.settleMs,
    founders: null,
    serverPreference: plan?.preference ?? 'neutral',
    allowEphemeral: false,
    cluster: operator === null ? schedule.cluster : { ...schedule.cluster, operators: [operator.id] },
  }
}
