/**
 * What libp2p keeps in memory for peers and DHT, with a bound on what others can make us keep: whoever holds the
 * token can put records under any number of keys. The oldest go first; those that this node itself cares for
 * stay. Provider records are not used, so none are kept.
 */
import { MemoryDatastore } from 'datastore-core/memory'
import { base32 } from 'multiformats/bases/base32'

/** Of at most 64 KiB each. A token's network has one leader record for each cluster in it: normally one. */
export const RECORDS_MAX = 64
type Key = Parameters<MemoryDatastore['put']>[0]

const RECORDS = '/dht/record/'
const PROVIDERS = '/dht/provider/'

export class DhtStore extends MemoryDatastore {
  /** By key text, oldest first. */
  readonly #records = new Map<string, Key>()
  readonly #kept = new Set<string>()

  /** The record under this DHT key is never dropped for others. */
  keep(key: string): void {
    this.#kept.add(`${RECORDS}${base32.baseEncode(new TextEncoder().encode(key))}`)
  }

  override put(key: Key, value: Uint8Array): Key {
    const text = key.toString()
    if (text.startsWith(PROVIDERS)) return key
    if (text.startsWith(RECORDS)) {
      this.#records.delete(text)
      this.#records.set(text, key)
      if (this.#records.size > RECORDS_MAX) this.#dropOldest()
    }
    super.put(key, value)
    return key
  }

  override delete(key: Key): void {
    this.#records.delete(key.toString())
    super.delete(key)
  }

  #dropOldest(): void {
    const oldest = [...this.#records.values()].find((key) => !this.#kept.has(key.toString()))
    if (oldest !== undefined) this.delete(oldest)
  }
}
