/**
 * Keeping connected: libp2p dials once, the rest is here. Every known peer is dialled until it is connected,
 * with back-off and jitter, one dial at a time for each; who was connected a moment ago is tried at once.
 */
import type { Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ipOf, isWithin, peerIdOf } from './addresses.ts'
import type { NetworkPorts } from './network.ts'

const ROUND_MS = 500
const DIAL_TIMEOUT_MS = 5_000
const BACKOFF_MIN_MS = 500
const BACKOFF_MAX_MS = 30_000
/** Connections kept on our own account: in small clusters everyone to everyone, in large ones a random part. */
const CONNECTIONS_KEPT = 64
/** Peers and addresses remembered: whoever holds the token can tell us of as many as it likes. */
const TARGETS_MAX = 4_096
const ADDRESSES_MAX = 16

interface Target {
  /** Null for an address that a person wrote without a peer ID, until it was dialled once. */
  peer: string | null
  readonly addresses: Map<string, Multiaddr>
  /** Written by a person: tried for ever, and named in status while it fails. */
  readonly configured: boolean
  nextAt: number
  backoffMs: number
  dialling: boolean
  failingSince: number | null
  lastError: string
}

export interface Redial {
  learn(peer: string | null, addresses: readonly string[]): void
  connected(peer: string): void
  disconnected(peer: string): void
  /** Peers with addresses that are worth remembering. */
  known(): { readonly id: string; readonly addresses: readonly string[] }[]
  /** Configured addresses that cannot be reached. */
  failing(): { readonly address: string; readonly sinceMs: number; readonly error: string }[]
  stop(): void
}

export function startRedial(
  node: Libp2p,
  configured: readonly Multiaddr[],
  excludedCidr: string | null,
  ports: Pick<NetworkPorts, 'log' | 'count'>,
): Redial {
  const self = node.peerId.toString()
  const targets = new Map<string, Target>()
  let stopped = false

  const targetOf = (key: string, peer: string | null, isConfigured: boolean): Target | null => {
    const known = targets.get(key)
    if (known !== undefined) return known
    if (targets.size >= TARGETS_MAX) return null
    const target: Target = {
      peer,
      addresses: new Map(),
      configured: isConfigured,
      nextAt: 0,
      backoffMs: BACKOFF_MIN_MS,
      dialling: false,
      failingSince: null,
      lastError: '',
    }
    targets.set(key, target)
    return target
  }

  for (const address of configured) {
    const peer = peerIdOf(address)
    const target = targetOf(address.toString(), peer, true)
    target?.addresses.set(address.toString(), address)
  }

  const isConnected = (target: Target): boolean =>
    target.peer !== null &&
    (target.peer === self || node.getConnections(peerIdFromString(target.peer)).length > 0)

  const dial = async (target: Target): Promise<void> => {
    target.dialling = true
    try {
      const addresses = [...target.addresses.values()]
      const options = { signal: AbortSignal.timeout(DIAL_TIMEOUT_MS) }
      const wanted = target.peer
      const complete =
        wanted === null
          ? addresses
          : addresses.map((address) =>
              peerIdOf(address) === null ? address.encapsulate(`/p2p/${wanted}`) : address,
            )
      const connection = await node.dial(complete, options)
      target.peer = connection.remotePeer.toString()
      target.backoffMs = BACKOFF_MIN_MS
      target.failingSince = null
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (message.includes('Can not dial self')) target.peer = self
      target.failingSince ??= performance.now()
      target.lastError = message
      target.nextAt = performance.now() + target.backoffMs * (0.75 + Math.random() / 2)
      target.backoffMs = Math.min(target.backoffMs * 2, BACKOFF_MAX_MS)
      ports.count('network.dial.failed')
    } finally {
      target.dialling = false
    }
  }

  const round = (): void => {
    const now = performance.now()
    const crowded = node.getPeers().length >= CONNECTIONS_KEPT
    for (const target of targets.values()) {
      if (target.dialling || now < target.nextAt || (crowded && !target.configured)) continue
      if (target.addresses.size > 0 && !isConnected(target)) void dial(target)
    }
  }
  const timer = setInterval(round, ROUND_MS)

  return {
    learn: (peer, addresses) => {
      if (stopped || peer === self) return
      for (const text of addresses.slice(0, ADDRESSES_MAX)) {
        const address = parse(text)
        const ip = address === null ? null : ipOf(address)
        if (address === null || (ip !== null && excludedCidr !== null && isWithin(ip, excludedCidr))) continue
        const id = peer ?? peerIdOf(address)
        const target = targetOf(id ?? address.toString(), id, false)
        if (target === null || target.addresses.has(address.toString())) continue
        if (target.addresses.size >= ADDRESSES_MAX)
          target.addresses.delete([...target.addresses.keys()][0] ?? '')
        target.addresses.set(address.toString(), address)
        target.nextAt = 0
      }
      round()
    },
    connected: (peer) => {
      const target = targets.get(peer)
      if (target !== undefined) target.backoffMs = BACKOFF_MIN_MS
    },
    disconnected: (peer) => {
      for (const target of targets.values()) {
        if (target.peer !== peer) continue
        target.backoffMs = BACKOFF_MIN_MS
        // Both ends redial: the jitter keeps them from meeting in the middle each time.
        target.nextAt = performance.now() + Math.random() * BACKOFF_MIN_MS
      }
    },
    known: () =>
      [...targets.values()].flatMap((target) =>
        target.peer === null || target.peer === self
          ? []
          : [{ id: target.peer, addresses: [...target.addresses.keys()] }],
      ),
    failing: () =>
      [...targets.values()].flatMap((target) =>
        target.configured && target.failingSince !== null && !isConnected(target)
          ? [
              {
                address: [...target.addresses.keys()].join(', '),
                sinceMs: performance.now() - target.failingSince,
                error: target.lastError,
              },
            ]
          : [],
      ),
    stop: () => {
      stopped = true
      clearInterval(timer)
    },
  }
}

function parse(text: string): Multiaddr | null {
  try {
    return multiaddr(text)
  } catch {
    return null
  }
}
