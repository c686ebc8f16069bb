/**
 * The distribution as muster drives it: etcd by the facts of the field (FIELD.md). Data on the disk wins over
 * every flag, a datastore works by a quorum of its own members, one learner at a time, initialising makes a
 * datastore with a new ID. The driver here does what src/host/distribution does with the same orders.
 */
import type { Effect } from '../src/core/events.ts'
import type { Digest } from '../src/core/ids.ts'
import type { DistributionFacts, DistributionOrder, HostProblem } from '../src/core/orders.ts'
import { createK3s, type K3s, type K3sCopy } from './k3s.ts'
import type { Machine } from './machine.ts'
import type { Part } from './parts.ts'
import type { World } from './world.ts'

/** One datastore, as an all-seeing eye has it. */
export interface Datastore {
  readonly id: string
  readonly genesis: Digest
  readonly epoch: number
  readonly madeBy: string
  members: Member[]
}

interface Member {
  readonly name: string
  readonly machine: Machine
  voter: boolean
  running: boolean
  startedAt: number
}

interface Data {
  readonly genesis: Digest
  readonly epoch: number
  store: Datastore | null
  member: Member | null
}

export type DatastoreCopy = { readonly data: Data | null; readonly k3s: K3sCopy }

export interface DatastorePart extends Part {
  order(effect: Extract<Effect, { kind: 'distribution' }>): void
  factsAtStart(): DistributionFacts
  /** Whether this machine's member of the datastore with this ID is a voter that answers. */
  serves(id: string | null): boolean
  /** The data as a copy of the disk would have it now. */
  copy(): DatastoreCopy
  /** Only while off: the disk is that of then; null: its data is lost. */
  restore(copy: DatastoreCopy | null): void
  /** When its member last was a voter that answered, and until when it told nobody of anything. */
  readonly servedAt: number
  readonly muteUntil: number
  /** Whether k3s works here: API server or kubelet, and this machine's Node. */
  isReady(): boolean
  /** What k3s runs here, or was last started with. */
  readonly k3s: K3s['disk']
  readonly isSpoilt: boolean
  /** A person gave it settings with which it cannot come up. */
  isMisled(): boolean
  /** What is started or changed from now on does not come up, or does again. */
  spoil(isSpoilt: boolean): void
  /** Whether its member counts as a voter in a datastore that its disk has no data of. */
  isStale(): boolean
  /** Whether the datastore took its member out, for good. */
  isRemoved(): boolean
  /** What is on its disk. */
  readonly data: { readonly genesis: Digest; readonly epoch: number; readonly store: Datastore | null } | null
}

const START_MS = [300, 800, 800, 3_000] as const
const POLL_MS = 400
const CAUGHT_UP_MS = 600
const EVICT_AFTER_MS = 10_000
/** etcd changes its membership only when every voter has been connected for about this long. */
const STEADY_MS = 5_000

const NO_DATA: HostProblem = {
  code: 'datastore.no-data',
  severity: 'error',
  message: 'this node is a member of the datastore, but its data is gone',
  hint: 'bring the data back, or reset this machine',
}

/** A voter whose data is gone never comes back as a second one: a person removes the old one first. */
const STALE_MEMBER: HostProblem = {
  code: 'datastore.stale-member',
  severity: 'error',
  message: 'the datastore still counts this machine as a voter, but its data is gone',
  hint: 'bring the data back, or remove that member from the datastore',
}

/** Taken out of the datastore's own list, and still a member by the plan: a person broke the act between the two. */
const MEMBER_REMOVED: HostProblem = {
  code: 'datastore.member-removed',
  severity: 'error',
  message: 'the datastore has removed this member for good; its data here is of no further use',
  hint: 'reset this machine, or take it out of the servers again',
}

/** Orders that a datastore is kept by. */
type KeptOrder = Extract<DistributionOrder, { kind: 'etcd' | 'k3s' }>

export function createDatastorePart(world: World, machine: Machine): DatastorePart {
  let data: Data | null = null
  let order: DistributionOrder | null = null
  let hangs = false
  let mute = false
  let polling = 0
  let told = ''
  let muteUntil = Number.NEGATIVE_INFINITY
  let servedAt = Number.NEGATIVE_INFINITY
  let leftoverSince: number | null = null
  let problem: HostProblem | null = null
  const { counters } = world
  const k3s = createK3s(world, machine)

  const answers = (member: Member): boolean =>
    member.running && world.now >= member.startedAt && member.machine.state !== null && !member.machine.paused
  const hasQuorum = (store: Datastore, seenFrom: Machine): boolean => {
    const voters = store.members.filter((member) => member.voter)
    const up = voters.filter((m) => answers(m) && world.network.passes(seenFrom.index, m.machine.index))
    return up.length * 2 > voters.length
  }

  /** All voters are there and see each other, and have for a while: else etcd refuses a change of members. */
  const isSteady = (store: Datastore): boolean => {
    const voters = store.members.filter((member) => member.voter)
    return voters.every(
      (member) =>
        answers(member) &&
        world.now - member.startedAt >= STEADY_MS &&
        voters.every((other) => world.network.passes(member.machine.index, other.machine.index)),
    )
  }

  const facts = (): DistributionFacts => {
    const base = keptFacts()
    if (order?.kind === 'k3s') return k3s.facts(order, base)
    return order === null && k3s.disk.revision !== null ? k3s.facts(null, base) : base
  }

  const keptFacts = (): DistributionFacts => {
    const store = data?.store ?? null
    const member = data?.member ?? null
    const running = member !== null && answers(member)
    const recorded = order !== null && order.kind !== 'none' ? order.clusterId : null
    const isExpected = recorded === null || recorded === store?.id
    const works = running && store !== null && hasQuorum(store, machine) && isExpected
    return {
      version: '3.4.23',
      dataPresent: data !== null,
      dataEpoch: data?.epoch ?? null,
      dataGenesis: data?.genesis ?? null,
      running,
      healthy: works && member.voter,
      voter: running && member.voter,
      ready: works && member.voter,
      nodes: [],
      revision: null,
      prepared: null,
      snapshot: null,
      clusterId: running ? (store?.id ?? null) : null,
      members: running
        ? (store?.members ?? []).map((m) => ({ name: m.name, voter: m.voter, healthy: answers(m) }))
        : [],
      problems: problem === null ? [] : [problem],
    }
  }

  const report = (): void => {
    if (machine.state === null || mute) return
    const current = facts()
    const key = `${current.dataPresent} ${current.dataEpoch} ${current.running} ${current.healthy} ${current.voter} ${current.clusterId} ${current.members.map((m) => `${m.name}${m.voter}${m.healthy}`).join()} ${current.problems.map(({ code }) => code).join()} ${k3sWord(current)}`
    if (key === told) return
    told = key
    machine.handle({ kind: 'distribution', facts: current })
  }

  const startMember = (member: Member): void => {
    if (member.running) return
    member.running = true
    member.startedAt = world.now + world.random.pick(START_MS)
  }

  const serves = (id: string | null): boolean =>
    id !== null &&
    data?.store?.id === id &&
    data.member?.voter === true &&
    answers(data.member) &&
    hasQuorum(data.store, machine)

  const beneath = {
    isRunning: () => data?.member != null && answers(data.member),
    stop: () => stopMember(),
    store: () => data?.store ?? null,
  }

  const stopMember = (): void => {
    if (data?.member != null) data.member.running = false
  }

  const wasRemoved = (of: Data): boolean =>
    of.store !== null && of.member !== null && !of.store.members.includes(of.member)

  /** One look at the order and at what is true; @returns whether there is more to do. */
  const turn = (given: KeptOrder): void => {
    problem = null
    const isOurs = data !== null && data.genesis === given.genesis && data.epoch === given.epoch
    switch (given.action) {
      case 'stop':
        stopMember()
        return
      case 'initialise':
        // Of an epoch that the plan has given up, which it says by this order: never that of a formed cluster.
        if (data !== null && data.genesis === given.genesis && data.epoch < given.epoch) setAside()
        else if (data !== null && !isOurs) {
          counters.add('datastore data in the way')
          stopMember()
          return
        }
        if (data === null) {
          data = { genesis: given.genesis, epoch: given.epoch, store: null, member: null }
          return
        }
        if (data.store === null) create(given, data)
        if (data.member !== null) startMember(data.member)
        return
      case 'run':
        if (data === null || !isOurs || data.member === null || wasRemoved(data)) {
          if (data?.member == null) problem = NO_DATA
          else if (wasRemoved(data)) {
            counters.add('removed members refused')
            problem = MEMBER_REMOVED
          }
          stopMember()
          return
        }
        startMember(data.member)
        evict(given, data)
        remove(given, data)
        return
      case 'join':
        join(given, isOurs)
        return
      default:
        given.action satisfies never
    }
  }

  const setAside = (): void => {
    stopMember()
    counters.add('datastore data moved aside')
    data = null
  }

  const create = (given: KeptOrder, into: Data): void => {
    const member = newMember(given, true)
    const store: Datastore = {
      id: `ds-${world.datastores.length + 1}-${machine.name}`,
      genesis: given.genesis,
      epoch: given.epoch,
      madeBy: machine.keys.id,
      members: [member],
    }
    world.datastores.push(store)
    counters.add('datastores made')
    world.trace?.machine(machine, `makes the datastore ${store.id} for epoch ${given.epoch}`)
    if (given.kind === 'k3s') k3s.made(store, given)
    into.store = store
    into.member = member
  }

  const newMember = (given: KeptOrder, voter: boolean): Member => ({
    name: given.self.name,
    machine,
    voter,
    running: false,
    startedAt: 0,
  })

  const join = (given: KeptOrder, isOurs: boolean): void => {
    if (
      data !== null &&
      ((!isOurs && data.genesis === given.genesis && data.epoch < given.epoch) || wasRemoved(data))
    ) {
      setAside()
    }
    if (data !== null && !isOurs) {
      // Of another cluster, or of a later epoch than the plan knows: a person decides.
      counters.add('datastore data in the way')
      stopMember()
      return
    }
    data ??= { genesis: given.genesis, epoch: given.epoch, store: null, member: null }
    if (data.store === null) {
      enter(given, data)
      return
    }
    const { member, store } = data
    if (member === null) return
    startMember(member)
    const caughtUp = answers(member) && world.now >= member.startedAt + CAUGHT_UP_MS
    if (!member.voter && caughtUp && isSteady(store)) {
      member.voter = true
      counters.add('datastore joins')
      world.trace?.machine(machine, `is a voter of ${store.id}`)
    }
  }

  /** Becomes a learner through any member that answers and has a quorum. */
  const enter = (given: KeptOrder, into: Data): void => {
    const through = world.datastores
      .flatMap((store) => store.members.map((member) => ({ store, member })))
      .find(
        ({ store, member }) =>
          given.members.some((known) => known.name === member.name) &&
          member.machine.keys.id === given.members.find((known) => known.name === member.name)?.id &&
          answers(member) &&
          world.network.passes(machine.index, member.machine.index) &&
          hasQuorum(store, member.machine) &&
          (given.clusterId === null || store.id === given.clusterId),
      )
    if (through === undefined) return
    const { store } = through
    const own = store.members.find((member) => member.name === given.self.name && member.machine === machine)
    if (own?.voter === true) {
      counters.add('stale members refused')
      problem = STALE_MEMBER
      return
    }
    if (!isSteady(store)) {
      counters.add('unsteady datastores')
      return
    }
    if (own !== undefined) store.members = store.members.filter((member) => member !== own)
    if (store.members.some((member) => !member.voter)) {
      counters.add('too many learners')
      return
    }
    const member = newMember(given, false)
    store.members.push(member)
    into.store = store
    into.member = member
    world.oracles.datastoreJoined(machine, store)
  }

  const evict = (given: KeptOrder, from: Data): void => {
    const leftover = from.store?.members.find(
      (member) =>
        !member.voter &&
        given.evict.includes(member.name) &&
        !given.members.some((m) => m.name === member.name),
    )
    if (leftover === undefined || from.store === null || !hasQuorum(from.store, machine)) {
      leftoverSince = null
      return
    }
    leftoverSince ??= world.now
    if (world.now - leftoverSince < EVICT_AFTER_MS) return
    from.store.members = from.store.members.filter((member) => member !== leftover)
    counters.add('learners evicted')
    leftoverSince = null
  }

  /** As etcd: a member goes only where enough of the others are there to do without it. */
  const remove = (given: KeptOrder, from: Data): void => {
    const { store } = from
    if (store === null || !hasQuorum(store, machine)) return
    const target = store.members.find(
      (member) => given.gone.includes(member.name) && member.machine !== machine,
    )
    if (target === undefined) return
    const others = store.members.filter((member) => member.voter && member !== target)
    const up = others.filter((m) => answers(m) && world.network.passes(machine.index, m.machine.index))
    if (up.length * 2 <= others.length) return
    store.members = store.members.filter((member) => member !== target)
    counters.add('datastore members removed')
    world.trace?.machine(machine, `takes ${target.name} out of ${store.id}`)
    world.oracles.datastoreLeft(machine, target.machine.keys.id)
  }

  const poll = (): void => {
    polling += 1
    const thisPoll = polling
    const again = (): void => {
      if (polling !== thisPoll || machine.state === null) return
      if (order !== null && order.kind !== 'none' && !hangs && !machine.paused) {
        if (order.kind === 'etcd' || k3s.look(order, beneath)) turn(order)
      }
      if (data?.store != null && serves(data.store.id)) servedAt = world.now
      report()
      const isOver =
        order === null || order.kind === 'none' || (order.kind === 'etcd' && order.action === 'stop')
      if (!isOver) world.at(world.now + POLL_MS, again)
    }
    world.at(world.now + 1, again)
  }

  return {
    get data() {
      return data
    },
    started: () => {
      told = ''
    },
    stopped: () => {
      stopMember()
      polling += 1
      order = null
      leftoverSince = null
      k3s.stopped()
    },
    wiped: () => {
      data = null
      k3s.wiped()
    },
    hang: (now) => {
      hangs = now
    },
    mute: (now) => {
      mute = now
      muteUntil = now ? Number.POSITIVE_INFINITY : world.now
      if (!now) report()
    },
    copy: () => ({ data: data === null ? null : { ...data }, k3s: k3s.copy() }),
    muted: () => mute,
    restore: (copy) => {
      if (copy !== null) k3s.restore(copy.k3s)
      data = copy?.data == null ? null : { ...copy.data }
    },
    isStale: () => {
      const id = order !== null && order.kind !== 'none' ? order.clusterId : null
      const store = world.datastores.find((candidate) => candidate.id === id)
      return store?.members.some((m) => m.voter && m.machine === machine && data?.store !== store) ?? false
    },
    isRemoved: () => data !== null && wasRemoved(data),
    order: (effect) => {
      order = effect.order
      if (order.kind !== 'none' || data !== null) poll()
    },
    factsAtStart: facts,
    isReady: k3s.isReady,
    get servedAt() {
      return servedAt
    },
    get muteUntil() {
      return muteUntil
    },
    get k3s() {
      return k3s.disk
    },
    spoil: k3s.spoil,
    isMisled: () => order?.kind === 'k3s' && k3s.isMisled(order),
    get isSpoilt() {
      return k3s.isSpoilt()
    },
    serves,
  }
}

const k3sWord = ({ ready, revision, prepared, snapshot, version, nodes }: DistributionFacts): string =>
  `${ready} ${revision} ${prepared} ${snapshot} ${version} ${nodes.map((node) => `${node.name}${node.ready}${node.version}`).join()}`
