/**
 * The oracles together: every rule of DESIGN.md section 2 that concerns the core, checked from outside after
 * everything that reaches a disk or a wire. Rule 11, which is about the end, is in sim/oracles/liveness.ts.
 */
import type { NodeId } from '../src/core/ids.ts'
import type { Durable } from '../src/core/state.ts'
import type { Machine } from './machine.ts'
import { type Bounds, createBounds } from './oracles/bounds.ts'
import { type Copies, createCopies } from './oracles/copies.ts'
import { createDatastoreOracle } from './oracles/datastores.ts'
import { createFoundingOracle } from './oracles/founding.ts'
import { createPeople, type People } from './oracles/people.ts'
import { createPlanOracle, type PlanOracle } from './oracles/plans.ts'
import { createRecordOracle } from './oracles/records.ts'
import { createReplicationOracle, type ReplicationOracle } from './oracles/replication.ts'
import { createRolloutOracle } from './oracles/rollouts.ts'
import { createStatusOracle } from './oracles/status.ts'
import type { Oracle, Violate } from './oracles/watch.ts'
import type { World } from './world.ts'

export interface Oracles extends Required<Omit<Oracle, 'persisted'>> {
  persisted(id: NodeId, durable: Durable): void
  /** A disk was copied: put back into its machine, or into another. */
  copied(id: NodeId, how: 'restored' | 'cloned', durable: Durable | null): void
  /** A rule is broken, seen by a part of the world itself. */
  readonly violate: Violate
  readonly copies: Copies
  readonly bounds: Bounds
  readonly liars: ReadonlySet<NodeId>
  readonly plans: PlanOracle
  readonly people: People
  readonly replication: ReplicationOracle
  /** See sim/oracles/status.ts. */
  settled(machine: Machine): void
  watch(): void
  readonly founding: ReturnType<typeof createFoundingOracle>
}

export function createOracles(
  report: Violate,
  liars: ReadonlySet<NodeId>,
  leastExpect: number,
  world: () => World,
): Oracles {
  const copies = createCopies(report, world)
  const { violate } = copies
  const founding = createFoundingOracle(violate, liars, leastExpect, world, copies)
  const replication = createReplicationOracle(violate)
  const people = createPeople(violate, world)
  const plans = createPlanOracle(violate, replication, liars, copies, people)
  const datastores = createDatastoreOracle(violate, plans, world, copies)
  const records = createRecordOracle(violate)
  const rollouts = createRolloutOracle(violate, world, copies)
  const disks = new Map<NodeId, Durable>()
  const status = createStatusOracle(violate, world, plans, replication, liars)
  const bounds = createBounds(violate, world, liars.size > 0)
  return {
    violate,
    liars,
    copies,
    bounds,
    copied: (id, how, durable) => {
      copies.copied(id, how, durable, how === 'restored' ? (disks.get(id) ?? null) : null)
      if (durable === null) disks.delete(id)
      else disks.set(id, durable)
    },
    plans,
    people,
    replication,
    founding,
    settled: status.settled,
    watch: status.watch,
    persisted: (id, durable) => {
      const before = copies.isCloned(id) ? null : (disks.get(id) ?? null)
      disks.set(id, durable)
      copies.persisted(id, durable, before)
      founding.persisted?.(id, durable, before)
      replication.persisted?.(id, durable, before)
      plans.persisted?.(id, durable, before)
      rollouts.persisted?.(id, durable, before)
    },
    sent: (machine, to, message) => {
      copies.sent(machine, to, message)
      bounds.sent(machine)
      founding.sent?.(machine, to, message)
      replication.sent?.(machine, to, message)
      datastores.sent?.(machine, to, message)
      records.sent?.(machine, to, message)
      rollouts.sent?.(machine, to, message)
    },
    ordered: (machine, order) => {
      datastores.ordered?.(machine, order)
      rollouts.ordered?.(machine, order)
    },
    logged: (machine, event, fields) => plans.logged?.(machine, event, fields),
    datastoreJoined: (machine, datastore) => datastores.datastoreJoined?.(machine, datastore),
    datastoreLeft: (machine, target) => datastores.datastoreLeft?.(machine, target),
    k3sChanged: (machine, order, before, wasRunning) =>
      rollouts.k3sChanged?.(machine, order, before, wasRunning),
    snapshotTaken: (machine, name) => rollouts.snapshotTaken?.(machine, name),
  }
}
