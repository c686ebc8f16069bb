/** The open connections to k3s here, and what is seen through them. Made anew when k3s has made other certificates. */
import { isDeepStrictEqual } from 'node:util'
import { connectApi } from './api.ts'
import { type K3sOrder, serverUrl } from './configuration.ts'
import { connectEtcd } from './etcd-grpc.ts'
import {
  apiCredentials,
  type Connections,
  etcdCredentials,
  type Observation,
  observeAgent,
  observeServer,
} from './observe.ts'
import type { Places } from './places.ts'
import { agentPassword, serverPassword } from './tokens.ts'

/** Where an agent reaches the API server through k3s' own load balancer. */
const AGENT_BALANCER_PORT = 6444

export class Links {
  readonly #places: Places
  /** Open connections, and with which certificates. */
  #link: { readonly connections: Connections; readonly of: unknown } | null = null

  constructor(places: Places) {
    this.#places = places
  }

  /** Null while there are none. */
  get current(): Connections | null {
    return this.#link?.connections ?? null
  }

  async observe(order: K3sOrder): Promise<Observation> {
    const connections = await this.#connect(order)
    if (order.role === 'agent') return observeAgent(order, connections.api)
    const { agentSecret, secret, epoch } = order
    const password =
      agentSecret !== null
        ? agentPassword(agentSecret, epoch)
        : secret !== null
          ? serverPassword(secret, epoch)
          : null
    return observeServer(order, connections, password)
  }

  close(): void {
    this.#link?.connections.open.close()
    this.#link?.connections.api?.close()
    this.#link?.connections.etcd?.close()
    this.#link = null
  }

  async #connect(order: K3sOrder): Promise<Connections> {
    const { role, members } = order
    const [api, etcd] = await Promise.all([
      apiCredentials(this.#places, role),
      role === 'server' && !order.settings.external ? etcdCredentials(this.#places) : null,
    ])
    // An agent's own balancer is the way to whichever server is there; a server asks itself.
    const url = role === 'server' ? serverUrl('127.0.0.1') : `https://127.0.0.1:${AGENT_BALANCER_PORT}`
    const of = [role, api, etcd, members.length]
    if (this.#link !== null && isDeepStrictEqual(this.#link.of, of)) return this.#link.connections
    this.close()
    const connections: Connections = {
      open: connectApi(url, null),
      api: api === null ? null : connectApi(url, api),
      etcd: etcd === null ? null : connectEtcd(etcd),
    }
    this.#link = { connections, of }
    return connections
  }
}
