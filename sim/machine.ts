/**
 * A simulated machine: does with the core exactly what the host's driver does (the duties in the head of
 * src/core/node.ts), and dies in the middle of it when its schedule says so.
 */
import type { Effect, Event } from '../src/core/events.ts'
import { assertNever, type Millis, millis, type NodeId } from '../src/core/ids.ts'
import { nextDeadline, start, step } from '../src/core/node.ts'
import type { Settings } from '../src/core/settings.ts'
import type { Durable, NodeState } from '../src/core/state.ts'
import type { Keys } from './crypto.ts'
import { randomBytes, sha256 } from './crypto.ts'
import { createDatastorePart, type DatastoreCopy, type DatastorePart } from './datastore.ts'
import { type CrashPoint, createDisk, type Disk } from './disk.ts'
import type { Endpoint } from './network.ts'
import { createMeshPart, type MeshPart } from './parts.ts'
import { type Random, randomFrom } from './random.ts'
import type { MachinePlan } from './schedule.ts'
import type { World } from './world.ts'

export interface Machine extends Endpoint {
  readonly name: string
  readonly keys: Keys
  readonly disk: Disk
  /** The running core; null while the daemon is down. */
  readonly state: NodeState | null
  readonly paused: boolean
  /** Since when it runs without a pause, and without a disk that holds it up. */
  readonly awakeSince: number
  /** When it last went off, or fell asleep. */
  readonly leftAt: number
  readonly mesh: MeshPart
  readonly datastore: DatastorePart
  readonly settings: Settings
  /** This process's monotonic clock. */
  clock(): Millis
  boot(): void
  /** The daemon, or the whole machine, ends now. */
  crash(power: boolean): void
  /** Dies at this point of its next write but `skip`, and calls back. */
  trap(point: CrashPoint, power: boolean, skip: number, onCrash: () => void): void
  disarm(): void
  pause(): void
  resume(): void
  /** Off for good. */
  die(): void
  readonly isDead: boolean
  /** IDs that it had before it was wiped, oldest first. */
  readonly formerIds: readonly NodeId[]
  /** A command was given to it: unless it goes off or freezes, it must answer within this time, once. */
  expectAnswer(request: string, withinMs: number): void
  /** A new machine in the old one's place: empty disk, new keys. Only while off. */
  wipe(): void
  /** As {@link wipe}, but the datastore's data is elsewhere and stays. */
  forget(): void
  /** Where it is found on the network. */
  readonly lanAddress: string
  /** The network gives it another address; a running daemon notices. */
  move(): void
  /** Its wall clock jumps; the monotonic one does not. */
  jump(byMs: number): void
  /** A copy of its disk is made; {@link restore} puts the newest one back. */
  keep(): void
  /** Only while off. @returns whether there was a copy. */
  restore(): boolean
  /** Only while off: its disk is a copy of the other's, keys and all. */
  become(original: Machine, hasFingerprint: boolean): void
  handle(event: Event): void
}

const BATCH_MAX = 256
const SAVE_RETRY_MS = 1_000

export function createMachine(
  world: World,
  index: number,
  plan: MachinePlan,
  settings: Settings,
  identities: readonly Keys[],
): Machine {
  const name = index < 26 ? String.fromCharCode(97 + index) : `n${index}`
  const random: Random = randomFrom(world.seed, `machine ${index}`)
  const { counters, oracles } = world
  let life = 0
  let keys = identityAt(identities, 0)
  let disk = createDisk(random, plan.diskMs, world.encoded)
  let state: NodeState | null = null
  let bootedAt = 0
  /** Counts starts of the process: what an earlier one began is void. */
  let run = 0
  let paused = false
  let awakeSince = 0
  let leftAt = Number.NEGATIVE_INFINITY
  let busy = false
  let inbox: Event[] = []
  let timerAt = Number.POSITIVE_INFINITY
  let moves = 0
  let isDead = false
  const formerIds: NodeId[] = []
  /** Commands that await their answer. */
  const awaited = new Set<string>()
  let wallJumpMs = 0
  let hasFingerprint = true
  let copy: { readonly durable: Durable | null; readonly datastore: DatastoreCopy } | null = null
  let armed: {
    readonly point: CrashPoint
    readonly power: boolean
    skip: number
    readonly onCrash: () => void
  } | null = null

  const clock = (): Millis => {
    const elapsed = world.now - bootedAt
    return millis(elapsed + Math.floor((elapsed * plan.driftPpm) / 1_000_000))
  }

  const lanAddress = (): string => `192.${168 + moves}.${index >> 7}.${(index % 128) + 1}`

  const tellAddresses = (): void =>
    handle({
      kind: 'addresses',
      addresses: [`/ip4/${lanAddress()}/tcp/7700`],
      endpoints: [`${lanAddress()}:51820`],
      lanAddress: lanAddress(),
    })

  const boot = (): void => {
    if (state !== null || isDead) return
    run += 1
    bootedAt = world.now
    awakeSince = world.now
    busy = false
    paused = false
    inbox = []
    timerAt = Number.POSITIVE_INFINITY
    counters.add('boots')
    world.trace?.machine(machine, disk.durable === null ? 'starts with an empty disk' : 'starts again')
    const first = start(keys.crypto, clock(), {
      id: keys.id,
      settings,
      claim: {
        name: plan.hostName,
        sealKey: keys.sealKey,
        wireguardKey: keys.wireguardKey,
        lanAddress: lanAddress(),
        serverPreference: plan.preference,
        cpus: plan.cpus,
        memoryMiB: plan.memoryMiB,
      },
      version: 'sim',
      fingerprint: hasFingerprint ? sha256(new TextEncoder().encode(`machine ${index} ${life}`)) : null,
      ephemeral: null,
      damaged: null,
      entropy: randomBytes(random, 32),
      wallMs: 1_700_000_000_000 + world.now + plan.wallOffsetMs + wallJumpMs,
      durable: disk.durable,
      distribution: datastore.factsAtStart(),
    })
    state = first.state
    world.network.joined(index)
    carryOut(first.effects)
    if (state === null) return
    tellAddresses()
    mesh.started()
    datastore.started()
  }

  const crash = (power: boolean): void => {
    if (state === null) return
    run += 1
    awaited.clear()
    leftAt = world.now
    state = null
    inbox = []
    armed = null
    counters.add('crashes')
    world.trace?.machine(machine, power ? 'loses power' : 'is killed')
    mesh.stopped(power)
    datastore.stopped(power)
    world.network.left(index, power)
  }

  const trapped = (point: CrashPoint): boolean => {
    if (armed?.point !== point || armed.skip >= 0) return false
    const { power, onCrash } = armed
    counters.add(`crashes ${point}`)
    crash(power)
    onCrash()
    return true
  }

  const drain = (): void => {
    while (state !== null && !busy && !paused && inbox.length > 0) {
      const now = clock()
      const batch = inbox.length <= BATCH_MAX ? inbox : inbox.slice(0, BATCH_MAX)
      inbox = inbox.length <= BATCH_MAX ? [] : inbox.slice(BATCH_MAX)
      let effects: Effect[] = []
      for (const event of batch) {
        const answer = stepOnce(state, now, event)
        effects = effects.length === 0 ? answer : [...effects, ...answer]
      }
      carryOut(effects)
    }
    if (state !== null && !busy) oracles.settled(machine)
  }

  const stepOnce = (of: NodeState, now: Millis, event: Event): Effect[] => {
    const effects = step(keys.crypto, of, now, event)
    world.stepped(index, event, effects.length)
    world.trace?.event(machine, event)
    return effects
  }

  const carryOut = (effects: readonly Effect[]): void => {
    let newest: Durable | null = null
    for (const effect of effects) if (effect.kind === 'persist') newest = effect.durable
    if (newest === null) perform(effects, 0)
    else save(newest, effects)
  }

  const save = (durable: Durable, effects: readonly Effect[]): void => {
    if (armed !== null) armed.skip -= 1
    if (trapped('before-write')) return
    if (armed?.point === 'in-write' && armed.skip < 0) {
      const { id } = keys
      if (disk.tear(durable)) {
        world.trace?.disk(machine, durable)
        oracles.persisted(id, durable)
      }
      trapped('in-write')
      return
    }
    const latency = disk.latency()
    if (latency === 0 && !disk.full) {
      saved(durable, effects)
      return
    }
    busy = true
    const thisRun = run
    world.at(world.now + latency + (disk.full ? SAVE_RETRY_MS : 0), () => {
      if (run !== thisRun) return
      if (disk.full) {
        counters.add('failed writes')
        awakeSince = world.now
        save(durable, effects)
        return
      }
      busy = false
      saved(durable, effects)
      drain()
      rearm()
    })
  }

  const saved = (durable: Durable, effects: readonly Effect[]): void => {
    disk.replace(durable)
    counters.add('writes')
    world.trace?.disk(machine, durable)
    oracles.persisted(keys.id, durable)
    if (trapped('after-write')) return
    const isLast = armed?.point === 'between-effects' && armed.skip < 0
    const dieAfter = isLast ? random.below(effects.length) : -1
    perform(effects, dieAfter)
  }

  const perform = (effects: readonly Effect[], dieAfter: number): void => {
    const thisRun = run
    for (let i = 0; i < effects.length; i++) {
      const effect = effects[i]
      if (effect === undefined || run !== thisRun) return
      performOne(effect)
      if (i === dieAfter) trapped('between-effects')
    }
  }

  const performOne = (effect: Effect): void => {
    world.trace?.effect(machine, effect)
    switch (effect.kind) {
      case 'persist':
        return
      case 'send':
        oracles.sent(machine, effect.to, effect.message)
        world.network.send(index, effect.to, effect.message)
        return
      case 'dial':
        world.network.dial(index, effect.peer)
        return
      case 'mesh':
        oracles.ordered(machine, effect)
        mesh.order(effect)
        return
      case 'distribution':
        oracles.ordered(machine, effect)
        datastore.order(effect)
        return
      case 'publish':
        world.dht.publish(effect.record)
        return
      case 'lookup':
        world.dht.lookup(machine, effect.genesis)
        return
      case 'answer':
        counters.add(effect.ok ? 'commands obeyed' : 'commands refused')
        if (!awaited.delete(effect.request)) oracles.violate(11, `${effect.request} is answered twice`)
        return
      case 'shun':
        counters.add('shunned')
        for (const other of world.machines) {
          if (effect.peers.includes(other.keys.id)) world.network.breakLink(index, other.index)
        }
        return
      case 'log':
        counters.logged(effect.event)
        oracles.logged(machine, effect.event, effect.fields)
        return
      default:
        assertNever(effect)
    }
  }

  /** One wake-up is in the queue at a time; a later deadline lets it come early and look again. */
  const rearm = (): void => {
    if (state === null || busy || paused) return
    const now = clock()
    const due = nextDeadline(state, now).at
    const at = world.now + Math.max(0, Math.min(due - now, 60_000))
    if (at >= timerAt) return
    timerAt = at
    const thisRun = run
    world.at(at, () => {
      if (run !== thisRun || timerAt !== at) return
      timerAt = Number.POSITIVE_INFINITY
      if (state === null || paused || busy) return
      const { at: dueNow, why } = nextDeadline(state, clock())
      if (dueNow > clock()) rearm()
      else {
        world.woke(index, why)
        handle({ kind: 'timer' })
      }
    })
  }

  const handle = (event: Event): void => {
    if (state === null) return
    inbox.push(event)
    if (busy || paused) return
    drain()
    rearm()
  }

  const forget = (): void => {
    life += 1
    formerIds.push(keys.id)
    keys = identityAt(identities, life)
    world.renamed()
    disk = createDisk(random, plan.diskMs, world.encoded)
    copy = null
    hasFingerprint = true
    mesh.wiped()
  }

  const machine: Machine = {
    index,
    name,
    get keys() {
      return keys
    },
    get disk() {
      return disk
    },
    get state() {
      return state
    },
    get paused() {
      return paused
    },
    get leftAt() {
      return leftAt
    },
    get awakeSince() {
      return awakeSince
    },
    get mesh() {
      return mesh
    },
    get datastore() {
      return datastore
    },
    settings,
    id: () => (state === null ? null : keys.id),
    clock,
    boot,
    crash,
    trap: (point, power, skip, onCrash) => {
      armed = { point, power, skip, onCrash }
    },
    disarm: () => {
      armed = null
    },
    pause: () => {
      if (state === null || paused) return
      paused = true
      leftAt = world.now
    },
    resume: () => {
      if (!paused) return
      paused = false
      awakeSince = world.now
      drain()
      rearm()
    },
    get isDead() {
      return isDead
    },
    die: () => {
      crash(true)
      isDead = true
    },
    get formerIds() {
      return formerIds
    },
    expectAnswer: (request, withinMs) => {
      const thisRun = run
      awaited.add(request)
      const from = world.now
      world.at(from + withinMs, () => {
        const wasAwake = run === thisRun && !paused && !busy && awakeSince <= from
        const isOwed = wasAwake && awaited.has(request)
        if (isOwed) oracles.violate(11, `${request} given to ${name} was never answered`)
      })
    },
    wipe: () => {
      forget()
      datastore.wiped()
    },
    forget,
    get lanAddress() {
      return lanAddress()
    },
    move: () => {
      moves += 1
      tellAddresses()
    },
    jump: (byMs) => {
      wallJumpMs += byMs
    },
    keep: () => {
      copy = { durable: disk.durable, datastore: datastore.copy() }
    },
    restore: () => {
      if (copy === null) return false
      disk.restore(copy.durable)
      datastore.restore(copy.datastore)
      oracles.copied(keys.id, 'restored', copy.durable)
      return true
    },
    become: (original, fingerprinted) => {
      keys = original.keys
      world.renamed()
      hasFingerprint = fingerprinted
      disk = createDisk(random, plan.diskMs, world.encoded)
      disk.restore(original.disk.durable)
      mesh.wiped()
      datastore.wiped()
      oracles.copied(keys.id, 'cloned', disk.durable)
    },
    handle,
    connected: (peer) => handle({ kind: 'connected', peer }),
    disconnected: (peer) => handle({ kind: 'disconnected', peer }),
    receive: (from, message) => {
      oracles.people.received(machine, from)
      handle({ kind: 'message', from, message })
    },
  }
  const mesh = createMeshPart(world, machine)
  const datastore = createDatastorePart(world, machine)
  return machine
}

function identityAt(identities: readonly Keys[], life: number): Keys {
  const keys = identities[life]
  if (keys === undefined) throw new RangeError('more lives than identities')
  return keys
}
