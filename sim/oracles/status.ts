/**
 * Rule 11 for the person who reads: what a status says is so. It names a leader only of a term that it was
 * elected in, a plan that is on the disk (of which the oracle of plans knows that it was certified), an address
 * only as its owner's; it says `ready` only while mesh and datastore are; and while no quorum is connected it
 * says what is missing and what a person can do. Looks at what status says and at the world, at nothing between.
 */
import type { NodeId } from '../../src/core/ids.ts'
import { memberOf, type Plan } from '../../src/core/plan.ts'
import { statusOf } from '../../src/core/report.ts'
import type { StatusDocument } from '../../src/core/status.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import type { PlanOracle } from './plans.ts'
import type { ReplicationOracle } from './replication.ts'
import type { Violate } from './watch.ts'

export interface StatusOracle {
  /** A machine took steps and its disk holds what it knows: now and then its status is read. */
  settled(machine: Machine): void
  /** Once a second: who has been without a quorum for long says so. */
  watch(): void
}

/** A status is read after so many turns of all machines: a prime, so that no rhythm of the protocol hides. */
const READ_EVERY = 97
/** Mesh and datastore are looked at by their own drivers twice in this time. */
const STALE_LOOKS = 12
const LOOK_MS = 500
/** Giving up on a leader, and being patient with the next, take a node less than this. */
const LONELY_MS = 50_000
/** A machine that freezes again and again and was awake this lately still answers now and then. */
const SIGNS_MS = 10_000

/** Q of DESIGN.md section 7, written down once more. */
const quorumOf = (expect: number): number => (expect === 1 ? 1 : Math.floor((expect + 1) / 2) + 1)

/** One life of a machine without a quorum. */
interface Loneliness {
  readonly id: string
  /** When its status last said what is missing. */
  saidAt: number
  /** Since when it can reach none of these. */
  readonly unreached: Map<string, number>
}

export function createStatusOracle(
  violate: Violate,
  world: () => World,
  plans: PlanOracle,
  replication: ReplicationOracle,
  liars: ReadonlySet<NodeId>,
): StatusOracle {
  let turns = 0
  /** Of the plan on each machine's disk: what a new term changes is read at once. */
  const terms = new Map<number, number>()
  const followed = new Set<number>()
  /** Machines without a quorum, by index. */
  const lonely = new Map<number, Loneliness>()

  const read = (machine: Machine): void => {
    const { state, keys, disk } = machine
    if (state === null) return
    const status = statusOf(state, machine.clock())
    world().counters.add('statuses read')
    const { cluster, self, nodes, problems, waitingFor } = status
    const { id } = keys
    const certified = disk.durable?.certified ?? null
    if (cluster.planIndex !== (certified?.index ?? null) || cluster.era !== (certified?.plan.era ?? null)) {
      violate(3, `${id}'s status shows plan ${cluster.planIndex}, and its disk has ${certified?.index}`)
    }
    checkLeader(id, status, certified?.plan.voters ?? [])
    for (const node of nodes) {
      if (node.address === null) continue
      const owner = cluster.era === null ? undefined : plans.ownerOf(cluster.era, node.address)
      if (owner !== node.id) violate(5, `${id}'s status gives ${node.address} to ${node.id}, not to ${owner}`)
    }
    const own = certified === null ? undefined : memberOf(certified.plan, id)
    if (self.address !== (own?.address ?? null)) {
      violate(5, `${id}'s status says that it has ${self.address}, and the plan ${own?.address}`)
    }
    const mute = problems.find(({ message, hint, since }) => !(message && hint && Date.parse(since) > 0))
    if (mute !== undefined) violate(11, `${id}'s status says ${mute.code} without words, time or hint`)
    if (self.stage !== 'ready' && problems.length + waitingFor.length === 0 && certified === null) {
      violate(11, `${id}'s status is ${self.stage}, and does not say what it waits for`)
    }
    if (pretends(machine) !== null) follow(machine, STALE_LOOKS)
  }

  const checkLeader = (id: string, { cluster }: StatusDocument, voters: Plan['voters']): void => {
    const { era, term, leader } = cluster
    if (era === null) {
      if (leader !== null) violate(3, `${id}'s status names the leader ${leader} of no cluster`)
      return
    }
    // A voter that lies says that it leads a term: nobody who hears it can know, and it certifies nothing.
    if (voters.some((voter) => liars.has(voter))) {
      world().counters.add('excused: a status may believe a voter that lies')
      return
    }
    if (leader !== null && !replication.isElected(era, term, leader, voters)) {
      violate(3, `${id}'s status says that ${leader} leads term ${term}, who was never elected in it`)
    }
    if (leader === null && term > 0 && !replication.wasLed(era, term, voters)) {
      violate(3, `${id}'s status is in term ${term}, which nobody ever led`)
    }
  }

  /** What is not so though the status says `ready`; null where it does not, or nobody could know better. */
  const pretends = (machine: Machine): string | null => {
    const { state, disk, mesh, datastore, keys } = machine
    if (state === null || machine.paused || mesh.muted() || datastore.muted()) return null
    if (world().now - machine.awakeSince < 2 * LOOK_MS) return null
    if (statusOf(state, machine.clock()).self.stage !== 'ready') return null
    const plan = disk.durable?.certified?.plan
    const own = plan === undefined ? undefined : memberOf(plan, keys.id)
    if (plan === undefined || own === undefined) return 'it is in no plan'
    if (mesh.address() !== own.address) return 'its mesh is down'
    const needs = own.role === 'server' && plan.settings.distribution === 'etcd'
    return needs && !datastore.serves(plan.datastore.clusterId) ? 'its datastore does not serve' : null
  }

  /** Looks again and again: facts take their time to reach the core, but not for ever. */
  const follow = (machine: Machine, looks: number): void => {
    const { index } = machine
    if (looks === STALE_LOOKS) {
      if (followed.has(index)) return
      followed.add(index)
    }
    world().at(world().now + LOOK_MS, () => {
      const wrong = pretends(machine)
      if (wrong === null || looks === 0) followed.delete(index)
      if (wrong === null) return
      if (looks === 0) violate(11, `${machine.keys.id}'s status says ready, but ${wrong}`)
      else follow(machine, looks - 1)
    })
  }

  const isUp = (machine: Machine | undefined): machine is Machine =>
    machine !== undefined && machine.state !== null && !machine.paused

  /** Whether others may have had a sign of it lately. */
  const showsItself = (machine: Machine): boolean =>
    machine.state !== null && (!machine.paused || world().now - machine.awakeSince < SIGNS_MS)

  /** Whether one of the voters reaches a majority of them. */
  const hasQuorum = (voters: Plan['voters']): boolean => {
    const { machines, network } = world()
    const up = machines.filter((machine) => showsItself(machine) && voters.includes(machine.keys.id))
    return up.some(
      (one) => up.filter((other) => network.passes(one.index, other.index)).length * 2 > voters.length,
    )
  }

  /** What a machine without a quorum lacks; null for one that has one in reach. */
  const missing = (machine: Machine): 'leader' | 'founders' | null => {
    const { machines, network } = world()
    const { disk, settings, index, keys } = machine
    const certified = disk.durable?.certified
    const reached = machines.filter((other) => showsItself(other) && network.passes(index, other.index))
    if (certified != null) {
      const { voters } = certified.plan
      const isCutOff = !reached.some(({ keys: { id } }) => id !== keys.id && voters.includes(id))
      const leadsAlone = voters.join() === keys.id
      return (isCutOff && !leadsAlone) || !hasQuorum(voters) ? 'leader' : null
    }
    if (settings.pin !== null || reached.some((other) => other.disk.durable?.genesis != null)) return null
    return reached.length < quorumOf(settings.expect) ? 'founders' : null
  }

  const noteUnreached = (machine: Machine, { unreached }: Loneliness): void => {
    const { machines, network, now } = world()
    for (const voter of machine.disk.durable?.certified?.plan.voters ?? []) {
      const there = machines.find(({ keys }) => keys.id === voter)
      const isReached =
        there !== undefined && there.state !== null && network.passes(machine.index, there.index)
      if (isReached) unreached.delete(voter)
      else if (!unreached.has(voter)) unreached.set(voter, now)
    }
  }

  /** What its status fails to say; null where it tells a person all. */
  const unsaid = (machine: Machine, { unreached }: Loneliness): string | null => {
    const { state, disk } = machine
    if (state === null) return null
    const { cluster, problems, waitingFor } = statusOf(state, machine.clock())
    const said = problems.filter(({ severity }) => severity !== 'info')
    if (said.length === 0) return `names no problem, and waits for ${waitingFor.join('; ')}`
    if (state.blocked !== null) return null
    if (cluster.era === null) return waitingFor.length === 0 ? 'does not say what it waits for' : null
    if (!said.some(({ code }) => code === 'leader.none')) return 'does not say that nobody leads'
    if (cluster.leader !== null || cluster.state === 'formed') {
      return `is ${cluster.state}, under the leader ${cluster.leader}`
    }
    const plan = disk.durable?.certified?.plan
    const text = said.map(({ message }) => message).join('\n')
    const unnamed = plan?.voters.find(
      (voter) =>
        voter !== machine.keys.id &&
        world().now - (unreached.get(voter) ?? world().now) >= LONELY_MS &&
        !text.includes(memberOf(plan, voter)?.name ?? voter),
    )
    return unnamed === undefined ? null : `does not name ${unnamed}, who is missing`
  }

  return {
    settled: (machine) => {
      turns += 1
      const term = machine.disk.durable?.certified?.term ?? 0
      const isNew = term !== terms.get(machine.index)
      if (isNew) terms.set(machine.index, term)
      if (isNew || turns % READ_EVERY === 0) read(machine)
    },
    watch: () => {
      const { now, machines, counters } = world()
      for (const machine of machines) {
        const { index, keys } = machine
        if (!isUp(machine) || now - machine.awakeSince < LONELY_MS || missing(machine) === null) {
          lonely.delete(index)
          continue
        }
        const known = lonely.get(index)
        const entry =
          known?.id === keys.id ? known : { id: keys.id, saidAt: now, unreached: new Map<string, number>() }
        lonely.set(index, entry)
        noteUnreached(machine, entry)
        if ((now / 1_000 + index) % 5 !== 0) continue
        counters.add('statuses without a quorum')
        const silence = unsaid(machine, entry)
        if (silence === null) entry.saidAt = now
        else if (now - entry.saidAt >= LONELY_MS) {
          violate(11, `${keys.id} has long been without a quorum, and its status ${silence}`)
        }
      }
    },
  }
}
