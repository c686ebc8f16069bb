/**
 * Keeping connected: libp2p dials once, the rest is here. Every known peer is dialled until it is connected, one
 * dial at a time for each, with pauses that grow with its absence: who was away for a minute is found again
 * within eight seconds, who was away for a moment at once.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import { withoutPeerId } from './addresses.ts'
import type { Connections } from './connections.ts'
import { type DialFailure, dialFailure } from './dial-failure.ts'
import type { NetworkPorts } from './ports.ts'
import { inOrder, type Known, type Target, type Targets } from './targets.ts'

const ROUND_MS = 250
const FORGET_ROUNDS = 240
/** A connection that ends sooner was none: the other side does not want us, and asking at once changes nothing. */
const FLEETING_MS = 5_000
/** Three addresses that swallow packets, at libp2p's time for one: see swarm.ts. */
const DIAL_TIMEOUT_MS = 12_000
const PAUSE_MIN_MS = 500
const PAUSE_MAX_MS = 10_000
/** Of an absence, this part is the pause until the next try. */
const PAUSE_SHARE = 1 / 8
/** With many away, each waits longer: two dials a second in all cost less than one percent of a core. */
const PAUSE_PER_TARGET_MS = 500
/** Two that lose or find each other at the same moment shall not both dial: the larger ID lets the other begin. */
const COURTESY_MS = 400
const DIALS_AT_ONCE = 16
/** Connections kept on our own account: in small clusters everyone to everyone, in large ones a random part. */
export const CONNECTIONS_KEPT = 64
/** What the core asked for is kept up for so long beyond that number. */
const WANTED_MS = 5 * 60_000
/** A written name that leads to this machine itself may lead elsewhere one day. */
const SELF_PAUSE_MS = 10 * 60_000

export interface Failing {
  readonly written: string
  readonly since: Date
  readonly failure: DialFailure
}

export interface Redial {
  /** How a peer can be reached. `answered`: it said so itself just now, so that dialling it will succeed. */
  learn(peer: string, addresses: readonly string[], options?: { readonly answered?: boolean }): void
  /** From a former run: worth remembering again. */
  remember(known: Known): void
  /** Somebody waits for this peer: it is dialled though there are connections enough. */
  want(peer: string): void
  connected(peer: string): void
  disconnected(peer: string): void
  /** No dial to this peer for so long. */
  postpone(peer: string, ms: number): void
  /** Written addresses that cannot be reached. */
  failing(): Failing[]
  stop(): void
}

export function startRedial(
  node: Libp2p,
  connections: Connections,
  targets: Targets,
  ports: Pick<NetworkPorts, 'count'>,
): Redial {
  const self = node.peerId.toString()
  let dialling = 0
  let stopped = false

  const sooner = (target: Target, at: number): void => {
    target.nextAt = Math.min(target.nextAt, at)
  }
  const courtesyTo = (peer: string): number => (self < peer ? 0 : COURTESY_MS)

  const dial = async (target: Target): Promise<void> => {
    target.dialling = true
    dialling += 1
    try {
      const connection = await dialAddresses(target)
      succeeded(target, connection)
    } catch (error) {
      if (!stopped) failed(target, dialFailure(error))
    } finally {
      target.dialling = false
      dialling -= 1
    }
  }

  const dialAddresses = async (target: Target): Promise<Connection> => {
    const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS)
    // A written address leads to whoever is there now: its machine may have been installed anew.
    if (target.peer === null || target.written !== null) return await node.dial(inOrder(target), { signal })
    // Every machine with Docker has the same 172.17.0.1: to dial it would be to dial oneself.
    const own = new Set(node.getMultiaddrs().map((address) => withoutPeerId(address).toString()))
    const others = inOrder(target).filter((address) => !own.has(address.toString()))
    if (others.length === 0) throw new Error('all its addresses are addresses of this machine too')
    return await node.dial(
      others.map((address) => address.encapsulate(`/p2p/${target.peer}`)),
      { signal },
    )
  }

  const succeeded = (target: Target, connection: Connection): void => {
    target.peer = connection.remotePeer.toString()
    target.seenAt = performance.now()
    target.connectedAt = target.seenAt
    target.failure = null
    target.failingSince = null
    const entry = target.addresses.get(withoutPeerId(connection.remoteAddr).toString())
    if (entry !== undefined) entry.failedAt = 0
  }

  const failed = (target: Target, failure: DialFailure): void => {
    const now = performance.now()
    if (failure.kind === 'self' && target.written !== null) {
      target.peer = self
      target.nextAt = now + SELF_PAUSE_MS
      return
    }
    ports.count('network.dial.failed', { kind: failure.kind })
    // What was tried first comes last: perhaps time was up before the others had their turn.
    inOrder(target).forEach((address, i) => {
      const entry = target.addresses.get(address.toString())
      if (entry !== undefined) entry.failedAt = now - i
    })
    target.failure = failure
    target.failingSince ??= new Date()
    target.nextAt = now + pauseOf(target, now)
  }

  const pauseOf = (target: Target, now: number): number => {
    const absent = targets.all().filter((other) => !targets.isConnected(other)).length
    const longest = Math.max(PAUSE_MAX_MS, absent * PAUSE_PER_TARGET_MS)
    const pause = Math.min(Math.max((now - target.absentSince) * PAUSE_SHARE, PAUSE_MIN_MS), longest)
    return pause * (0.75 + Math.random() / 2)
  }

  const round = (): void => {
    const now = performance.now()
    const due = targets.all().filter((target) => !target.dialling && target.nextAt <= now)
    // A name that led to this machine is asked again.
    for (const target of due) if (target.peer === self) target.peer = null
    const absent = due.filter((target) => !targets.isConnected(target))
    const isNamed = (target: Target): boolean => target.written !== null || target.wantedUntil > now
    const room = Math.max(CONNECTIONS_KEPT - connections.peers().length - dialling, 0)
    const others = shuffled(absent.filter((target) => !isNamed(target))).slice(0, room)
    const chosen = [...absent.filter(isNamed), ...others]
    for (const target of chosen.slice(0, Math.max(DIALS_AT_ONCE - dialling, 0))) void dial(target)
  }

  let rounds = 0
  const timer = setInterval(() => {
    rounds += 1
    round()
    if (rounds % FORGET_ROUNDS === 0) targets.forget(performance.now())
  }, ROUND_MS)

  const learn: Redial['learn'] = (peer, addresses, { answered = false } = {}) => {
    if (stopped) return
    const learnt = targets.learn(peer, addresses)
    if (learnt === null || !(learnt.isNew || answered)) return
    sooner(learnt.target, performance.now() + courtesyTo(peer))
    round()
  }

  return {
    learn,
    remember: ({ id, addresses }) => {
      learn(id, addresses)
      for (const target of targets.of(id)) target.seenAt ??= performance.now()
    },
    want: (peer) => {
      const now = performance.now()
      for (const target of targets.of(peer)) {
        // Who fails keeps its pauses, however often it is wanted.
        if (target.failure === null) sooner(target, now)
        target.wantedUntil = now + WANTED_MS
      }
      round()
    },
    connected: (peer) => {
      const now = performance.now()
      for (const target of targets.of(peer)) {
        target.seenAt = now
        target.connectedAt = now
        target.failure = null
        target.failingSince = null
      }
      if (connections.peers().length > 1) return
      // The first connection after none: the cable is in again, so nobody else need wait for its turn.
      for (const target of targets.all()) {
        if (!targets.isConnected(target)) sooner(target, now + Math.random() * PAUSE_MIN_MS)
      }
    },
    disconnected: (peer) => {
      const now = performance.now()
      for (const target of targets.of(peer)) {
        target.seenAt = now
        const isFleeting = now - target.connectedAt < FLEETING_MS
        if (!isFleeting) target.absentSince = now
        const pause = isFleeting ? pauseOf(target, now) : courtesyTo(peer) + Math.random() * 100
        if (target.nextAt <= now) target.nextAt = now + pause
      }
    },
    postpone: (peer, ms) => {
      for (const target of targets.of(peer)) target.nextAt = performance.now() + ms
    },
    failing: () =>
      targets.all().flatMap((target) => {
        const { written, failure, failingSince: since } = target
        if (written === null || failure === null || since === null || targets.isConnected(target)) return []
        return [{ written, since, failure }]
      }),
    stop: () => {
      stopped = true
      clearInterval(timer)
    },
  }
}

/** Fisher and Yates: which part of a large network one keeps to is chance, so that no part is cut off. */
function shuffled<T>(items: readonly T[]): T[] {
  const result: T[] = []
  for (const item of items) {
    const at = Math.floor(Math.random() * (result.length + 1))
    const moved = result[at]
    if (moved === undefined) {
      result.push(item)
    } else {
      result[at] = item
      result.push(moved)
    }
  }
  return result
}
