/** Whole documents that a liar invents: well-formed, plausible, even signed, and proven by nobody. */

import { statement } from '../src/core/codec.ts'
import { type Genesis, genesisIdOf, genesisWithoutSecrets } from '../src/core/genesis.ts'
import { compareText, type Digest, digest, type NodeId, type Term, term } from '../src/core/ids.ts'
import type { CertifiedPlan } from '../src/core/plan.ts'
import type { Proposal } from '../src/core/protocol.ts'
import type { NodeRecord } from '../src/core/record.ts'
import { MEMBERSHIP_DEFAULTS } from '../src/core/settings.ts'
import type { Keys } from './crypto.ts'
import { randomBytes } from './crypto.ts'
import type { Random } from './random.ts'

/**
 * A proposal that would be right if the promises in it were: made in the names of others, it follows from
 * them to the letter, and the liar is among its servers.
 */
export function inventProposal(
  keys: Keys,
  random: Random,
  peers: readonly NodeId[],
  { network, expect, claim }: NodeRecord,
  inTerm: Term,
): Proposal {
  const nodes = [keys.id, ...peers].sort(compareText)
  const promises = nodes.map((node) => ({
    node,
    term: inTerm,
    candidate: keys.id,
    expect,
    accepted: null,
    claim: { ...claim, name: `forged-${nodes.indexOf(node)}` },
    signature: keys.crypto.sign(randomBytes(random, 8)),
  }))
  const content = genesisWithoutSecrets(
    keys.crypto,
    'sim',
    network,
    expect,
    {
      servers: 'auto',
      admission: 'open',
      maxNodes: 64,
      vpnMode: 'wireguard',
      vpnCidr: '10.86.0.0/16',
      distribution: 'etcd',
      k3s: null,
      ...MEMBERSHIP_DEFAULTS,
    },
    promises,
  )
  const genesis: Genesis = {
    ...content,
    secrets: content.voters.map((node) => ({ node, sealed: randomBytes(random, 16) })),
  }
  const bytes = statement('proposal', network, expect, inTerm, genesisIdOf(keys.crypto, genesis))
  return {
    genesis,
    layers: [{ term: inTerm, candidate: keys.id, promises, signature: keys.crypto.sign(bytes) }],
  }
}

/** A plan in which it is a server, signed by itself in everyone's name; or a true plan with one lie in it. */
export function inventPlan(
  keys: Keys,
  random: Random,
  peers: readonly NodeId[],
  era: Digest,
  record: NodeRecord,
  known: CertifiedPlan | null,
): CertifiedPlan {
  if (known !== null && random.perMille(600)) return falsify(known, keys, random)
  const { genesis, layers } = inventProposal(keys, random, peers, record, term(1))
  const signature = layers[0]?.signature ?? new Uint8Array()
  return {
    term: term(1),
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
      agentGeneration: 0,
      rollout: null,
      departed: [],
      commands: [],
      history: [],
    },
    signatures: peers.slice(0, 15).map((node) => ({ node, signature })),
    chain: [],
  }
}

function falsify(known: CertifiedPlan, keys: Keys, random: Random): CertifiedPlan {
  const { plan } = known
  const lies: readonly (() => CertifiedPlan)[] = [
    () => ({ ...known, index: known.index + 1 }),
    () => ({ ...known, term: term(known.term + 1), index: known.index + 1 }),
    () => ({
      ...known,
      index: known.index + 1,
      plan: { ...plan, members: plan.members.map((m) => (m.id === keys.id ? { ...m, role: 'server' } : m)) },
    }),
    () => ({
      ...known,
      index: known.index + 1,
      plan: { ...plan, act: { kind: 'initialise', node: keys.id, attempt: plan.acts + 1 } },
    }),
    () => {
      const own = { node: keys.id, signature: keys.crypto.sign(randomBytes(random, 8)) }
      const change = {
        term: known.term,
        index: known.index,
        plan: known.base,
        base: known.base,
        voters: [keys.id],
        signatures: [own],
      }
      return {
        ...known,
        index: known.index + 5,
        plan: { ...plan, voters: [keys.id] },
        signatures: [own],
        chain: [change],
      }
    },
  ]
  return random.pick(lies)()
}
