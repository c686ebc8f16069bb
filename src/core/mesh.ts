/** The mesh's order: whom this node has as WireGuard peers. Everyone in the plan, at what their records say. */
import { recordOf } from './gossip.ts'
import type { MeshOrder } from './orders.ts'
import { memberOf } from './plan.ts'
import type { NodeState } from './state.ts'
import { leftOf, planOf } from './voters.ts'

/** @returns null while this node is in no plan. Who left has nobody any more. */
export function meshOrder(state: NodeState): MeshOrder | null {
  const plan = planOf(state)
  const left = leftOf(state)
  const self = plan === null ? undefined : (memberOf(plan, state.id) ?? left)
  if (plan === null || self === undefined || (state.blocked !== null && left === undefined)) return null
  return {
    mode: plan.settings.vpnMode,
    address: self.address,
    cidr: plan.settings.vpnCidr,
    network: state.settings.network,
    peers: (left === undefined ? plan.members : [])
      .filter((member) => member.id !== state.id)
      .map(({ id, name, address, wireguardKey }) => ({
        id,
        name,
        address,
        wireguardKey,
        endpoints: recordOf(state, id)?.endpoints ?? [],
      })),
  }
}

/** Equal for equal orders. Keys are left out: a member's never change. */
export const meshOrderText = ({ mode, address, cidr, peers }: MeshOrder): string =>
  [mode, address, cidr, ...peers.map((peer) => `${peer.id} ${peer.address} ${peer.endpoints.join()}`)].join(
    '\n',
  )
