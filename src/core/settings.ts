/**
 * What the core is told by configuration: the same on every machine of a network. Read and checked by
 * src/config.ts; cluster-wide parts enter the plan at founding and the plan wins afterwards.
 */
import type { Digest, NodeId } from './ids.ts'
import type { K3sSettings } from './k3s.ts'

export type DistributionKind = 'k3s' | 'etcd' | 'none'
export type ServerTarget = 'auto' | 1 | 3 | 5 | 7
export type VpnMode = 'wireguard' | 'none'

/** Settings that founding writes into the plan. */
export interface ClusterSettings {
  readonly servers: ServerTarget
  readonly admission: 'open' | 'approve'
  /** Who may replace a lost server, and fill their number, without a person's word. */
  readonly promote: 'founders' | 'any'
  /** A server that is dead for this long is replaced, milliseconds; 0: never by itself. */
  readonly replaceAfterMs: number
  /** Ed25519 public keys, written as peer IDs, whose signed commands are obeyed anywhere. */
  readonly operators: readonly NodeId[]
  /** Most nodes that the plan ever admits, 1…4096. */
  readonly maxNodes: number
  readonly vpnMode: VpnMode
  /** IPv4 prefix of the mesh, /8…/24, such as 10.86.0.0/16. */
  readonly vpnCidr: string
  readonly distribution: DistributionKind
  /** Null unless the kind is k3s. */
  readonly k3s: K3sSettings | null
}

/** Machines come back from a reboot or a new power supply within a quarter of an hour, or not soon. */
export const MEMBERSHIP_DEFAULTS: Pick<ClusterSettings, 'promote' | 'replaceAfterMs' | 'operators'> = {
  promote: 'founders',
  replaceAfterMs: 15 * 60_000,
  operators: [],
}

export interface Settings {
  /** Network name from the token, a DNS label. */
  readonly network: string
  /** Derived from the token: names the network before there is a genesis. Not secret. */
  readonly networkId: Digest
  /** Machines of the first day, 1…512. */
  readonly expect: number
  /** Genesis that a pinned token joins; such a node never promises in a founding. */
  readonly pin: Digest | null
  /** How long a founding with fewer than `expect` machines waits for another to appear, milliseconds. */
  readonly settleMs: number
  /** Where given, only these may found (DESIGN.md rule 9). */
  readonly founders: readonly NodeId[] | null
  /**
   * Whether this machine would rather be a server: a preference among founders, never a claim. Only `never` binds:
   * such a machine is an agent, and stands for no founding, so that whoever founds has a server in itself.
   */
  readonly serverPreference: 'prefer' | 'neutral' | 'avoid' | 'never'
  /** Found, vote and join although the state directory does not survive a reboot (labs). */
  readonly allowEphemeral: boolean
  readonly cluster: ClusterSettings
}
