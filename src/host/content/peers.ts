/** The peers that are followed for one artefact: some of those connected, without the slow and the liars. */
import type { Artefact, Seeker } from '../../core/content.ts'
import type { Millis, NodeId } from '../../core/ids.ts'
import { Link, type LinkPorts } from './link.ts'
import type { ContentNetwork, DownloadPorts } from './ports.ts'
import { CONTENT_PROTOCOL, STREAMS_MAX } from './protocol.ts'
import { shuffled } from './shuffled.ts'
import { ProtocolBreach } from './wire.ts'

/** Enough to fill any link, whatever the number of nodes. */
const LINKS_MAX = 16
const OPEN_TIMEOUT_MS = 5_000
const RETRY_MS = 500
const RETRY_MAX_MS = 30_000
/** A peer that broke the protocol or vouched for a wrong list is not asked for this artefact for so long. */
const BAN_MS = 10 * 60_000

export interface PeerEvents {
  /** Said, claimed, came or went: something to look at. */
  onNews(): void
  /** What is claimed for these segments may be another list now. */
  onClaims(indexes: Iterable<number>): void
  onSegment(link: Link, ...segment: Parameters<LinkPorts['onSegment']>): void
  onChunk(link: Link, ...chunk: Parameters<LinkPorts['onChunk']>): void
}

export class Peers {
  readonly #artefact: Artefact
  readonly #ports: Pick<DownloadPorts, 'network' | 'members' | 'log' | 'count'>
  readonly #events: PeerEvents
  readonly #links = new Map<NodeId, Link>()
  readonly #opening = new Set<NodeId>()
  readonly #retries = new Map<NodeId, { failures: number; at: number }>()
  readonly #banned = new Map<NodeId, number>()
  #isEnded = false

  constructor(artefact: Artefact, ports: DownloadPorts, events: PeerEvents) {
    this.#artefact = artefact
    this.#ports = ports
    this.#events = events
  }

  get links(): readonly Link[] {
    return [...this.#links.values()]
  }

  /** Follows whom it may, and ends what is owed for too long or is no member's any more. */
  keep(now: number, signal: AbortSignal): void {
    const network = this.#ports.network()
    if (network === null) return
    const members = new Set(this.#ports.members().map(({ id }) => id))
    for (const link of this.links) {
      if (members.has(link.peer)) link.tick()
      else link.end(new Error('no member'))
    }
    const mayFollow = network.connected().filter((id) => {
      if (!members.has(id) || this.#links.has(id) || this.#opening.has(id)) return false
      return (this.#banned.get(id) ?? 0) <= now && (this.#retries.get(id)?.at ?? 0) <= now
    })
    // Which of many is chance, so that a large network is followed as a random graph.
    const space = LINKS_MAX - this.#links.size - this.#opening.size
    for (const id of shuffled(mayFollow).slice(0, Math.max(0, space))) void this.#follow(network, id, signal)
  }

  ban(peer: NodeId, why: string): void {
    this.#banned.set(peer, performance.now() + BAN_MS)
    this.#ports.count('content.liar')
    this.#ports.log('warn', 'content.liar', { peer, name: this.#artefact.name, why })
    this.#links.get(peer)?.end(new Error('put off'))
  }

  /** @param isShown whether what they say of asking the origin shows in what arrives here. */
  seekers(now: number, isShown: boolean): Seeker[] {
    const alive = this.#ports
      .members()
      .filter(({ id, alive }) => alive && (this.#banned.get(id) ?? 0) <= now)
      .map(({ id }) => id)
    return [...new Set([...alive, ...this.#links.keys()])].map((id) => {
      const link = this.#links.get(id)
      const said = link?.said ?? null
      return {
        id,
        wants: said === null ? null : said.wants,
        asks: said?.asks ?? false,
        failed: said?.failed ?? false,
        progressAt: isShown ? (link?.progressAt ?? (null as Millis | null)) : null,
      }
    })
  }

  end(): void {
    this.#isEnded = true
    for (const link of this.links) link.end(new Error('the download has ended'))
  }

  async #follow(network: ContentNetwork, peer: NodeId, ending: AbortSignal): Promise<void> {
    this.#opening.add(peer)
    try {
      const signal = AbortSignal.any([ending, AbortSignal.timeout(OPEN_TIMEOUT_MS)])
      const stream = await network.streams.open(peer, CONTENT_PROTOCOL, STREAMS_MAX, signal)
      if (this.#isEnded) {
        stream.abort(new Error('the download has ended'))
        return
      }
      const link: Link = new Link(peer, this.#artefact.sha256, stream, {
        onSaid: () => {
          this.#retries.delete(peer)
          this.#events.onNews()
        },
        onClaims: (indexes) => this.#events.onClaims(indexes),
        onSegment: (...segment) => this.#events.onSegment(link, ...segment),
        onChunk: (...chunk) => this.#events.onChunk(link, ...chunk),
        onEnd: (reason) => this.#unfollow(peer, reason),
      })
      this.#links.set(peer, link)
    } catch (error) {
      this.#ports.log('debug', 'content.unfollowed', { peer, why: String(error) })
      this.#putOff(peer)
    } finally {
      this.#opening.delete(peer)
    }
  }

  #unfollow(peer: NodeId, reason: Error): void {
    const link = this.#links.get(peer)
    this.#links.delete(peer)
    this.#ports.log('debug', 'content.unfollowed', { peer, why: reason.message })
    if (this.#isEnded) return
    if (reason instanceof ProtocolBreach) this.ban(peer, reason.message)
    else this.#putOff(peer)
    // Without its voice another list may be the one that most claim.
    this.#events.onClaims(link?.claims.keys() ?? [])
    this.#events.onNews()
  }

  #putOff(peer: NodeId): void {
    const failures = (this.#retries.get(peer)?.failures ?? 0) + 1
    const at = performance.now() + Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** failures)
    this.#retries.set(peer, { failures, at })
  }
}
