/** Whole documents that a liar invents: well-formed, plausible, and proven by nobody. */
import type { Genesis } from '../src/core/genesis.ts'
import { type Digest, digest, type NodeId, type Term } from '../src/core/ids.ts'
import type { CertifiedPlan } from '../src/core/plan.ts'
import type { Proposal } from '../src/core/protocol.ts'
import type { NodeRecord } from '../src/core/record.ts'
import type { Keys } from './crypto.ts'
import { randomBytes } from './crypto.ts'
import type { Random } from './random.ts'

/** A genesis of which it is the only server, with promises in the names of others. */
export function inventGenesis(
  keys: Keys,
  random: Random,
  peers: readonly NodeId[],
  { network, expect, claim }: NodeRecord,
  inTerm: Term,
): Proposal {
  const { name, sealKey, wireguardKey } = claim
  const genesis: Genesis = {
    version: 1,
    network: 'sim',
    networkId: network,
    expect,
    settings: {
      servers: 1,
      admission: 'open',
      maxNodes: 64,
      vpnMode: 'wireguard',
      vpnCidr: '10.86.0.0/16',
      distribution: 'etcd',
    },
    members: [{ id: keys.id, name, address: '10.86.0.1', role: 'server', sealKey, wireguardKey }],
    voters: [keys.id],
    nextAddress: 2,
    secrets: [],
  }
  const promises = [keys.id, ...peers].map((node) => ({
    node,
    term: inTerm,
    candidate: keys.id,
    expect,
    accepted: null,
    claim,
    signature: keys.crypto.sign(randomBytes(random, 8)),
  }))
  return {
    genesis,
    layers: [
      { term: inTerm, candidate: keys.id, promises, signature: keys.crypto.sign(randomBytes(random, 8)) },
    ],
  }
}

/** A plan in which it is a server, signed by itself in everyone's name. */
export function inventPlan(
  keys: Keys,
  random: Random,
  peers: readonly NodeId[],
  era: Digest,
  record: NodeRecord,
): CertifiedPlan {
  const { genesis, layers } = inventGenesis(keys, random, peers, record, 1 as Term)
  const signature = layers[0]?.signature ?? new Uint8Array()
  return {
    term: 1 as Term,
    index: 1 + random.below(60),
    base: digest(keys.crypto.hash(randomBytes(random, 8))),
    plan: {
      rules: 1,
      era,
      settings: genesis.settings,
      members: genesis.members,
      voters: random.perMille(500) || peers.length === 0 ? genesis.voters : peers.slice(0, 7),
      nextAddress: 2,
      secrets: [],
      acts: 0,
      act: null,
      datastore: { epoch: 1, initialiser: keys.id, clusterId: 'lie', members: [keys.id], aborted: [] },
      history: [],
    },
    signatures: peers.slice(0, 15).map((node) => ({ node, signature })),
    chain: [],
  }
}
