/**
 * Clients of the datastore: one on every server, writing through one member after the other and reading back,
 * with etcd's own client, for as long as faults are played and a little longer.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../lab/host.ts'
import type { KeyValue } from '../lab/key-value.ts'
import { randomFrom } from '../random.ts'
import type { Ledger } from './ledger.ts'

/** A server's machine, and where its member of the datastore serves. */
export interface Server {
  readonly host: Host
  readonly address: string
}

/** Between two requests of one client: three of them leave a machine with two cores room for the cluster. */
const PACE_MS = 200

export class Clients {
  readonly #stop = new AbortController()
  readonly #all: Promise<unknown>

  constructor(servers: readonly Server[], keys: KeyValue, ledger: Ledger, seed: number) {
    this.#all = Promise.all(servers.map((server) => this.#live(server, servers, keys, ledger, seed)))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#all
  }

  async #live(
    { host }: Server,
    servers: readonly Server[],
    keys: KeyValue,
    ledger: Ledger,
    seed: number,
  ): Promise<void> {
    const random = randomFrom(seed, `client on ${host.name}`)
    const { signal } = this.#stop
    while (!signal.aborted) {
      const { key, value } = ledger.next(host.name)
      const through = random.pick(servers)
      const isWritten = await keys.put(host, [through.address], key, value).then(
        () => true,
        () => false,
      )
      if (isWritten) ledger.acknowledged(host.name)
      else ledger.failed(host.name)
      if (isWritten && random.perMille(300)) await this.#read(host, random.pick(servers), keys, ledger)
      await sleep(PACE_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async #read(host: Host, through: Server, keys: KeyValue, ledger: Ledger): Promise<void> {
    const value = await keys.get(host, [through.address], ledger.keyOf(host.name)).catch(() => null)
    if (value !== null) ledger.read(host.name, value)
  }
}
