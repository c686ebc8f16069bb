/** Rules 1 and 2 of founding: one genesis; a promise and an acceptance are remembered, and on disk before they are said. */
import type { NodeId } from '../../src/core/ids.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'
import { contentOf, short } from './contents.ts'
import type { Copies } from './copies.ts'
import type { Oracle, Violate } from './watch.ts'

interface Said {
  readonly promises: Map<number, NodeId>
  readonly acceptances: Map<number, string>
  readonly proposals: Map<number, string>
  highestPromise: number
}

export interface FoundingOracle extends Oracle {
  geneses(): number
  /** Why rule 1 does not bind this run; null where it does. */
  excuse(): string | null
}

/** Gossip and its repair take no longer than this to say that there is a genesis. */
const KNOWN_AFTER_MS = 20_000

/** Q of DESIGN.md section 7, written down a second time. */
const quorumOf = (expect: number): number => (expect === 1 ? 1 : Math.floor((expect + 1) / 2) + 1)

export function createFoundingOracle(
  violate: Violate,
  liars: ReadonlySet<NodeId>,
  leastExpect: number,
  world: () => World,
  copies: Copies,
): FoundingOracle {
  const said = new Map<NodeId, Said>()
  const geneses = new Map<string, NodeId>()
  const promisers = new Set<NodeId>()
  /** Who accepted what on its disk: `term genesis` to identities. */
  const accepted = new Map<string, Set<NodeId>>()

  const saidBy = (id: NodeId): Said => {
    let entry = said.get(id)
    if (entry === undefined) {
      entry = { promises: new Map(), acceptances: new Map(), proposals: new Map(), highestPromise: -1 }
      said.set(id, entry)
    }
    return entry
  }

  const excuse = (): string | null => {
    const surplus = promisers.size + copies.surplus(promisers) - (leastExpect === 1 ? 1 : leastExpect + 1)
    if (surplus > 0) return `${surplus} more machines promised than expect and slack allow`
    return [...promisers].some((id) => liars.has(id)) ? 'a founder lies' : null
  }

  const once = <K, V>(map: Map<K, V>, key: K, value: V, what: string, id: NodeId): void => {
    const known = map.get(key)
    if (known !== undefined && known !== value) {
      violate(2, `${id} ${what} twice in term ${String(key)}: ${String(known)} and ${String(value)}`)
    }
    map.set(key, value)
  }

  const notePromise = (id: NodeId, inTerm: number, candidate: NodeId): void => {
    promisers.add(id)
    once(saidBy(id).promises, inTerm, candidate, 'promised', id)
  }

  const noteAcceptance = (id: NodeId, inTerm: number, genesis: string): void => {
    once(saidBy(id).acceptances, inTerm, genesis, 'accepted', id)
    const key = `${inTerm} ${genesis}`
    const set = accepted.get(key) ?? new Set()
    set.add(id)
    accepted.set(key, set)
  }

  const noteFounding = (id: NodeId, now: Durable['founding'], before: Durable['founding'] | null): void => {
    if (now.candidate !== null) notePromise(id, now.term, now.candidate)
    const inTerm = now.accepted?.layers.at(-1)?.term ?? -1
    if (now.accepted !== null) noteAcceptance(id, inTerm, contentOf(now.accepted.genesis))
    if (before === null) return
    const acceptedBefore = before.accepted?.layers.at(-1)?.term ?? -1
    if (now.term < before.term) violate(2, `${id} went back from founding term ${before.term} to ${now.term}`)
    if (inTerm < acceptedBefore) violate(2, `${id} forgot what it accepted in term ${acceptedBefore}`)
    if (now.term === before.term && before.candidate !== null && now.candidate !== before.candidate) {
      violate(2, `${id} changed its promise of term ${now.term}`)
    }
  }

  const heldSince = new Map<NodeId, number>()
  const noteGenesis = (id: NodeId, certified: NonNullable<Durable['genesis']>): void => {
    const genesis = contentOf(certified.genesis)
    heldSince.set(id, world().now)
    if (!geneses.has(genesis)) {
      geneses.set(genesis, id)
      const others = [...geneses.keys()]
      if (others.length > 1 && excuse() === null) {
        violate(1, `two geneses are certified: ${others.map(short).join(' and ')} (the second on ${id})`)
      }
    }
    const { term, acceptances } = certified.certificate
    const really = accepted.get(`${term} ${genesis}`) ?? new Set()
    const count = new Set(
      acceptances.map(({ node }) => node).filter((node) => really.has(node) || liars.has(node)),
    ).size
    const stranger = certified.genesis.members.find(
      ({ id: member }) => !promisers.has(member) && !liars.has(member),
    )
    const liar = certified.genesis.members.find(
      ({ id: member }) => liars.has(member) && !promisers.has(member),
    )
    if (stranger !== undefined || liar !== undefined) {
      violate(9, `${id} holds a genesis with ${stranger?.id ?? liar?.id}, who never promised`)
    }
    if (count < quorumOf(certified.genesis.expect)) {
      violate(9, `${id} holds a genesis that only ${count} really accepted in term ${term}`)
    }
  }

  /** Who has long been connected with a holder of a genesis must know, and not found beside it. */
  const checkBeside = (machine: Machine): void => {
    const { network, machines, now } = world()
    const isAwake = (other: Machine | undefined): boolean =>
      other !== undefined && !other.paused && now - other.awakeSince >= KNOWN_AFTER_MS
    if (liars.size > 0 || !isAwake(machine)) return
    const holder = network.peersOf(machine.index, KNOWN_AFTER_MS).find((index) => {
      const since = heldSince.get(machines[index]?.keys.id ?? machine.keys.id)
      return since !== undefined && isAwake(machines[index]) && now - since >= KNOWN_AFTER_MS
    })
    if (holder !== undefined) {
      violate(1, `${machine.keys.id} promises beside ${machines[holder]?.name}, who has a genesis`)
    }
  }

  const checkSent = (machine: Machine, to: NodeId, message: Message): void => {
    const { id } = machine.keys
    const onDisk = machine.disk.durable?.founding
    switch (message.kind) {
      case 'promise': {
        const { promise } = message
        notePromise(id, promise.term, to)
        checkBeside(machine)
        const isOnDisk =
          onDisk !== undefined &&
          (onDisk.term > promise.term || (onDisk.term === promise.term && onDisk.candidate === to))
        if (!isOnDisk) violate(2, `${id} promised term ${promise.term} before it was on its disk`)
        const mine = saidBy(id)
        mine.highestPromise = Math.max(mine.highestPromise, promise.term)
        const earlier = Math.max(-1, ...[...mine.acceptances.keys()].filter((t) => t < promise.term))
        if ((promise.accepted?.term ?? -1) < earlier) {
          violate(2, `${id} promised term ${promise.term} without saying that it accepted in term ${earlier}`)
        }
        return
      }
      case 'accepted': {
        const mine = saidBy(id)
        const heldTerm = onDisk?.accepted?.layers.at(-1)?.term ?? -1
        if (heldTerm < message.term)
          violate(2, `${id} accepted in term ${message.term} before it was on its disk`)
        if (mine.highestPromise > message.term) {
          violate(2, `${id} accepted in term ${message.term} after it promised ${mine.highestPromise}`)
        }
        return
      }
      case 'prepare':
        if ((onDisk?.term ?? -1) < message.term && onDisk !== undefined) {
          violate(2, `${id} stands in term ${message.term}, but its disk knows ${onDisk.term}`)
        }
        return
      case 'propose':
        once(saidBy(id).proposals, message.term, contentOf(message.proposal.genesis), 'proposed', id)
        return
      default:
        return
    }
  }

  return {
    geneses: () => geneses.size,
    excuse,
    persisted: (id, durable, before) => {
      if (durable.founding !== before?.founding) noteFounding(id, durable.founding, before?.founding ?? null)
      if (durable.genesis === (before?.genesis ?? null)) return
      if (durable.genesis === null) violate(2, `${id} forgot its genesis`)
      else {
        noteGenesis(id, durable.genesis)
        const held = before?.genesis ?? null
        if (held !== null && contentOf(held.genesis) !== contentOf(durable.genesis.genesis)) {
          violate(2, `${id} changed its genesis`)
        }
      }
    },
    sent: checkSent,
  }
}
