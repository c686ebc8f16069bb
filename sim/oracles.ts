/**
 * The oracles together: every rule of DESIGN.md section 2 that concerns the core, checked from outside after
 * everything that reaches a disk or a wire. Rule 11, which is about the end, is in sim/oracles/liveness.ts.
 */
import type { NodeId } from '../src/core/ids.ts'
import type { Durable } from '../src/core/state.ts'
import { createDatastoreOracle } from './oracles/datastores.ts'
import { createFoundingOracle } from './oracles/founding.ts'
import { createPlanOracle, type PlanOracle } from './oracles/plans.ts'
import { createRecordOracle } from './oracles/records.ts'
import { createReplicationOracle } from './oracles/replication.ts'
import type { Oracle, Violate } from './oracles/watch.ts'
import type { World } from './world.ts'

export interface Oracles extends Required<Omit<Oracle, 'persisted'>> {
  persisted(id: NodeId, durable: Durable): void
  readonly plans: PlanOracle
  readonly founding: ReturnType<typeof createFoundingOracle>
}

export function createOracles(
  violate: Violate,
  liars: ReadonlySet<NodeId>,
  leastExpect: number,
  world: () => World,
): Oracles {
  const founding = createFoundingOracle(violate, liars, leastExpect, world)
  const replication = createReplicationOracle(violate)
  const plans = createPlanOracle(violate, replication, liars)
  const datastores = createDatastoreOracle(violate, plans, world)
  const records = createRecordOracle(violate)
  const disks = new Map<NodeId, Durable>()
  return {
    plans,
    founding,
    persisted: (id, durable) => {
      const before = disks.get(id) ?? null
      disks.set(id, durable)
      founding.persisted?.(id, durable, before)
      replication.persisted?.(id, durable, before)
      plans.persisted?.(id, durable, before)
    },
    sent: (machine, to, message) => {
      founding.sent?.(machine, to, message)
      replication.sent?.(machine, to, message)
      datastores.sent?.(machine, to, message)
      records.sent?.(machine, to, message)
    },
    ordered: (machine, order) => datastores.ordered?.(machine, order),
    logged: (machine, event, fields) => plans.logged?.(machine, event, fields),
    datastoreJoined: (machine, datastore) => datastores.datastoreJoined?.(machine, datastore),
  }
}
