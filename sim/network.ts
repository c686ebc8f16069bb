/**
 * The network between machines, as libp2p would show it: connections that open and break, each side told in
 * its own time, and messages that pass only over an open one. Ordered: like a stream, nothing overtakes and
 * nothing is lost while the connection lasts. Wild: messages are lost, doubled and overtake each other, which
 * is more than a stream ever does.
 *
 * Up to {@link CROWD_FROM} endpoints everyone is connected to everyone. In a crowd each keeps to a part of the
 * others, by chance; whoever is spoken to is connected to, and what is said waits for that, as src/host/network
 * does it.
 */
import type { NodeId } from '../src/core/ids.ts'
import { decodeMessage, encodeMessage, type Message, ProtocolError } from '../src/core/protocol.ts'
import { type Random, randomFrom } from './random.ts'
import type { World } from './world.ts'

/** Times are tables from which one entry is drawn each time, milliseconds. */
export interface NetworkPlan {
  readonly ordered: boolean
  readonly delaysMs: readonly number[]
  /** Of messages; wild networks only. */
  readonly lossPerMille: number
  readonly duplicatePerMille: number
  /** Of one direction of a link; only encoded messages have a length. */
  readonly bytesPerSecond?: number
  /** Of messages: a bit of theirs flips on the way. */
  readonly corruptPerMille?: number
  /** From both being there to the first connection. */
  readonly discoverMs: readonly number[]
  /** From a broken connection, or a healed cut, to the next. */
  readonly redialMs: readonly number[]
  /** From a silent end of the other side to being told. */
  readonly noticeMs: readonly number[]
}

/** What is plugged into the network: a machine, or a liar. */
export interface Endpoint {
  readonly index: number
  /** Its ID as peers prove it now; null while it is off. */
  id(): NodeId | null
  connected(peer: NodeId): void
  disconnected(peer: NodeId): void
  receive(from: NodeId, message: Message): void
}

export interface Network {
  plug(endpoint: Endpoint): void
  /** The endpoint was switched on: it is discovered by the others. */
  joined(index: number): void
  /** Its process ended. Silent: the others notice late, as when power or cable is gone. */
  left(index: number, silent: boolean): void
  send(from: number, to: NodeId, message: Message): void
  /** Shortens the wait for the next connection of the two. */
  dial(from: number, to: NodeId): void
  breakLink(a: number, b: number): void
  cut(from: readonly number[], to: readonly number[], oneWay: boolean): () => void
  /** Everything to and from this endpoint takes so much longer from now on. */
  slow(index: number, byMs: number): void
  /** Whether packets pass both ways. */
  passes(a: number, b: number): boolean
  /** Endpoints that this one is told to be connected with, for at least so many milliseconds. */
  peersOf(index: number, sinceMs?: number): number[]
}

/** From so many endpoints on, connections are a random part of all pairs. */
export const CROWD_FROM = 66
/** Production keeps 64; fewer are the harder case, and each costs the simulator two messages of each kind. */
const CONNECTIONS_KEPT = 10
/** What is said to who is not connected is forgotten after this, milliseconds. */
const OUTBOX_AGE_MS = 5_000

/** How long a connection over a cut lives until keep-alives give it up, milliseconds. */
const GIVE_UP_MS = [1_500, 6_000, 20_000] as const

interface Waiting {
  readonly at: number
  readonly sender: NodeId
  readonly message: Message | Uint8Array
}

/** One direction of a link: what `from` sent and `to` has not got, and whether `to` was told of the link. */
interface Lane {
  readonly from: Endpoint
  readonly to: Endpoint
  blocked: number
  /** Who `to` believes to be connected with, and since when. */
  told: NodeId | null
  toldAt: number
  waiting: Waiting[]
  /** In a crowd: said before there was a connection. */
  outbox: { readonly at: number; readonly message: Message }[]
  lastAt: number
  /** Counts connections as this lane sees them: what was sent in an earlier one never arrives. */
  epoch: number
}

interface Link {
  readonly lanes: readonly [Lane, Lane]
  up: boolean
  /** Counts openings and breaks: what belongs to an earlier one is void. */
  generation: number
  tryAt: number
}

export function createNetwork(world: World, plan: NetworkPlan, encoded: boolean, size: number): Network {
  const endpoints: Endpoint[] = []
  const links: (Link | undefined)[][] = []
  /** Whom each has a link with: for crowds, where most pairs never have one. */
  const neighbours: Set<number>[] = []
  const isCrowd = size >= CROWD_FROM
  const random: Random = randomFrom(world.seed, 'network')
  const { counters } = world

  const linkOf = (a: number, b: number): Link | undefined => links[Math.max(a, b)]?.[Math.min(a, b)]
  const laneOf = (from: number, to: number): Lane | undefined => linkOf(from, to)?.lanes[from < to ? 0 : 1]
  const isBlocked = (link: Link): boolean => link.lanes.some((lane) => lane.blocked > 0)
  /** Milliseconds that everything to and from an endpoint takes longer. */
  const slowness: number[] = []
  const delayOf = (lane: Lane): number =>
    random.pick(plan.delaysMs) + (slowness[lane.from.index] ?? 0) + (slowness[lane.to.index] ?? 0)
  const indexes = new Map<NodeId, number>()
  /** Endpoints that prove one ID: copied disks. A sender reaches now one, now the other. */
  const twins = new Map<NodeId, Set<number>>()
  const indexOf = (id: NodeId, from: number): number => {
    const some = twins.get(id)
    if (some === undefined) return indexes.get(id) ?? -1
    const reached = [...some].filter(
      (index) => endpoints[index]?.id() === id && laneOf(index, from)?.told === id && linkOf(index, from)?.up,
    )
    return reached.length === 0 ? (indexes.get(id) ?? -1) : random.pick(reached)
  }
  /** Whether this side has the peer by another connection, too: only twins are met twice. */
  const hasAnother = (lane: Lane, peer: NodeId): boolean =>
    [...(twins.get(peer) ?? [])].some((index) => {
      const other = laneOf(index, lane.to.index)
      return other !== undefined && other !== lane && other.told === peer
    })
  const linksOf = (index: number): Link[] =>
    [...(neighbours[index] ?? [])].flatMap((other) => linkOf(index, other) ?? [])

  const laneBetween = (from: Endpoint, to: Endpoint): Lane => ({
    from,
    to,
    blocked: 0,
    told: null,
    toldAt: 0,
    waiting: [],
    outbox: [],
    lastAt: 0,
    epoch: 0,
  })

  /** The link of two endpoints, made where there is none yet. */
  const linkUp = (a: number, b: number): Link | undefined => {
    const known = linkOf(a, b)
    const [first, second] = [endpoints[Math.min(a, b)], endpoints[Math.max(a, b)]]
    if (known !== undefined || first === undefined || second === undefined || a === b) return known
    const lanes = [laneBetween(first, second), laneBetween(second, first)] as const
    const link: Link = { lanes, up: false, generation: 0, tryAt: -1 }
    const row = links[second.index]
    if (row !== undefined) row[first.index] = link
    neighbours[a]?.add(b)
    neighbours[b]?.add(a)
    return link
  }

  /** Of a crowd each dials some of those who are there. */
  const keepSome = (index: number): void => {
    const others = endpoints.filter((other) => other.index !== index && other.id() !== null)
    for (let i = 0; i < CONNECTIONS_KEPT && others.length > 0; i++) {
      const at = random.below(others.length)
      const [other] = others.splice(at, 1)
      if (other !== undefined) linkUp(index, other.index)
    }
  }

  const tryLater = (link: Link, table: readonly number[]): void => {
    const at = world.now + random.pick(table)
    if (link.tryAt > world.now && link.tryAt <= at) return
    link.tryAt = at
    world.at(at, () => {
      if (link.tryAt !== at || link.up || isBlocked(link)) return
      const [a, b] = link.lanes.map((lane) => lane.to.id())
      if (a != null && b != null && a !== b) open(link)
    })
  }

  const open = (link: Link): void => {
    link.up = true
    link.generation += 1
    counters.add('connections')
    const { generation } = link
    for (const lane of link.lanes) {
      lane.waiting = []
      lane.epoch += 1
      const peer = lane.from.id()
      world.at(world.now + random.pick(plan.delaysMs), () => {
        if (link.generation !== generation || lane.to.id() === null || peer === null) return
        tell(lane, peer)
      })
    }
  }

  /** A side that never noticed the end of the last connection may see no change at all. */
  const tell = (lane: Lane, peer: NodeId): void => {
    if (lane.told === peer && random.perMille(500)) return
    if (lane.told !== null && !hasAnother(lane, lane.told)) lane.to.disconnected(lane.told)
    lane.told = peer
    lane.toldAt = world.now
    lane.to.connected(peer)
    const back = laneOf(lane.to.index, lane.from.index)
    if (back === undefined || back.outbox.length === 0) return
    const waited = back.outbox.filter(({ at }) => world.now - at <= OUTBOX_AGE_MS)
    back.outbox = []
    for (const { message } of waited) send(back.from.index, peer, message)
  }

  /** What was under way may still arrive, up to a point, until the other side is told. */
  const close = (link: Link, notice: readonly number[]): void => {
    if (!link.up) return
    link.up = false
    link.generation += 1
    counters.add('breaks')
    const { generation } = link
    for (const lane of link.lanes) {
      lane.waiting.length = random.below(lane.waiting.length + 1)
      const peer = lane.told
      if (peer === null) continue
      world.at(world.now + random.pick(notice), () => {
        if (link.generation !== generation || lane.told !== peer || lane.to.id() === null) return
        lane.told = null
        lane.epoch += 1
        if (!hasAnother(lane, peer)) lane.to.disconnected(peer)
      })
    }
    tryLater(link, plan.redialMs)
  }

  const deliver = (lane: Lane, content: Message | Uint8Array): void => {
    if (lane.told === null) return
    counters.add('messages')
    lane.to.receive(lane.told, content instanceof Uint8Array ? decodeMessage(content) : content)
  }

  const pump = (lane: Lane, epoch: number): void => {
    if (lane.epoch !== epoch) return
    const head = lane.waiting[0]
    if (head === undefined) return
    // A stream holds what a cut holds up, and comes out late.
    if (lane.blocked > 0 || lane.told !== head.sender) {
      world.at(world.now + (lane.blocked > 0 ? 200 : 1), () => pump(lane, epoch))
      return
    }
    if (head.at > world.now) {
      world.at(head.at, () => pump(lane, epoch))
      return
    }
    lane.waiting.shift()
    const next = lane.waiting[0]
    if (next !== undefined) world.at(Math.max(world.now, next.at), () => pump(lane, epoch))
    deliver(lane, head.message)
  }

  /** How long a narrow link is busy with it; what comes after waits. */
  const transferMs = (message: Message | Uint8Array): number => {
    if (plan.bytesPerSecond === undefined || !(message instanceof Uint8Array)) return 0
    counters.add('bytes over narrow links', message.length)
    return Math.ceil((message.length * 1_000) / plan.bytesPerSecond)
  }

  const sendOrdered = (lane: Lane, sender: NodeId, message: Message | Uint8Array): void => {
    const at = Math.max(lane.lastAt, world.now + delayOf(lane)) + transferMs(message)
    lane.lastAt = at
    lane.waiting.push({ at, sender, message })
    const { epoch } = lane
    if (lane.waiting.length === 1) world.at(at, () => pump(lane, epoch))
  }

  const sendWild = (lane: Lane, sender: NodeId, message: Message | Uint8Array): void => {
    if (random.perMille(plan.lossPerMille)) {
      counters.add('lost')
      return
    }
    const copies = random.perMille(plan.duplicatePerMille) ? 2 : 1
    if (copies > 1) counters.add('duplicated')
    const { epoch } = lane
    for (let i = 0; i < copies; i++) {
      const at = world.now + delayOf(lane)
      if (at < lane.lastAt) counters.add('reordered')
      lane.lastAt = Math.max(lane.lastAt, at)
      world.at(at, () => {
        if (lane.epoch === epoch && lane.blocked === 0 && lane.told === sender) deliver(lane, message)
      })
    }
  }

  /** No flipped bit passes the cipher; were it to, the decoder would at least end in nothing but its own error. */
  const corrupt = (link: Link, bytes: Uint8Array): void => {
    const at = random.below(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
    counters.add('corrupted')
    try {
      decodeMessage(bytes)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      counters.add('corrupted frames refused')
    }
    close(link, [0, 1, 50])
  }

  const send = (from: number, to: NodeId, message: Message): void => {
    const target = indexOf(to, from)
    const link = isCrowd ? linkUp(from, target) : linkOf(from, target)
    const lane = laneOf(from, target)
    const sender = endpoints[from]?.id()
    if (link === undefined || lane === undefined || sender == null) return
    if (laneOf(target, from)?.told !== to || !link.up) {
      counters.add('unsendable')
      if (!isCrowd) return
      lane.outbox.push({ at: world.now, message })
      if (!link.up) tryLater(link, plan.delaysMs)
      return
    }
    if (plan.corruptPerMille !== undefined && random.perMille(plan.corruptPerMille)) {
      corrupt(link, encodeMessage(message))
      return
    }
    const content = encoded ? encodeMessage(message) : message
    const machine = world.machines[from]
    if (content instanceof Uint8Array && machine !== undefined) {
      world.oracles.bounds.carried(machine, content.length)
    }
    if (plan.ordered) sendOrdered(lane, sender, content)
    else sendWild(lane, sender, content)
  }

  return {
    plug: (endpoint) => {
      links.push([])
      neighbours.push(new Set())
      endpoints.push(endpoint)
      if (!isCrowd) for (const other of endpoints) linkUp(endpoint.index, other.index)
    },
    joined: (index) => {
      const id = endpoints[index]?.id()
      if (id != null) {
        const before = indexes.get(id)
        if (before !== undefined && before !== index) {
          twins.set(id, new Set([...(twins.get(id) ?? [before]), index]))
        }
        indexes.set(id, index)
      }
      if (isCrowd) keepSome(index)
      for (const link of linksOf(index)) tryLater(link, plan.discoverMs)
    },
    left: (index, silent) => {
      for (const link of linksOf(index)) {
        for (const lane of link.lanes) {
          if (lane.to.index !== index) continue
          lane.told = null
          lane.epoch += 1
        }
        close(link, silent ? plan.noticeMs : [0, 1])
      }
    },
    send,
    dial: (from, to) => {
      const link = linkUp(from, indexOf(to, from))
      if (link !== undefined && !link.up) tryLater(link, plan.delaysMs)
    },
    slow: (index, byMs) => {
      slowness[index] = byMs
    },
    breakLink: (a, b) => {
      const link = linkOf(a, b)
      if (link !== undefined) close(link, [0, 1, 50])
    },
    cut: (from, to, oneWay) => {
      if (isCrowd) for (const a of from) for (const b of to) linkUp(a, b)
      const lanes = from.flatMap((a) =>
        to.flatMap((b) => [laneOf(a, b) ?? [], oneWay ? [] : (laneOf(b, a) ?? [])].flat()),
      )
      for (const lane of lanes) lane.blocked += 1
      const affected = from.flatMap((a) => to.flatMap((b) => linkOf(a, b) ?? []))
      for (const link of affected) {
        const { generation } = link
        world.at(world.now + random.pick(GIVE_UP_MS), () => {
          if (link.generation === generation && isBlocked(link)) close(link, plan.noticeMs)
        })
      }
      return () => {
        for (const lane of lanes) lane.blocked -= 1
        for (const link of affected) if (!link.up && !isBlocked(link)) tryLater(link, plan.redialMs)
      }
    },
    passes: (a, b) => {
      if (a === b) return true
      const link = linkOf(a, b)
      return link === undefined ? isCrowd : !isBlocked(link)
    },
    peersOf: (index, sinceMs = 0) =>
      endpoints
        .filter((other) => {
          const lane = laneOf(other.index, index)
          return lane?.told != null && lane.blocked === 0 && world.now - lane.toldAt >= sinceMs
        })
        .map((other) => other.index),
  }
}
