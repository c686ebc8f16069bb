/**
 * Rule 11: when faults end and a quorum is connected, every healthy node becomes ready within a bound;
 * otherwise its status says what is missing. Looks at plan, mesh and datastore themselves, and at what the
 * node tells a person, which must agree.
 */
import type { NodeId } from '../../src/core/ids.ts'
import { stageOf } from '../../src/core/node.ts'
import type { CertifiedPlan, Plan } from '../../src/core/plan.ts'
import { statusOf } from '../../src/core/report.ts'
import type { Datastore } from '../datastore.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import { differs } from './agreement.ts'

/** What keeps this machine from being ready, as seen from outside; null where it is. */
export function lacks(world: World, machine: Machine): string | null {
  const { state, disk } = machine
  const { id } = machine.keys
  const certified = disk.durable?.certified ?? null
  if (state === null || machine.paused) return 'it is off'
  const member = certified?.plan.members.find((other) => other.id === id)
  if (certified === null || member === undefined) return 'it is in no plan'
  if (certified.index < world.oracles.plans.highestIndex()) return `it has plan ${certified.index} only`
  if (machine.mesh.address() !== member.address) return 'its mesh is down'
  const { clusterId, members } = certified.plan.datastore
  const kind = certified.plan.settings.distribution
  if (kind === 'k3s' && !machine.datastore.isReady()) return 'its k3s is not ready'
  if (member.role === 'server' && kind !== 'none') {
    if (!members.includes(id) || !machine.datastore.serves(clusterId)) return 'its datastore does not serve'
  }
  if (certified.plan.rollout?.state === 'running' && isWhole(world, certified.plan))
    return 'the rollout is not over'
  if (stageOf(state, machine.clock()) !== 'ready') return 'its status says otherwise'
  if (state.replication.leader === null) {
    // A voter that lies may say that it leads, and be believed and given up, without end; it certifies nothing.
    if (!certified.plan.voters.some((id) => world.oracles.liars.has(id))) return 'it knows no leader'
    world.counters.add('excused: a voter that lies keeps others from a leader')
  }
  const difference = differs(world, statusOf(state, machine.clock()), certified.plan)
  return difference === null ? null : `by its status ${difference}`
}

/** Nobody is missing for whom a rollout would wait, and nothing keeps anybody from changing. */
const isWhole = (world: World, plan: Plan): boolean =>
  plan.members.every(({ id }) =>
    world.machines.some(
      ({ keys, state, datastore }) =>
        keys.id === id &&
        state !== null &&
        !datastore.isSpoilt &&
        !datastore.isStale() &&
        !world.oracles.copies.has(id),
    ),
  )

/** What it tells a person meanwhile. */
export function told({ state, clock }: Machine): string {
  if (state === null) return 'nothing'
  const { self, waitingFor, problems } = statusOf(state, clock())
  return `${self.stage}; waits for ${waitingFor.join('; ') || 'nothing'}; problems: ${problems.map((p) => p.code).join(', ') || 'none'}`
}

/** Whether ready can be expected of anyone: a person's questions and lost quorums are not the core's fault. */
export function expectable(world: World): {
  readonly machines: readonly Machine[]
  readonly excuse: string | null
} {
  const on = world.machines.filter((machine) => machine.state !== null)
  const excuse = world.oracles.founding.excuse()
  const broken = world.oracles.copies.excuse()
  if (broken !== null) return { machines: [], excuse: broken }
  if (world.oracles.founding.geneses() > 1) return { machines: [], excuse: excuse ?? 'two geneses' }
  // Who waits for a person, and says so, is not expected to become ready; the others are.
  const able = on.filter((machine) => asksForPerson(world, machine) === null)
  const alive = new Set(able.map((machine) => machine.keys.id))
  const expects = new Set(on.map((machine) => machine.settings.expect))
  if (expects.size > 1) return { machines: [], excuse: 'machines expect different numbers' }
  const plan = on
    .flatMap(({ disk }) => disk.durable?.certified ?? [])
    .reduce<CertifiedPlan | null>((a, b) => (a === null || b.index > a.index ? b : a), null)?.plan
  if (plan === undefined) {
    const enough = alive.size >= quorumOf(on[0]?.settings.expect ?? 1)
    return { machines: enough ? able : [], excuse: enough ? null : 'too few machines to found' }
  }
  const voters = plan.voters.filter((id) => alive.has(id))
  if (voters.length * 2 <= plan.voters.length) return { machines: [], excuse: 'the servers were wiped' }
  // Signed, it cannot be taken back, and the voters after it cannot certify it any more.
  const next = able
    .flatMap(({ disk }) => disk.durable?.voting.accepted ?? [])
    .map(({ plan: { voters: after } }) => after)
  if (next.some((after) => after.filter((id) => alive.has(id)).length * 2 <= after.length))
    return { machines: [], excuse: 'a change of the voters lost its quorum' }
  const stores = datastoreLost(world, plan.datastore.clusterId)
  if (stores !== null) return { machines: [], excuse: stores }
  // Whose turn it is cannot come up with what a person set, and nobody else has a turn meanwhile.
  const holder = world.machines.find(({ keys }) => keys.id === plan.act?.node)
  const isHeldUp = holder?.datastore.isMisled() === true
  if (isHeldUp && plan.act?.kind === 'initialise')
    return { machines: [], excuse: 'the datastore begins with settings that do not work' }
  // While one of its voters is gone for good, the datastore takes nobody in.
  const store = world.datastores.find((candidate) => candidate.id === plan.datastore.clusterId)
  const isClosed =
    (isHeldUp && plan.act?.kind === 'join') ||
    (store?.members.some(({ voter, machine }) => voter && !isLeft(world, store, machine)) ?? false)
  return {
    machines: isClosed ? able.filter(({ keys }) => !waitsToJoin(plan, keys.id)) : able,
    excuse: null,
  }
}

/** What the leader owes the cluster by itself: a dead server's replacement, where one can take its place. */
export function owes(world: World): string | null {
  const plan = world.oracles.plans.newest()?.plan
  if (plan === undefined) return null
  if (plan.act?.kind === 'remove') return `${plan.act.node} is still being taken out`
  const { replaceAfterMs, promote, servers: wanted } = plan.settings
  const machineOf = (id: NodeId): Machine | undefined =>
    world.machines.find(({ keys, state }) => keys.id === id && state !== null)
  const servers = plan.members.filter(({ role }) => role === 'server')
  const dead = servers.filter(({ id }) => machineOf(id) === undefined)
  // One that waits for a person still speaks: it is not dead.
  if (servers.some(({ id }) => asks(world, machineOf(id)))) return null
  // A liar that was made a server beats like the living: nobody but a person can tell that it does no work.
  if (servers.some(({ id }) => world.oracles.liars.has(id))) return null
  const spares = plan.members.filter(
    ({ id, role, mayServe }) =>
      role === 'agent' &&
      (mayServe || promote === 'any') &&
      machineOf(id) !== undefined &&
      !asks(world, machineOf(id)),
  )
  const { length } = servers
  const auto = plan.members.length < 3 ? 1 : plan.members.length <= 6 ? 3 : 5
  const isFormed = plan.settings.distribution === 'none' || plan.datastore.clusterId !== null
  if (dead.length > 0) {
    const isOwed = dead.length * 2 < length && replaceAfterMs > 0 && spares.length > 0 && isFormed
    return isOwed ? `${dead[0]?.name} is dead, and ${spares[0]?.name} could take its place` : null
  }
  const isShort = length < (wanted === 'auto' ? auto : wanted) && spares.length >= (length % 2 === 1 ? 2 : 1)
  return isShort && isFormed ? `there are ${length} servers, and ${spares[0]?.name} could be one` : null
}

const asks = (world: World, machine: Machine | undefined): boolean =>
  machine !== undefined && asksForPerson(world, machine) !== null

const waitsToJoin = (plan: Plan, id: NodeId): boolean =>
  plan.settings.distribution !== 'none' && plan.voters.includes(id) && !plan.datastore.members.includes(id)

const isLeft = (world: World, store: Datastore, machine: Machine): boolean =>
  machine.state !== null && machine.datastore.data?.store === store && asksForPerson(world, machine) === null

/** What a machine with a copied disk, or one that lost its data, must tell a person; null for all others. */
function asksForPerson(world: World, machine: Machine): string | null {
  const { state, keys } = machine
  if (state === null) return null
  // Nobody speaks to it: it need not even know.
  const left = world.oracles.plans.newest()?.plan.departed.find(({ id }) => id === keys.id)
  if (left?.why === 'revoked') return 'node.revoked'
  const isCopied = world.oracles.copies.has(keys.id)
  const isMisled = machine.datastore.isMisled()
  const isLost = machine.datastore.isStale() || machine.datastore.isRemoved()
  if (!isCopied && !isMisled && !isLost && !isKeptOut(world, keys.id)) return null
  const { problems, waitingFor } = statusOf(state, machine.clock())
  const waits = waitingFor.some((text) => text.includes('a person to approve'))
  return problems.find(({ code }) => PERSONAL.has(code))?.code ?? (waits ? 'node.pending' : null)
}

/** Out by the newest plan, or not let in by a person yet. */
function isKeptOut(world: World, id: NodeId): boolean {
  const plan = world.oracles.plans.newest()?.plan
  if (plan === undefined || plan.members.some((member) => member.id === id)) return false
  return plan.settings.admission === 'approve' || plan.departed.some((left) => left.id === id)
}

const PERSONAL: ReadonlySet<string> = new Set([
  'node.removed',
  'node.revoked',
  'state.restored',
  'state.other-machine',
  'node.cloned',
  'datastore.no-data',
  'datastore.stale-member',
  'datastore.member-removed',
  'k3s.crashes',
  'k3s.checksum',
])

const quorumOf = (expect: number): number => (expect === 1 ? 1 : Math.floor((expect + 1) / 2) + 1)

/** A datastore whose members were wiped has no quorum and never will: a person recovers it. */
function datastoreLost(world: World, clusterId: string | null): string | null {
  const store = world.datastores.find((candidate) => candidate.id === clusterId)
  if (store === undefined) return null
  const voters = store.members.filter((member) => member.voter)
  const left = voters.filter(({ machine }) => isLeft(world, store, machine))
  return left.length * 2 > voters.length ? null : 'the datastore lost its members'
}
