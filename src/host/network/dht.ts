/**
 * muster's own DHT, inside the private swarm. A put there is last-writer-wins on every peer, so nothing is
 * believed for being found: validators refuse what its signatures do not prove, readers take several answers.
 */
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import type { NetworkPorts } from './network.ts'

const PROTOCOL = '/muster/kad/1.0.0'
/** Answers that a look-up collects before it stops: enough that one stale or lying peer does not decide. */
const ANSWERS_WANTED = 5
const LOOKUP_TIMEOUT_MS = 4_000
const PUT_TIMEOUT_MS = 10_000
const PUT_BACKOFF_MIN_MS = 2_000
const PUT_BACKOFF_MAX_MS = 60_000

/** What may be stored under which key, and which of several is the newest: the core's judgement. */
export interface RecordRules {
  /** @returns why the value is refused, null where it is fine. */
  fault(key: string, value: Uint8Array): string | null
  newest(values: readonly Uint8Array[]): number
}

export function musterDht(rules: RecordRules, count: NetworkPorts['count']): ReturnType<typeof kadDHT> {
  return kadDHT({
    protocol: PROTOCOL,
    clientMode: false,
    peerInfoMapper: passthroughMapper,
    // With true, the first self-query runs empty and the routing table fills only five minutes later.
    allowQueryWithZeroPeers: false,
    validators: {
      muster: (key, value) => {
        const why = rules.fault(new TextDecoder().decode(key), value)
        if (why === null) return
        count('network.dht.refused')
        throw new Error(why)
      },
    },
    selectors: { muster: (_key, values) => rules.newest(values) },
  })
}

/** Puts a value until some peer took it; the newest value of a key wins over one still being put. */
export class Publisher {
  readonly #dht: KadDHT
  readonly #pending = new Map<string, { value: Uint8Array; backoffMs: number }>()
  readonly #log: NetworkPorts['log']
  #stopped = false

  constructor(dht: KadDHT, log: NetworkPorts['log']) {
    this.#dht = dht
    this.#log = log
  }

  publish(key: string, value: Uint8Array): void {
    const isRunning = this.#pending.has(key)
    this.#pending.set(key, { value, backoffMs: PUT_BACKOFF_MIN_MS })
    if (!isRunning) void this.#run(key)
  }

  stop(): void {
    this.#stopped = true
  }

  async #run(key: string): Promise<void> {
    for (;;) {
      const wanted = this.#pending.get(key)
      if (wanted === undefined || this.#stopped) return
      const taken = await this.#put(key, wanted.value)
      if (this.#pending.get(key) !== wanted) continue
      if (taken) {
        this.#pending.delete(key)
        this.#log('debug', 'network.dht.published', { key })
        return
      }
      await new Promise((resolve) => setTimeout(resolve, wanted.backoffMs).unref())
      wanted.backoffMs = Math.min(wanted.backoffMs * 2, PUT_BACKOFF_MAX_MS)
    }
  }

  async #put(key: string, value: Uint8Array): Promise<boolean> {
    let taken = false
    try {
      const options = { signal: AbortSignal.timeout(PUT_TIMEOUT_MS) }
      for await (const event of this.#dht.put(new TextEncoder().encode(key), value, options)) {
        if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') taken = true
      }
    } catch {
      // Nobody to put to yet, or too slow: tried again.
    }
    return taken
  }
}

/** Several peers' answers to one question; empty where nobody knows. */
export async function lookUp(dht: KadDHT, key: string): Promise<Uint8Array[]> {
  const values: Uint8Array[] = []
  try {
    const options = { signal: AbortSignal.timeout(LOOKUP_TIMEOUT_MS) }
    for await (const event of dht.get(new TextEncoder().encode(key), options)) {
      if (event.name === 'VALUE') values.push(event.value)
      if (values.length >= ANSWERS_WANTED) break
    }
  } catch {
    // Not found, or time is up: what was collected is the answer.
  }
  return values
}
