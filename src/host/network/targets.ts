/** Who could be dialled, and where: written by a person, remembered from disk, or learnt from others. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { ipOf, isNear, isWithin, peerIdOf, readMultiaddr, withoutPeerId } from './addresses.ts'
import type { DialFailure } from './dial-failure.ts'

/** Peers and addresses known: whoever holds the token can tell us of as many as it likes. */
const TARGETS_MAX = 4_096
const ADDRESSES_MAX = 16
/** Who was only heard of and never answered is forgotten after this; who was once here, after a day. */
const FORGET_UNSEEN_MS = 10 * 60_000
const FORGET_SEEN_MS = 24 * 60 * 60_000
const REMEMBERED_MAX = 256

/** All times are monotonic milliseconds unless they say otherwise. */
export interface Target {
  /** Null for an address that a person wrote without a peer ID, until it was dialled once. */
  peer: string | null
  /** As a person wrote it; null for what was learnt. Tried for ever, and named in status while it fails. */
  readonly written: string | null
  /** By text, without the peer ID; those that failed last come last. */
  readonly addresses: Map<string, { readonly address: Multiaddr; failedAt: number }>
  dialling: boolean
  nextAt: number
  /** When the connection was made that there is or was last. */
  connectedAt: number
  /** Since when it has not been connected for more than a moment. */
  absentSince: number
  /** Somebody waits for it until then. */
  wantedUntil: number
  /** When it was last connected, or that a former run knew it. */
  seenAt: number | null
  failure: DialFailure | null
  /** Wall clock, for people. */
  failingSince: Date | null
}

export interface Known {
  readonly id: string
  readonly addresses: readonly string[]
}

export class Targets {
  readonly #self: string
  readonly #isConnected: (peer: string) => boolean
  readonly #excludedCidr: string | null
  readonly #targets = new Map<string, Target>()

  /** @param excludedCidr prefix of the mesh, whose addresses are never dialled. */
  constructor(self: string, isConnected: (peer: string) => boolean, excludedCidr: string | null) {
    this.#self = self
    this.#isConnected = isConnected
    this.#excludedCidr = excludedCidr
  }

  all(): Target[] {
    return [...this.#targets.values()]
  }

  of(peer: string): Target[] {
    return this.all().filter((target) => target.peer === peer)
  }

  isConnected({ peer }: Target): boolean {
    return peer !== null && (peer === this.#self || this.#isConnected(peer))
  }

  write(text: string, address: Multiaddr): void {
    const target = this.#make(`written ${text}`, peerIdOf(address), text)
    const plain = withoutPeerId(address)
    target.addresses.set(plain.toString(), { address: plain, failedAt: 0 })
  }

  /** @returns the target, and whether something about it is new; null where it is nobody to dial. */
  learn(peer: string, texts: readonly string[]): { readonly target: Target; readonly isNew: boolean } | null {
    if (peer === this.#self) return null
    const addresses = texts.slice(0, ADDRESSES_MAX).flatMap((text) => this.#useful(text) ?? [])
    if (addresses.length === 0) return null
    const target = this.#targets.get(peer) ?? this.#make(peer, peer, null)
    if (this.#isConnected(peer)) target.seenAt = performance.now()
    const news = addresses.filter((address) => !target.addresses.has(address.toString()))
    for (const address of news) {
      target.addresses.set(address.toString(), { address, failedAt: 0 })
      if (target.addresses.size > ADDRESSES_MAX)
        target.addresses.delete(inOrder(target).at(-1)?.toString() ?? '')
    }
    return { target, isNew: news.length > 0 }
  }

  forget(now: number): void {
    for (const [key, target] of this.#targets) {
      if (target.written !== null || target.dialling || this.isConnected(target)) continue
      const keepMs = target.seenAt === null ? FORGET_UNSEEN_MS : FORGET_SEEN_MS
      if (now - target.absentSince > keepMs && target.wantedUntil < now) this.#targets.delete(key)
    }
  }

  /** Peers that were really reached, the latest first. */
  known(): Known[] {
    const found = new Map<string, { readonly seenAt: number; readonly addresses: string[] }>()
    for (const { peer, seenAt, addresses } of this.all()) {
      if (peer === null || peer === this.#self || seenAt === null) continue
      const others = found.get(peer)?.addresses ?? []
      const all = [...new Set([...others, ...addresses.keys()])]
      found.set(peer, { seenAt: this.#isConnected(peer) ? Number.POSITIVE_INFINITY : seenAt, addresses: all })
    }
    return [...found]
      .sort(([, a], [, b]) => (a.seenAt === b.seenAt ? 0 : b.seenAt - a.seenAt))
      .slice(0, REMEMBERED_MAX)
      .map(([id, { addresses }]) => ({ id, addresses }))
  }

  #useful(text: string): Multiaddr | null {
    const address = readMultiaddr(text)
    const ip = address === null ? null : ipOf(address)
    if (address === null) return null
    const isMesh = ip !== null && this.#excludedCidr !== null && isWithin(ip, this.#excludedCidr)
    return isMesh ? null : withoutPeerId(address)
  }

  #make(key: string, peer: string | null, written: string | null): Target {
    if (this.#targets.size >= TARGETS_MAX) this.#forgetOne()
    const now = performance.now()
    const target: Target = {
      peer,
      written,
      addresses: new Map(),
      dialling: false,
      nextAt: Number.POSITIVE_INFINITY,
      connectedAt: now,
      absentSince: now,
      wantedUntil: 0,
      seenAt: null,
      failure: null,
      failingSince: null,
    }
    if (written !== null) target.nextAt = now
    this.#targets.set(key, target)
    return target
  }

  /** Room for a new one: those whom nobody has ever reached go first. */
  #forgetOne(): void {
    const expendable = [...this.#targets].filter(
      ([, target]) => target.written === null && !this.isConnected(target),
    )
    const [key] = expendable.find(([, target]) => target.seenAt === null) ?? expendable[0] ?? []
    if (key !== undefined) this.#targets.delete(key)
  }
}

/** In the order in which to dial: what failed last comes last, networks of one's own before others. */
export function inOrder(target: Target): Multiaddr[] {
  return [...target.addresses.values()]
    .map(({ address, failedAt }) => ({ address, failedAt, isNear: isNear(ipOf(address) ?? '') }))
    .sort((a, b) => a.failedAt - b.failedAt || Number(b.isNear) - Number(a.isNear))
    .map(({ address }) => address)
}
