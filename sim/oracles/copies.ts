/**
 * Copied disks: one restored from an old copy, or one that runs twice. What such an identity does against rule
 * 2 before it is detected is excused and counted; only once it really said two things do the rules that rest on
 * its word (1, 3, 4, 9 and 11) bind no more. Until then they do, whatever was restored.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Durable } from '../../src/core/state.ts'
import type { Counters } from '../counters.ts'
import type { Violate } from './watch.ts'

export interface Copies {
  /** Passes on what no copied disk excuses. */
  readonly violate: Violate
  copied(id: NodeId, how: 'restored' | 'cloned', durable: Durable | null): void
  has(id: NodeId): boolean
  /** Two machines with one key: what one of them has on its disk says nothing of the other's. */
  isCloned(id: NodeId): boolean
  /** Copies made before they held the genesis: each can promise once more than its original (rule 1). */
  surplus(promisers: ReadonlySet<NodeId>): number
  /** Why the rules bind no more; null while they do. */
  excuse(): string | null
}

export function createCopies(violate: Violate, counters: () => Counters | undefined): Copies {
  const ids = new Map<NodeId, { cloned: boolean; early: number }>()
  let broken: string | null = null
  return {
    violate: (rule, message) => {
      const who = [...ids.keys()].find((id) => message.startsWith(id))
      if (rule === 2 && who !== undefined) {
        counters()?.add('excused: a copied disk broke its word')
        // Two records of one number mislead nobody for long, and no other rule rests on them.
        if (!message.includes(' record ')) broken ??= 'a copied disk broke its word before it was found'
        return
      }
      if (broken === null) violate(rule, message)
      else counters()?.add(`excused: rule ${rule} after a copied disk broke its word`)
    },
    copied: (id, how, durable) => {
      const entry = ids.get(id) ?? { cloned: false, early: 0 }
      if (how === 'cloned') entry.cloned = true
      if (durable === null || durable.genesis === null) entry.early += 1
      ids.set(id, entry)
    },
    has: (id) => ids.has(id),
    isCloned: (id) => ids.get(id)?.cloned === true,
    surplus: (promisers) =>
      [...ids].reduce((sum, [id, { early }]) => sum + (promisers.has(id) ? early : 0), 0),
    excuse: () => broken,
  }
}
