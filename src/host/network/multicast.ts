/**
 * Finding peers on the LAN by mDNS. Every question makes every peer answer to everyone, three kilobytes at ten
 * nodes, so one asks often in the beginning and rarely later, and not at all where somebody else just asked:
 * all hear the answers.
 */
import type { PeerDiscovery, Startable } from '@libp2p/interface'
import { type MulticastDNSComponents, mdns } from '@libp2p/mdns'

/** Longer than any daemon waits: the rhythm is ours. */
const NEVER_MS = 2 ** 31 - 1
/** Machines that start together: the first question meets nobody, the second those that are just starting. */
const FIRST_PAUSE_MS = 250
/** Alone, a node keeps asking at this pace: nobody else's traffic is disturbed by it. */
const LONELY_PAUSE_MS = 5_000
/** Who has company learns of newcomers by their own questions. */
const LAST_PAUSE_MS = 300_000
const NAME_BYTES = 8

export interface Multicast {
  /** Asks at once, and from then on at its own pace. Call it when the node listens: before, it has no answers. */
  begin(): Promise<void>
  /** Opens its socket anew and asks at once: the machine's addresses have changed. */
  renew(): Promise<void>
  /** Why the socket does not work; null where it does. */
  error(): Error | null
  end(): Promise<void>
}

interface Listener {
  /** A peer answered. */
  onPeer(peer: string, addresses: readonly string[]): void
  isLonely(): boolean
}

/**
 * What @libp2p/mdns makes, with the socket that it declares public: there is no call for "ask now".
 * multicast-dns joins the groups of interfaces that come later by itself.
 */
interface Service extends PeerDiscovery, Startable {
  readonly mdns?: {
    query(question: { questions: { name: string; type: 'PTR' }[] }): void
    on(event: 'query', listener: (packet: { questions: { name: string }[] }) => void): void
    on(event: 'error', listener: (error: Error) => void): void
  }
}

/** A service for libp2p's list, for its components; libp2p does not start it, its owner does. */
export function multicastDiscovery(
  tag: string,
  listener: Listener,
): (components: MulticastDNSComponents) => Multicast {
  const peerName = Buffer.from(crypto.getRandomValues(new Uint8Array(NAME_BYTES))).toString('hex')
  const make = mdns({ serviceTag: tag, interval: NEVER_MS, peerName })
  return (components) => {
    const service: Service = make(components) as Service
    service.addEventListener('peer', ({ detail }) => {
      listener.onPeer(detail.id.toString(), detail.multiaddrs.map(String))
    })
    return new Asking(service, tag, listener)
  }
}

class Asking implements Multicast {
  readonly #service: Service
  readonly #tag: string
  readonly #listener: Listener
  #pause = FIRST_PAUSE_MS
  #askedAt = 0
  #timer: NodeJS.Timeout | undefined
  #error: Error | null = null
  #running = false

  constructor(service: Service, tag: string, listener: Listener) {
    this.#service = service
    this.#tag = tag
    this.#listener = listener
  }

  async begin(): Promise<void> {
    this.#running = true
    this.#pause = FIRST_PAUSE_MS
    await this.#open()
    this.#plan()
  }

  async renew(): Promise<void> {
    if (!this.#running) return
    await this.#service.stop()
    if (this.#running) await this.#open()
  }

  error(): Error | null {
    return this.#error
  }

  async end(): Promise<void> {
    this.#running = false
    clearTimeout(this.#timer)
    await this.#service.stop()
  }

  async #open(): Promise<void> {
    this.#error = null
    await this.#service.start()
    this.#askedAt = performance.now()
    this.#service.mdns?.on('query', ({ questions }) => {
      if (questions.some(({ name }) => name === this.#tag)) this.#askedAt = performance.now()
    })
    this.#service.mdns?.on('error', (error) => {
      this.#error = error
    })
  }

  #plan(): void {
    const pause = this.#pause * (0.75 + Math.random() / 2)
    this.#timer = setTimeout(() => {
      // Somebody else's question within this pause was as good as one's own.
      if (performance.now() - this.#askedAt >= this.#pause / 2) {
        this.#service.mdns?.query({ questions: [{ name: this.#tag, type: 'PTR' }] })
      }
      const longest = this.#listener.isLonely() ? LONELY_PAUSE_MS : LAST_PAUSE_MS
      this.#pause = Math.min(this.#pause * 2, longest)
      this.#plan()
    }, pause)
  }
}
