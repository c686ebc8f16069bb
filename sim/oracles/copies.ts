/**
 * Copied disks: one restored from an old copy, or one that runs twice. What such an identity does against rule
 * 2 before it is detected is excused and counted; only once it really said two things, or gave its word to
 * something older than what it forgot, do the rules that rest on its word (1, 3, 4, 9 and 11) bind no more.
 * Until then they do, whatever was restored.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import type { Counters } from '../counters.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import { isBefore, type Position, type Violate } from './watch.ts'

export interface Copies {
  /** Passes on what no copied disk excuses. */
  readonly violate: Violate
  /** @param before what was on the disk that the copy replaced; null for a clone. */
  copied(id: NodeId, how: 'restored' | 'cloned', durable: Durable | null, before: Durable | null): void
  has(id: NodeId): boolean
  /** Two machines with one key: what one of them has on its disk says nothing of the other's. */
  isCloned(id: NodeId): boolean
  sent(machine: Machine, to: NodeId, message: Message): void
  persisted(id: NodeId, durable: Durable, before: Durable | null): void
  /** Copies made before they held the genesis: each can promise once more than its original (rule 1). */
  surplus(promisers: ReadonlySet<NodeId>): number
  /** Why the rules bind no more; null while they do. */
  excuse(): string | null
}

/** Asking, and being told over the worst of links, takes no longer than this. */
const KNOWN_AFTER_MS = 20_000
const KNOWN_SOON_MS = 3_000

const NOWHERE: Position = { term: -1, index: -1 }
const lastOf = (durable: Durable | null): Position =>
  durable?.voting.accepted ?? durable?.certified ?? NOWHERE

export function createCopies(violate: Violate, world: () => World): Copies {
  const counters = (): Counters | undefined => world().counters
  const ids = new Map<
    NodeId,
    { cloned: boolean; early: number; readonly remembered: Position; forgotten: Position }
  >()
  /** What candidates said of their last entry, by candidate and term. */
  const polls = new Map<string, Position>()
  let broken: string | null = null
  const breakWord = (): void => {
    if (broken === null) counters()?.add('copied disks that gave their word in ignorance')
    broken ??= 'a copied disk broke its word before it was found'
  }
  /** Who has long been connected with a holder of what it signed and forgot must know, and be silent. */
  const checkBeside = (machine: Machine): void => {
    const { id } = machine.keys
    const entry = ids.get(id)
    const { network, machines, now, swift } = world()
    const knownMs = swift ? KNOWN_SOON_MS : KNOWN_AFTER_MS
    if (entry === undefined || entry.cloned || now - machine.awakeSince < knownMs) return
    const holder = network.peersOf(machine.index, knownMs).find((index) => {
      const other = machines[index]
      const certified = other?.disk.durable?.certified
      return (
        other !== undefined &&
        certified != null &&
        !other.paused &&
        now - other.awakeSince >= knownMs &&
        network.peersOf(index, knownMs).includes(machine.index) &&
        certified.signatures.some(({ node }) => node === id) &&
        isBefore(entry.remembered, certified) &&
        !isBefore(entry.forgotten, certified)
      )
    })
    if (holder !== undefined) {
      violate(
        11,
        `${machine.name} speaks beside ${machines[holder]?.name}, who holds what it signed and forgot`,
      )
    }
  }

  return {
    violate: (rule, message) => {
      const who = [...ids.keys()].find((id) => message.startsWith(id))
      if (rule === 2 && who !== undefined) {
        counters()?.add('excused: a copied disk broke its word')
        // Two records of one number mislead nobody for long, and no other rule rests on them.
        if (!message.includes(' record ')) breakWord()
        return
      }
      if (broken === null) violate(rule, message)
      else counters()?.add(`excused: rule ${rule} after a copied disk broke its word`)
    },
    copied: (id, how, durable, before) => {
      const entry = ids.get(id) ?? {
        cloned: false,
        early: 0,
        remembered: lastOf(durable),
        forgotten: NOWHERE,
      }
      const lost = lastOf(before)
      if (isBefore(lastOf(durable), lost) && isBefore(entry.forgotten, lost)) entry.forgotten = lost
      if (how === 'cloned') entry.cloned = true
      if (durable === null || durable.genesis === null) entry.early += 1
      ids.set(id, entry)
    },
    has: (id) => ids.has(id),
    isCloned: (id) => ids.get(id)?.cloned === true,
    sent: (machine, to, message) => {
      const { id } = machine.keys
      if (message.kind === 'poll' && !message.pre) {
        polls.set(`${id} ${message.term}`, { term: message.lastTerm, index: message.lastIndex })
      }
      const entry = ids.get(id)
      if (entry === undefined) return
      const { forgotten } = entry
      const candidate = message.kind === 'poll' ? id : to
      const isVote = message.kind === 'poll' || (message.kind === 'poll.answer' && message.granted)
      if ((isVote && !message.pre) || message.kind === 'signed') checkBeside(machine)
      if (isVote && !message.pre) {
        const known = polls.get(`${candidate} ${message.term}`)
        if (known !== undefined && isBefore(known, forgotten)) breakWord()
      }
      if (message.kind !== 'signed') return
      const { term, index } = message
      if (index < forgotten.index || (index === forgotten.index && term !== forgotten.term)) breakWord()
      // What one of two machines with one key signs, the other does not know.
      if (entry.cloned && isBefore(forgotten, { term, index })) entry.forgotten = { term, index }
    },
    persisted: (id, { certified }, before) => {
      // The only voter of a cluster certifies what it signs: on top of what it remembers, whatever it forgot.
      const entry = ids.get(id)
      if (entry === undefined || certified === (before?.certified ?? null)) return
      if (certified?.plan.voters.join() !== id) return
      if (entry.cloned || isBefore(before?.certified ?? NOWHERE, entry.forgotten)) breakWord()
    },
    surplus: (promisers) =>
      [...ids].reduce((sum, [id, { early }]) => sum + (promisers.has(id) ? early : 0), 0),
    excuse: () => broken,
  }
}
