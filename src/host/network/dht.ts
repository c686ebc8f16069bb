/**
 * muster's own DHT, inside the private swarm. A put there is last-writer-wins on every peer, so nothing is
 * believed for being found: validators refuse what its signatures do not prove, readers take several answers.
 */
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import type { DhtStore } from './dht-store.ts'
import type { NetworkPorts } from './ports.ts'
import { Throttle } from './throttle.ts'

const PROTOCOL = '/muster/kad/1.0.0'
/** A newcomer's first answers wait for the first self-query: soon after the first connection. */
const FIRST_SELF_QUERY_MS = 250
/**
 * How often to ask for one's neighbours again, and for random parts of the key space. Connections fill the table
 * by themselves; at libp2p's five minutes the two are most of an idle network's bytes.
 */
const SELF_QUERY_MS = 30 * 60_000
const REFRESH_MS = 60 * 60_000
/** Questions of one peer at a time. */
const INBOUND_STREAMS_MAX = 8
/** Answers that a look-up waits for: enough that one stale or lying peer does not decide. */
const ANSWERS_WANTED = 5
const ANSWERS_MAX = 16
const LOOKUP_TIMEOUT_MS = 4_000
const PUT_TIMEOUT_MS = 10_000
const PUT_PAUSE_MIN_MS = 1_000
const PUT_PAUSE_MAX_MS = 60_000

/** What may be stored under which key, and which of several is the newest: the core's judgement. */
export interface RecordRules {
  /** @returns why the value is refused, null where it is fine. */
  fault(key: string, value: Uint8Array): string | null
  newest(values: readonly Uint8Array[]): number
}

export function musterDht(
  rules: RecordRules,
  ports: Pick<NetworkPorts, 'log' | 'count'>,
): ReturnType<typeof kadDHT> {
  const throttle = new Throttle()
  const make = kadDHT({
    protocol: PROTOCOL,
    clientMode: false,
    peerInfoMapper: passthroughMapper,
    // With true, the first self-query runs empty and the routing table fills only at the next one.
    allowQueryWithZeroPeers: false,
    initialQuerySelfInterval: FIRST_SELF_QUERY_MS,
    querySelfInterval: SELF_QUERY_MS,
    maxInboundStreams: INBOUND_STREAMS_MAX,
    validators: {
      muster: (key, value) => {
        const why = rules.fault(new TextDecoder().decode(key), value)
        if (why === null) return
        ports.count('network.dht.refused')
        // libp2p does not say from whom. Whoever forges one can forge many.
        if (throttle.mayTell(why, performance.now())) ports.log('warn', 'network.dht.refused', { why })
        throw new Error(why)
      },
    },
    selectors: { muster: (_key, values) => rules.newest(values) },
  })
  return (components) => {
    const dht = make(components)
    slowRefresh(dht)
    return dht
  }
}

/** libp2p has no option for this interval; where the field is gone, its own five minutes hold. */
function slowRefresh(dht: KadDHT): void {
  const hidden: { routingTableRefresh?: { refreshInterval?: number } } = Object(dht)
  if (hidden.routingTableRefresh?.refreshInterval !== undefined) {
    hidden.routingTableRefresh.refreshInterval = REFRESH_MS
  }
}

export interface DhtClient {
  /** Puts a value until some peer took it; a newer value for the key takes its place. */
  publish(key: string, value: Uint8Array): void
  /** Several peers' answers to one question; empty where nobody knows. Takes at most four seconds. */
  lookup(key: string, signal?: AbortSignal): Promise<Uint8Array[]>
  stop(): void
}

export function startDhtClient(
  dht: KadDHT,
  store: DhtStore,
  ports: Pick<NetworkPorts, 'log' | 'count'>,
): DhtClient {
  const pending = new Map<string, { readonly value: Uint8Array; readonly replaced: AbortController }>()
  const stopping = new AbortController()

  const publishUntilTaken = async (key: string): Promise<void> => {
    let pause = PUT_PAUSE_MIN_MS
    for (;;) {
      const entry = pending.get(key)
      if (entry === undefined || stopping.signal.aborted) return
      const signal = AbortSignal.any([stopping.signal, entry.replaced.signal])
      const takers = await put(dht, key, entry.value, signal)
      if (entry.replaced.signal.aborted) {
        pause = PUT_PAUSE_MIN_MS
      } else if (takers > 0) {
        pending.delete(key)
        ports.count('network.dht.published')
        ports.log('debug', 'network.dht.published', { key, takers })
      } else {
        await sleep(pause, signal)
        pause = Math.min(pause * 2, PUT_PAUSE_MAX_MS)
      }
    }
  }

  return {
    publish: (key, value) => {
      store.keep(key)
      const before = pending.get(key)
      pending.set(key, { value, replaced: new AbortController() })
      if (before === undefined) void publishUntilTaken(key)
      else before.replaced.abort()
    },
    lookup: async (key, signal) => {
      store.keep(key)
      const signals = [stopping.signal, AbortSignal.timeout(LOOKUP_TIMEOUT_MS)]
      const values = await collect(
        dht,
        key,
        AbortSignal.any(signal === undefined ? signals : [...signals, signal]),
      )
      ports.count('network.dht.lookup', { found: values.length > 0 ? 'yes' : 'no' })
      return values
    },
    stop: () => stopping.abort(),
  }
}

/** @returns how many peers took the value. */
async function put(dht: KadDHT, key: string, value: Uint8Array, ended: AbortSignal): Promise<number> {
  let takers = 0
  try {
    const signal = AbortSignal.any([ended, AbortSignal.timeout(PUT_TIMEOUT_MS)])
    for await (const event of dht.put(new TextEncoder().encode(key), value, { signal })) {
      // A peer that refuses closes the stream: then there is an error in place of this.
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') takers += 1
    }
  } catch {
    // Nobody to put to yet, or too slow: tried again.
  }
  return takers
}

/**
 * `get` keeps the answers to itself and tells only the best, at its end, when every peer was asked and those
 * with older values were corrected. So the answers are taken off the peers' responses, which it has validated.
 */
function collect(dht: KadDHT, key: string, signal: AbortSignal): Promise<Uint8Array[]> {
  const values: Uint8Array[] = []
  return new Promise((resolve) => {
    const ask = async (): Promise<void> => {
      try {
        for await (const event of dht.get(new TextEncoder().encode(key), { signal })) {
          const value =
            event.name === 'VALUE'
              ? event.value
              : event.name === 'PEER_RESPONSE'
                ? event.record?.value
                : undefined
          if (value !== undefined && values.length < ANSWERS_MAX) values.push(value)
          if (values.length === ANSWERS_WANTED) resolve([...values])
        }
      } catch {
        // Not found, or time is up: what was collected is the answer.
      }
      resolve([...values])
    }
    void ask()
  })
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
