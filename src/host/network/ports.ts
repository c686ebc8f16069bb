/** What the rooms of the network tell, and whom. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { LogFields } from '../../core/events.ts'
import type { NodeId } from '../../core/ids.ts'

export interface NetworkPorts {
  onMessage(from: NodeId, bytes: Uint8Array): void
  /** @param addresses where the peer is seen from here, without its ID. */
  onConnected(peer: NodeId, addresses: readonly string[]): void
  onDisconnected(peer: NodeId): void
  /** Own addresses that others can dial, without the peer ID. */
  onAddresses(addresses: readonly Multiaddr[]): void
  log(level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: LogFields): void
  count(name: string, labels?: Readonly<Record<string, string>>): void
}
