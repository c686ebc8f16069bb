/**
 * What k3s adds to the datastore (FIELD.md): a binary and settings that a process was started with, a restart for
 * every change of them, agents that need a server and the agents' token, names that belong to who first had them,
 * snapshots. Settings with the argument `crash` never come up; a checksum of nines is of nothing.
 */
import { k3sVersion } from '../src/core/k3s.ts'
import type { DistributionFacts, DistributionOrder, HostProblem } from '../src/core/orders.ts'
import type { Datastore } from './datastore.ts'
import type { Machine } from './machine.ts'
import { randomFrom } from './random.ts'
import type { World } from './world.ts'

export type K3sOrder = Extract<DistributionOrder, { kind: 'k3s' }>

/** What a Kubernetes knows of its nodes, as an all-seeing eye has it. */
interface Api {
  readonly agentSecret: string
  readonly nodes: Map<string, { readonly password: string; machine: Machine; version: string }>
}

interface Disk {
  /** Of the settings that it was last started with. */
  revision: number | null
  version: string
  snapshot: string | null
  prepared: ReadonlySet<number>
  /** Made with the disk: the name of a node is its own who has it. */
  readonly password: string
}

export type K3sCopy = Disk

/** The datastore's member beneath a server. */
export interface Beneath {
  isRunning(): boolean
  stop(): void
  store(): Datastore | null
}

export interface K3s {
  /** @returns whether the datastore's member, where there is one, may run now. */
  look(order: K3sOrder, beneath: Beneath): boolean
  facts(order: K3sOrder | null, base: DistributionFacts): DistributionFacts
  /** Made with the datastore: who initialised it gave it the agents' secret. */
  made(store: Datastore, order: K3sOrder): void
  stopped(): void
  wiped(): void
  copy(): K3sCopy
  restore(copy: K3sCopy): void
  /** What is started or changed from now on does not come up, or does again. */
  spoil(isSpoilt: boolean): void
  readonly disk: Readonly<Disk>
  isReady(): boolean
  isSpoilt(): boolean
  isMisled(order: K3sOrder): boolean
}

const PREPARE_MS = [200, 800, 3_000, 15_000] as const
const SNAPSHOT_MS = [300, 2_000] as const
const RESTART_MS = [1_000, 3_000, 8_000] as const
/** What a machine has where the settings name no version. */
const INSTALLED = 'v1.30.0+k3s1'
const BAD_CHECKSUM = '9'.repeat(64)

const apis = new WeakMap<Datastore, Api>()

const CRASHES: HostProblem = {
  code: 'k3s.crashes',
  severity: 'error',
  message: 'k3s ends as soon as it is started',
  hint: 'look at its log',
}
const BAD_ARTEFACT: HostProblem = {
  code: 'k3s.checksum',
  severity: 'error',
  message: 'the binary has another checksum than the configuration says',
  hint: 'mend the checksum',
}
const NAME_TAKEN: HostProblem = {
  code: 'k3s.node-password',
  severity: 'error',
  message: 'another machine has this node’s name',
  hint: 'remove that node first',
}
const WRONG_TOKEN: HostProblem = {
  code: 'k3s.token',
  severity: 'error',
  message: 'the servers do not take this agent’s token',
  hint: 'none: muster gives it a new one',
}

export function createK3s(world: World, machine: Machine): K3s {
  const random = randomFrom(world.seed, `k3s ${machine.index}`)
  let disks = 0
  let disk = blank()
  let preparing: { readonly revision: number; readonly at: number } | null = null
  let snapshotAt: number | null = null
  let outUntil = 0
  let isSpoilt = false
  /** An agent's process, or a server's part beside the datastore. */
  let isUp = false
  let isReady = false
  let problem: HostProblem | null = null
  const { counters } = world

  function blank(): Disk {
    disks += 1
    const password = `${machine.index}.${disks}`
    return { revision: null, version: INSTALLED, snapshot: null, prepared: new Set(), password }
  }

  const versionOf = ({ version }: K3sOrder['settings']): string => version ?? INSTALLED
  const argsOf = ({ role, settings }: K3sOrder): readonly string[] => settings[role].args

  const prepare = ({ revision, settings }: K3sOrder['prepare']): void => {
    if (disk.prepared.has(revision)) return
    if (isBad(settings)) {
      problem = BAD_ARTEFACT
      return
    }
    if (preparing !== null && preparing.revision !== revision && world.now < preparing.at) return
    if (preparing?.revision !== revision) preparing = { revision, at: world.now + random.pick(PREPARE_MS) }
    if (world.now < preparing.at) return
    disk.prepared = new Set([...disk.prepared, revision])
    preparing = null
  }

  const takeSnapshot = (name: string | null, { isRunning }: Beneath): void => {
    if (name === null || disk.snapshot === name || !isRunning()) {
      snapshotAt = null
      return
    }
    snapshotAt ??= world.now + random.pick(SNAPSHOT_MS)
    if (world.now < snapshotAt) return
    disk.snapshot = name
    snapshotAt = null
    counters.add('k3s snapshots')
    world.oracles.snapshotTaken(machine, name)
    world.trace?.machine(machine, `has the snapshot ${name}`)
  }

  /** Binary and configuration are exchanged while it is down, and it is down for a while. */
  const change = (order: K3sOrder, beneath: Beneath): void => {
    const wasRunning = order.role === 'server' ? beneath.isRunning() : isUp
    const before = { revision: disk.revision, version: disk.version }
    beneath.stop()
    isUp = false
    if (wasRunning) {
      outUntil = world.now + random.pick(RESTART_MS)
      counters.add('k3s restarts')
    }
    disk.revision = order.revision
    disk.version = versionOf(order.settings)
    world.trace?.machine(machine, `starts k3s ${disk.version} with revision ${order.revision}`)
    world.oracles.k3sChanged(machine, order, before, wasRunning)
  }

  const serverOf = (order: K3sOrder): Datastore | null => {
    for (const { id } of order.members) {
      const server = world.machines.find(({ keys }) => keys.id === id)
      if (server === undefined || !server.datastore.serves(order.clusterId)) continue
      if (!world.network.passes(machine.index, server.index)) continue
      if (world.network.passes(server.index, machine.index)) return server.datastore.data?.store ?? null
    }
    return null
  }

  const register = (order: K3sOrder, store: Datastore): boolean => {
    const { nodes } = apiOf(store)
    const { name } = order.self
    const known = nodes.get(name)
    if (known !== undefined && known.password !== disk.password) {
      counters.add('k3s names refused')
      problem = NAME_TAKEN
      return false
    }
    nodes.set(name, { password: disk.password, machine, version: disk.version })
    return true
  }

  const lookAsAgent = (order: K3sOrder): void => {
    isUp = true
    const store = serverOf(order)
    if (store === null) {
      isReady = false
      return
    }
    if ([...(order.agentSecret ?? [])].join() !== apiOf(store).agentSecret) {
      problem = WRONG_TOKEN
      isReady = false
      return
    }
    const wasReady = isReady
    isReady = register(order, store)
    if (isReady && !wasReady) counters.add('k3s agents ready')
  }

  const lookAsServer = (order: K3sOrder, beneath: Beneath): void => {
    const store = beneath.store()
    isReady = store !== null && beneath.isRunning() && apis.has(store) && register(order, store)
    if (!isReady || store === null || !machine.datastore.serves(order.clusterId)) return
    for (const name of order.gone) if (apiOf(store).nodes.delete(name)) counters.add('k3s nodes deleted')
  }

  const apiOf = (store: Datastore): Api => {
    const api = apis.get(store)
    if (api === undefined) throw new Error(`${store.id} has no API`)
    return api
  }

  return {
    get disk() {
      return disk
    },
    look: (order, beneath) => {
      problem = null
      // What is wanted now comes before what is wanted next.
      const { revision, settings } = order
      if (disk.revision !== revision) prepare({ revision, settings })
      prepare(order.prepare)
      const down = (): boolean => {
        beneath.stop()
        isUp = false
        isReady = false
        return false
      }
      if (order.action === 'stop') return down()
      takeSnapshot(order.snapshot, beneath)
      if (disk.revision !== order.revision) {
        if (disk.prepared.has(order.revision)) change(order, beneath)
        else if (disk.revision === null) return down()
      }
      if (world.now < outUntil) return down()
      if (argsOf(order).includes('crash') || (isSpoilt && !beneath.isRunning() && !isUp)) {
        problem = CRASHES
        return down()
      }
      if (order.role === 'agent') lookAsAgent(order)
      else lookAsServer(order, beneath)
      return order.role === 'server'
    },
    facts: (order, base) => {
      const { revision, version, snapshot, prepared } = disk
      const wanted = order?.prepare.revision
      const nodes = order?.role === 'server' && isReady ? nodesOf(world, order) : []
      return {
        ...base,
        version,
        revision,
        snapshot,
        nodes,
        running: order?.role === 'agent' ? isUp : base.running,
        healthy: order?.role === 'agent' ? isReady : base.healthy,
        ready: isReady && (order?.role === 'agent' || base.healthy),
        prepared: wanted !== undefined && prepared.has(wanted) ? wanted : null,
        problems: problem === null ? base.problems : [...base.problems, problem],
      }
    },
    made: (store, order) => {
      apis.set(store, { agentSecret: [...(order.agentSecret ?? [])].join(), nodes: new Map() })
    },
    stopped: () => {
      isUp = false
      isReady = false
      preparing = null
      snapshotAt = null
      outUntil = 0
    },
    wiped: () => {
      disk = blank()
    },
    copy: () => ({ ...disk }),
    restore: (copy) => {
      disk = { ...copy }
    },
    spoil: (now) => {
      isSpoilt = now
    },
    isReady: () => isReady,
    isSpoilt: () => isSpoilt,
    isMisled: (order) => argsOf(order).includes('crash') || isBad(order.prepare.settings),
  }
}

const isBad = ({ artefacts }: K3sOrder['settings']): boolean =>
  artefacts.some(({ sha256 }) => sha256 === BAD_CHECKSUM)

function nodesOf(world: World, order: K3sOrder): DistributionFacts['nodes'] {
  const store = world.datastores.find(({ id }) => id === order.clusterId)
  const nodes = store === undefined ? undefined : apis.get(store)?.nodes
  return [...(nodes ?? [])]
    .map(([name, { machine, version }]) => ({ name, version, ready: machine.datastore.isReady() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Minor versions between two; for oracles, which ask the core for nothing but how versions are written. */
export function minorsBetween(from: string, to: string): number {
  const [a, b] = [k3sVersion(from), k3sVersion(to)]
  if (a === null || b === null || a.major !== b.major) return Number.NaN
  return b.minor - a.minor
}
