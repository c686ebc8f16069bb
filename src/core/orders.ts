/**
 * What the core orders and the host carries out, and the facts that the host reports back. Orders are the
 * whole wanted state and idempotent: the host compares with what is true on the machine and acts.
 */
import type { Digest, NodeId } from './ids.ts'
import type { K3sSettings } from './k3s.ts'
import type { VpnMode } from './settings.ts'

/** Something wrong that only the host can see, in the shape of a status problem. */
export interface HostProblem {
  /** Stable, dotted, lower case: `mesh.no-wireguard`. */
  readonly code: string
  readonly severity: 'info' | 'warning' | 'error'
  readonly message: string
  /** What a person can do. */
  readonly hint: string
}

export interface MeshPeer {
  readonly id: NodeId
  readonly name: string
  /** Mesh IPv4 address. */
  readonly address: string
  /** WireGuard public key, 32 bytes. */
  readonly wireguardKey: Uint8Array
  /** Candidate UDP endpoints `ip:port`, most promising first. */
  readonly endpoints: readonly string[]
}

export interface MeshOrder {
  readonly mode: VpnMode
  /** Own mesh address; with mode none the LAN address. */
  readonly address: string
  /** The whole mesh's prefix. */
  readonly cidr: string
  readonly network: string
  /** Everyone else who is admitted, ordered by ID. */
  readonly peers: readonly MeshPeer[]
}

export type PathKind = 'direct' | 'relayed' | 'none'

export interface MeshFacts {
  /** The interface exists with the ordered address (mode none: always true). */
  readonly up: boolean
  readonly peers: readonly { readonly id: NodeId; readonly path: PathKind }[]
  readonly problems: readonly HostProblem[]
}

/** One member of the datastore as the plan knows it. */
export interface DatastoreMember {
  readonly id: NodeId
  /** Unique node name; also the etcd member's, or begins it. */
  readonly name: string
  readonly address: string
}

export type DistributionOrder =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'etcd'
      /**
       * initialise: create a new datastore for this epoch, once, only where no data of another is.
       * join: become a member of the existing one through `members` (learner first, then voter).
       * run: be what the data on disk says; never create, never join.
       * stop: do not run (removed, or not a server).
       */
      readonly action: 'initialise' | 'join' | 'run' | 'stop'
      /** Number of the initialisation, 1…; data carries it as a marker. */
      readonly epoch: number
      /** The genesis this datastore belongs to; part of the marker. */
      readonly genesis: Digest
      readonly self: DatastoreMember
      /** Members recorded in the plan, without self. */
      readonly members: readonly DatastoreMember[]
      /** Datastore ID recorded as done; null before. */
      readonly clusterId: string | null
      /** Names of members, voters too, that are to be removed from the list: ordered to the leader only. */
      readonly gone: readonly string[]
      /** Names whose *learner* entries are left over from an aborted join and may be removed. */
      readonly evict: readonly string[]
      /** 32 bytes from which the servers derive the cluster's own CA. Secret. */
      readonly secret: Uint8Array
    }
  | {
      readonly kind: 'k3s'
      readonly role: 'server' | 'agent'
      /** As for etcd. An agent is only told to run, once the datastore is recorded as done, or to stop. */
      readonly action: 'initialise' | 'join' | 'run' | 'stop'
      readonly epoch: number
      readonly genesis: Digest
      readonly self: DatastoreMember
      /** Servers that are recorded as members of the datastore, without self, in the order they joined. */
      readonly members: readonly DatastoreMember[]
      /** All servers of the plan, self included: what every server's certificate must name (`tls-san`). */
      readonly servers: readonly DatastoreMember[]
      /** SHA-256 (hexadecimal) of the server CA as `/cacerts` gives it, recorded as done: what tokens pin. */
      readonly clusterId: string | null
      /** Names of nodes that left: their Node is deleted, only while no member has the name. */
      readonly gone: readonly string[]
      /** Names whose *learner* entries are left over from an aborted join and may be removed. */
      readonly evict: readonly string[]
      /** 32 bytes from which server tokens are derived, per epoch. Secret; null on agents. */
      readonly secret: Uint8Array | null
      /** 32 bytes from which the agent token is derived. Secret; null until known. */
      readonly agentSecret: Uint8Array | null
      /** The settings that are this node's now: a rollout gives newer ones node by node. */
      readonly settings: K3sSettings
      /**
       * Number of these settings: they count up with every change. While k3s runs with those of another
       * revision, it is restarted, unless what concerns this node is the same in both.
       */
      readonly revision: number
      /** Version that this node runs now, `settings.version`; null: whatever binary there is. */
      readonly version: string | null
      /**
       * Settings that this node will have next, or has already: binary and images of theirs are fetched and
       * verified at once, while what runs is left alone. The core lets nobody start, join or change to them before
       * the facts say `prepared`, so that no server is down while something is fetched. Where `settings` are older
       * ones and what they need is not here (an agent that came in the middle of a rollout), the driver fetches
       * that too before it starts.
       */
      readonly prepare: { readonly revision: number; readonly settings: K3sSettings }
      /** A snapshot of the datastore of this name must exist on this machine's disk; null: none is wanted. */
      readonly snapshot: string | null
    }

export interface DistributionFacts {
  readonly version: string | null
  /** Data of a datastore is on this machine's disk. */
  readonly dataPresent: boolean
  /** Marker of that data, null where there is none. */
  readonly dataEpoch: number | null
  readonly dataGenesis: Digest | null
  readonly running: boolean
  /** Answers, has a leader, and this member is a voter in it. */
  readonly healthy: boolean
  /** True also where k3s keeps its datastore elsewhere. */
  readonly voter: boolean
  /** The whole distribution works here: etcd as `healthy`; k3s also its API server and this machine's Node. */
  readonly ready: boolean
  /** The datastore's own ID: etcd's cluster ID, or the hash of k3s' server CA; hexadecimal, null until known. */
  readonly clusterId: string | null
  /** Members as the datastore itself says. */
  readonly members: readonly { readonly name: string; readonly voter: boolean; readonly healthy: boolean }[]
  /** Nodes as the API server says; empty where there is none, and on agents. */
  readonly nodes: readonly {
    readonly name: string
    readonly ready: boolean
    readonly version: string | null
  }[]
  /** Revision of the settings that k3s was last started with, from the disk; null where there is none. */
  readonly revision: number | null
  /** Revision of `prepare` whose binary and images are all on this disk, verified; null before. */
  readonly prepared: number | null
  /** Name of the snapshot last ordered, once it is whole on this machine's disk; null before. */
  readonly snapshot: string | null
  readonly problems: readonly HostProblem[]
}
