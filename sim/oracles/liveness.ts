/**
 * Rule 11: when faults end and a quorum is connected, every healthy node becomes ready within a bound;
 * otherwise its status says what is missing. Looks at plan, mesh and datastore themselves, and at what the
 * node tells a person, which must agree.
 */
import { statusOf } from '../../src/core/report.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'

/** What keeps this machine from being ready, as seen from outside; null where it is. */
export function lacks(world: World, machine: Machine): string | null {
  const { state, disk } = machine
  const { id } = machine.keys
  const certified = disk.durable?.certified ?? null
  if (state === null || machine.paused) return 'it is off'
  const status = statusOf(state, machine.clock())
  const stage = `${status.self.stage}; waits for ${status.waitingFor.join('; ') || 'nothing'}; problems: ${status.problems.map((p) => p.code).join(', ') || 'none'}`
  const member = certified?.plan.members.find((other) => other.id === id)
  if (certified === null || member === undefined) return `it is in no plan (${stage})`
  if (certified.index < world.oracles.plans.highestIndex())
    return `it has plan ${certified.index} only (${stage})`
  if (machine.mesh.address() !== member.address) return `its mesh is down (${stage})`
  const { clusterId, members } = certified.plan.datastore
  if (member.role === 'server' && certified.plan.settings.distribution === 'etcd') {
    if (!members.includes(id) || !machine.datastore.serves(clusterId))
      return `its datastore does not serve (${stage})`
  }
  if (status.self.stage !== 'ready') return `its status says ${stage}`
  if (status.cluster.leader === null) return `it knows no leader (${stage})`
  return null
}

/** Whether ready can be expected of anyone: a person's questions and lost quorums are not the core's fault. */
export function expectable(world: World): {
  readonly machines: readonly Machine[]
  readonly excuse: string | null
} {
  const on = world.machines.filter((machine) => machine.state !== null)
  const excuse = world.oracles.founding.excuse()
  if (world.oracles.founding.geneses() > 1) return { machines: [], excuse: excuse ?? 'two geneses' }
  const expects = new Set(on.map((machine) => machine.settings.expect))
  if (expects.size > 1) return { machines: [], excuse: 'machines expect different numbers' }
  const plan = on.map((m) => m.disk.durable?.certified?.plan).find((known) => known !== undefined)
  if (plan === undefined) {
    const enough = on.length >= quorumOf(on[0]?.settings.expect ?? 1)
    return { machines: enough ? on : [], excuse: enough ? null : 'too few machines to found' }
  }
  const alive = new Set(on.map((machine) => machine.keys.id))
  const voters = plan.voters.filter((id) => alive.has(id))
  if (voters.length * 2 <= plan.voters.length) return { machines: [], excuse: 'the servers were wiped' }
  const stores = datastoreLost(world, plan.datastore.clusterId)
  return stores === null ? { machines: on, excuse: null } : { machines: [], excuse: stores }
}

const quorumOf = (expect: number): number => (expect === 1 ? 1 : Math.floor((expect + 1) / 2) + 1)

/** A datastore whose members were wiped has no quorum and never will: a person recovers it. */
function datastoreLost(world: World, clusterId: string | null): string | null {
  const store = world.datastores.find((candidate) => candidate.id === clusterId)
  if (store === undefined) return null
  const voters = store.members.filter((member) => member.voter)
  const left = voters.filter((member) => member.machine.datastore.data?.store === store)
  return left.length * 2 > voters.length ? null : 'the datastore lost its members'
}
