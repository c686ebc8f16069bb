/**
 * What libp2p keeps in memory for peers and DHT, with a bound on what others can make us keep: whoever holds the
 * token can put records under any number of keys and come with any number of IDs, and who only sees the LAN can
 * answer mDNS with as many. The oldest go first; what this node itself cares for stays. Provider records, and
 * records that are not muster's, are not used, so none are kept.
 */
import type { PeerId } from '@libp2p/interface'
import { MemoryDatastore } from 'datastore-core/memory'
import { base32 } from 'multiformats/bases/base32'

/** Of at most 64 KiB each. A token's network has one leader record for each cluster in it: normally one. */
export const RECORDS_MAX = 64
/** Of about 1 KiB each: several times the nodes of the largest network. */
export const PEERS_MAX = 4_096
type Key = Parameters<MemoryDatastore['put']>[0]

const RECORDS = '/dht/record/'
const PROVIDERS = '/dht/provider/'
const PEERS = '/peers/'
/** What every key of muster's begins with. */
const OURS = '/muster/'

export class DhtStore extends MemoryDatastore {
  readonly #records = new Room(RECORDS_MAX)
  readonly #peers = new Room(PEERS_MAX)

  /** The record under this DHT key is never dropped for others. */
  keep(key: string): void {
    this.#records.keep(`${RECORDS}${base32.baseEncode(new TextEncoder().encode(key))}`)
  }

  /** What is known of this peer is never dropped for others. */
  keepPeer(peer: PeerId): void {
    this.#peers.keep(`${PEERS}${peer.toCID().toString(base32)}`)
  }

  override put(key: Key, value: Uint8Array): Key {
    const text = key.toString()
    if (text.startsWith(PROVIDERS) || (text.startsWith(RECORDS) && !isOurs(text))) return key
    const dropped = this.#roomOf(text)?.add(text, key)
    if (dropped !== undefined) super.delete(dropped)
    super.put(key, value)
    return key
  }

  override delete(key: Key): void {
    const text = key.toString()
    this.#roomOf(text)?.remove(text)
    super.delete(key)
  }

  #roomOf(text: string): Room | null {
    return text.startsWith(RECORDS) ? this.#records : text.startsWith(PEERS) ? this.#peers : null
  }
}

function isOurs(text: string): boolean {
  try {
    return new TextDecoder().decode(base32.baseDecode(text.slice(RECORDS.length))).startsWith(OURS)
  } catch {
    return false
  }
}

/** Keys of one sort, the oldest first, in a bounded number. */
class Room {
  readonly #max: number
  readonly #keys = new Map<string, Key>()
  readonly #kept = new Set<string>()

  constructor(max: number) {
    this.#max = max
  }

  keep(text: string): void {
    this.#kept.add(text)
  }

  /** @returns the one that has to go for it. */
  add(text: string, key: Key): Key | undefined {
    this.#keys.delete(text)
    this.#keys.set(text, key)
    if (this.#keys.size <= this.#max) return undefined
    for (const [other, oldest] of this.#keys) {
      if (this.#kept.has(other)) continue
      this.#keys.delete(other)
      return oldest
    }
    return undefined
  }

  remove(text: string): void {
    this.#keys.delete(text)
  }
}
