/**
 * Rules 6 and 9 of rollouts, seen from outside: never two servers down by our hand, nor one without which no
 * healthy majority is left; a snapshot before the first; the leader's own server last, agents after all servers
 * and never newer than one; no minor version skipped or taken back; nobody new once it is halted; and who is said
 * to be through, is. The agents' secret is given to members only.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Plan } from '../../src/core/plan.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import { type K3sOrder, minorsBetween } from '../k3s.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import type { Copies } from './copies.ts'
import type { Oracle, Order, Violate } from './watch.ts'

/** A server that served this lately may have been taken for healthy by who permitted. */
const LATELY_MS = 10_000

export function createRolloutOracle(violate: Violate, world: () => World, copies: Copies): Oracle {
  /** Servers that were restarted for new settings, until the plan says that they are through. */
  const down = new Map<NodeId, { readonly name: string; readonly since: number }>()
  const snapshots = new Set<string>()
  const through = new Set<string>()

  const machineOf = (id: NodeId): Machine | undefined => world().machines.find(({ keys }) => keys.id === id)

  const checkVersions = (
    machine: Machine,
    order: K3sOrder,
    plan: Plan,
    before: string | null,
    wasRunning: boolean,
  ): void => {
    const { version } = machine.datastore.k3s
    // What a version wrote is in use once there is a datastore, and not on who tried an epoch that was given up.
    const { clusterId, members } = plan.datastore
    const { id } = machine.keys
    const isPart = order.role === 'agent' || members.includes(id) || wasRunning
    const isInUse = clusterId !== null && isPart && !copies.has(id)
    if (before !== null && isInUse) {
      const step = minorsBetween(before, version)
      if (step > 1 || step < 0) violate(6, `${machine.name} goes from ${before} to ${version}`)
    }
    if (order.role !== 'agent') return
    for (const member of members) {
      const server = machineOf(member)
      if (server === undefined || server.datastore.k3s.revision === null || copies.has(member)) continue
      if (minorsBetween(server.datastore.k3s.version, version) > 0) {
        violate(6, `the agent ${machine.name} has ${version}, the server ${server.name} older`)
      }
    }
  }

  /** The machine's own server goes down now, because we say so. */
  const checkDown = (machine: Machine, plan: Plan): void => {
    const { id } = machine.keys
    const { rollout, act } = plan
    if (act?.kind !== 'upgrade' || act.node !== id) {
      violate(6, `${machine.name} is restarted, and holds no act for it`)
      return
    }
    for (const [other, { name }] of down) {
      if (other !== id) violate(6, `${machine.name} is taken down while ${name} is not through`)
    }
    down.set(id, { name: machine.name, since: machine.disk.durable?.certified?.index ?? 0 })
    const name = rollout?.snapshot?.name
    if (name !== undefined && !snapshots.has(name)) violate(6, `${machine.name} changes before a snapshot`)
    if (rollout?.acceptDowntime === true || isHeldUp(machine)) return
    const { now, machines } = world()
    const voters = machine.datastore.data?.store?.members.filter(({ voter }) => voter) ?? []
    const well = voters.filter(
      (member) => member.machine !== machine && now - member.machine.datastore.servedAt <= LATELY_MS,
    )
    const isTold = machines.every((other) => now - other.datastore.muteUntil > LATELY_MS)
    if (isTold && well.length * 2 <= voters.length) {
      violate(6, `${machine.name} is taken down, and ${well.length} of ${voters.length} are left`)
    }
  }

  /** Who was frozen, or waited for its disk, carries out late what it decided in time. */
  const isHeldUp = (machine: Machine): boolean => world().now - machine.awakeSince < 2 * LATELY_MS

  const checkOrder = (machine: Machine, { order }: Extract<Order, { kind: 'distribution' }>): void => {
    const plan = machine.disk.durable?.certified?.plan
    if (order.kind !== 'k3s' || plan === undefined || order.action === 'stop') return
    const { rollout, act, datastore } = plan
    const { id } = machine.keys
    if (rollout === null || rollout.before === null || order.revision !== rollout.number) return
    const isEntitled =
      rollout.moved.includes(id) ||
      rollout.under.includes(id) ||
      (act?.kind === 'upgrade' && act.node === id) ||
      machine.datastore.k3s.revision === rollout.number ||
      (order.role === 'server' && !datastore.members.includes(id))
    if (!isEntitled) violate(6, `${machine.name} is to change out of its turn`)
    if (order.role !== 'agent' || !rollout.under.includes(id)) return
    const late = datastore.members.find((server) => !rollout.moved.includes(server))
    if (late !== undefined) violate(6, `the agent ${machine.name} is to change before the server ${late}`)
  }

  const checkEntry = (id: NodeId, { plan, causes }: NonNullable<Durable['voting']['accepted']>): void => {
    // A change that comes after it in the entry may halt what ran when it came.
    const last = causes.at(-1)
    const began = last?.what.kind === 'upgrade' ? last.what.node : null
    if (began !== null && plan.rollout?.state !== 'running')
      violate(6, `${id} signs that ${began} changes in a rollout that is ${plan.rollout?.state}`)
    for (const { what, by } of causes) {
      if (what.kind !== 'upgrade' || what.node !== by || plan.rollout === null) continue
      const { moved } = plan.rollout
      const left = plan.datastore.members.filter((server) => server !== by && !moved.includes(server))
      if (left.length > 0) violate(6, `${id} signs that the leader ${by} changes before ${left.join()}`)
    }
  }

  const checkThrough = (plan: Plan): void => {
    const { rollout } = plan
    if (rollout === null || rollout.before === null) return
    for (const node of rollout.moved) {
      const key = `${plan.era} ${rollout.number} ${node}`
      const machine = machineOf(node)
      if (through.has(key) || machine === undefined) continue
      through.add(key)
      const { revision, version } = machine.datastore.k3s
      if (copies.has(node) || (revision !== null && revision >= rollout.number)) continue
      violate(6, `${machine.name} is said to be through, and has revision ${revision} (${version})`)
    }
  }

  return {
    ordered: (machine, order) => {
      if (order.kind === 'distribution') checkOrder(machine, order)
    },
    sent: (machine: Machine, to: NodeId, message: Message) => {
      if (message.kind !== 'secret') return
      const members = machine.disk.durable?.certified?.plan.members ?? []
      if (!members.some(({ id }) => id === to)) violate(9, `${machine.name} gives ${to} the agents’ secret`)
    },
    persisted: (id, durable, before) => {
      const { accepted } = durable.voting
      if (accepted !== null && accepted !== before?.voting.accepted) checkEntry(id, accepted)
      const plan = durable.certified?.plan
      if (plan === undefined || plan === before?.certified?.plan) return
      checkThrough(plan)
      // Also where the next change came in the same entry.
      for (const { cause, node, index } of plan.history) {
        const isOver = cause === 'upgraded' || cause === 'act-broken'
        const held = node === null ? undefined : down.get(node)
        if (isOver && node !== null && held !== undefined && index > held.since) down.delete(node)
      }
    },
    k3sChanged: (machine, order, before, wasRunning) => {
      const plan = machine.disk.durable?.certified?.plan
      if (plan === undefined) return
      checkVersions(machine, order, plan, before.revision === null ? null : before.version, wasRunning)
      const isMember = plan.datastore.members.includes(machine.keys.id)
      if (order.role === 'server' && wasRunning && isMember) checkDown(machine, plan)
    },
    snapshotTaken: (_machine, name) => {
      snapshots.add(name)
    },
  }
}
