/**
 * What people commanded, as the simulated operator gave it: the measure of rules 6, 9 and 10. Whoever is not in
 * here commands nothing; whoever they approved may come in; and while something is done to a server, the others
 * must have been there.
 */
import type { Command } from '../../src/core/commands.ts'
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
  removalBegan(before: Plan, target: NodeId, by: NodeId, isDead: boolean): void
  /** An operator signed this: it may be carried out once. */
  signed(verb: Command['verb']): void
  /** Lines of a certified plan's history, as they grow. */
  signedLines(history: Plan['history']): void
  /** Something arrived. */
  received(machine: Machine, from: NodeId): void
}

/** In whose name the simulated operator commands; anybody else is a thief. */
export const OPERATOR = 'operator'
/** The leader's picture may be this old: silence counts after some seconds, and disks are slow. */
const PICTURE_MS = 15_000
/** From the leader's decision to its certificate, on slow disks. */
const CERTIFIED_MS = 4_000
/** Longer than any grace of a simulated cluster. */
const REMEMBERED_MS = 40_000

export function createPeople(violate: Violate, world: () => World): People {
  const wasThere = (machine: Machine): boolean => {
    const { now } = world()
    return (machine.state !== null && !machine.paused) || now - machine.leftAt < PICTURE_MS
  }
  /** How often operators signed each verb, and which lines of history are by operators. */
  const signed = new Map<string, number>()
  const lines = new Set<string>()
  /** When each machine got something from each identity. */
  const heard = new Map<number, Map<NodeId, number[]>>()

  /** Whether this machine heard the other within its grace, and some time before the act was certified. */
  const isHeard = (by: number, target: NodeId, graceMs: number): boolean => {
    const { now } = world()
    const times = heard.get(by)?.get(target) ?? []
    return times.some((at) => at > now - graceMs && at < now - CERTIFIED_MS)
  }

  return {
    signed: (verb) => signed.set(verb, (signed.get(verb) ?? 0) + 1),
    signedLines: (history) => {
      for (const line of history) {
        if (line.by === null || !line.by.who.startsWith('operator …')) continue
        lines.add(`${line.cause} ${JSON.stringify(line)}`)
      }
      const configured = [...lines].filter((line) => line.startsWith('configured')).length
      if (configured > (signed.get('config') ?? 0))
        violate(
          9,
          `operators signed ${signed.get('config') ?? 0} changes of the settings, ${configured} were made`,
        )
    },
    received: ({ index }, from) => {
      const { now } = world()
      const of = heard.get(index) ?? new Map<NodeId, number[]>()
      heard.set(index, of)
      of.set(from, [...(of.get(from) ?? []).filter((at) => now - at < REMEMBERED_MS), now])
    },
    approved: new Set(),
    approvedAsServers: new Set(),
    isPerson: (who) => who === OPERATOR || who.startsWith('operator …'),
    counts: (name) => world().counters.add(name),
    removalBegan: (before, target, by, isDead) => {
      const leader = world().machines.find(({ keys }) => keys.id === by)
      const { replaceAfterMs } = before.settings
      if (isDead && leader !== undefined && isHeard(leader.index, target, replaceAfterMs))
        violate(6, `${target} is replaced as dead, and ${by} hears it all the time`)
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
