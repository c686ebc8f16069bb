/**
 * What people commanded, as the simulated operator gave it: the measure of rules 6, 9 and 10. Whoever is not in
 * here commands nothing; whoever they approved may come in; and while something is done to a server, the others
 * must have been there.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Plan } from '../../src/core/plan.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import type { Violate } from './watch.ts'

export interface People {
  /** Whom people let in, or promoted. */
  readonly approved: Set<NodeId>
  readonly approvedAsServers: Set<NodeId>
  /** Whether commands in this name were given by a person who may. */
  isPerson(who: string): boolean
  counts(name: string): void
  /** A certified plan takes a server out, by a person's word or by itself. */
  removalBegan(before: Plan, target: NodeId): void
}

/** In whose name the simulated operator commands; anybody else is a thief. */
export const OPERATOR = 'operator'
/** The leader's picture may be this old: silence counts after some seconds, and disks are slow. */
const PICTURE_MS = 15_000

export function createPeople(violate: Violate, world: () => World): People {
  const wasThere = (machine: Machine): boolean => {
    const { now } = world()
    return (machine.state !== null && !machine.paused) || now - machine.leftAt < PICTURE_MS
  }
  return {
    approved: new Set(),
    approvedAsServers: new Set(),
    isPerson: (who) => who === OPERATOR || who.startsWith('operator …'),
    counts: (name) => world().counters.add(name),
    removalBegan: (before, target) => {
      world().counters.add('removals begun')
      const there = new Set(
        world()
          .machines.filter(wasThere)
          .flatMap(({ keys, formerIds, leftAt }) => [
            keys.id,
            ...(world().now - leftAt < PICTURE_MS ? formerIds.slice(-1) : []),
          ]),
      )
      for (const [what, ids] of [
        ['voters', before.voters],
        ['members of the datastore', before.datastore.members],
      ] as const) {
        const rest = ids.filter((id) => id !== target)
        const left = rest.filter((id) => there.has(id))
        if (ids.includes(target) && rest.length > 0 && left.length * 2 <= rest.length)
          violate(
            6,
            `${target} is taken out, while only ${left.length} of the other ${rest.length} ${what} are there`,
          )
      }
    },
  }
}
