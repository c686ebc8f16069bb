/** The peers of an order as WireGuard can be told of them: what it would refuse, or read otherwise, is left out. */
import ipaddr from 'ipaddr.js'
import type { NodeId } from '../../core/ids.ts'
import type { MeshOrder } from '../../core/orders.ts'
import { keyText } from './keys.ts'
import { endpointOf } from './wg.ts'

export interface UsablePeer {
  readonly id: NodeId
  /** Base64. */
  readonly publicKey: string
  readonly address: string
  /** Usable ones only, each once, in the order of the order. */
  readonly candidates: readonly string[]
}

export interface UsablePeers {
  readonly peers: readonly UsablePeer[]
  /** Peers that cannot be in this mesh, with the reason. They stay without a path. */
  readonly refused: readonly { readonly id: NodeId; readonly reason: string }[]
}

/**
 * `ownKey` is one's own public key in base64.
 * @throws where the order's own range or address is none.
 */
export function usablePeers(order: MeshOrder, ownKey: string): UsablePeers {
  const range = ipaddr.IPv4.parseCIDR(order.cidr)
  ipaddr.IPv4.parse(order.address)
  const keys = new Set([ownKey])
  const addresses = new Set([order.address])
  const peers: UsablePeer[] = []
  const refused: { id: NodeId; reason: string }[] = []
  for (const { id, address, wireguardKey, endpoints } of order.peers) {
    const publicKey = keyText(wireguardKey)
    const reason =
      wireguardKey.length !== 32
        ? 'its key is not 32 bytes long'
        : !ipaddr.IPv4.isValidFourPartDecimal(address) || !ipaddr.IPv4.parse(address).match(range)
          ? `its address is not in ${order.cidr}`
          : keys.has(publicKey)
            ? 'its key is another node’s'
            : addresses.has(address)
              ? 'its address is another node’s'
              : null
    if (reason !== null) {
      refused.push({ id, reason })
      continue
    }
    keys.add(publicKey)
    addresses.add(address)
    const usable = endpoints.map((endpoint) => endpointOf(endpoint, order.cidr))
    peers.push({ id, publicKey, address, candidates: [...new Set(usable.filter((text) => text !== null))] })
  }
  return { peers, refused }
}
