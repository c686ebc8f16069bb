/**
 * A holder of the token who lies: it is let in, hears what every stranger hears, and forges, replays, invents
 * and floods. It has keys of its own and nobody else's. Unless it founds, it promises nothing itself, so that
 * rule 1 stays binding.
 */
import { type Digest, digest, MAX_TERM, type NodeId, term } from '../src/core/ids.ts'
import type { CertifiedPlan } from '../src/core/plan.ts'
import type { Message } from '../src/core/protocol.ts'
import { type NodeRecord, signRecord } from '../src/core/record.ts'
import type { Keys } from './crypto.ts'
import { randomBytes } from './crypto.ts'
import { inventPlan, inventProposal } from './inventions.ts'
import type { Endpoint } from './network.ts'
import { randomFrom } from './random.ts'
import type { World } from './world.ts'

export interface LiarPlan {
  readonly everyMs: number
  readonly startAt: number
  /** Takes part in the founding as an equivocating founder: rule 1 is excused. */
  readonly founds: boolean
  readonly replays: boolean
  readonly floods: boolean
}

/** What it remembers to replay. */
const MEMORY = 200

export function createLiar(world: World, index: number, plan: LiarPlan, keys: Keys): Endpoint {
  const random = randomFrom(world.seed, 'liar')
  const heard: { readonly from: NodeId; readonly message: Message }[] = []
  const peers = new Set<NodeId>()
  let era: Digest | null = null
  let knownPlan: CertifiedPlan | null = null
  let lastTerm = 0
  const { counters } = world

  const someone = (): NodeId => {
    const all = [...peers]
    return all.length === 0 ? keys.id : random.pick(all)
  }
  const someTerm = () =>
    term(random.pick([0, 1, lastTerm, lastTerm + 1, lastTerm + 2, lastTerm + 900, MAX_TERM]))
  const someDigest = (): Digest =>
    random.perMille(500) && era !== null ? era : digest(keys.crypto.hash(randomBytes(random, 8)))
  const signature = (): Uint8Array => keys.crypto.sign(randomBytes(random, 8))

  const record = (id: NodeId): NodeRecord => ({
    id,
    seq: random.pick([0, 1, 5_000, 2 ** 40]),
    session: 'lie',
    network: world.machines[0]?.settings.networkId ?? someDigest(),
    expect: world.machines[0]?.settings.expect ?? 3,
    genesis: random.perMille(300) ? someDigest() : null,
    pin: null,
    datastore: random.perMille(100) && plan.founds,
    founding: plan.founds,
    claim: {
      name: 'server-1',
      sealKey: keys.sealKey,
      wireguardKey: keys.wireguardKey,
      lanAddress: null,
      serverPreference: 'prefer',
      cpus: 64,
      memoryMiB: 1_048_576,
    },
    addresses: [],
    endpoints: [],
    version: 'lie',
    rules: 1,
  })

  const lies: readonly (() => Message)[] = [
    () => ({
      kind: 'digest',
      records: '0'.repeat(16),
      genesis: someDigest(),
      plan: { term: someTerm(), index: random.below(99) },
      pull: true,
    }),
    () => ({
      kind: 'inventory',
      parts: null,
      seqs: [...peers].sort().map((id): [NodeId, number] => [id, 2 ** 40]),
      pull: true,
    }),
    () => ({ kind: 'records', records: [{ record: record(someone()), signature: signature() }] }),
    () => ({
      kind: 'records',
      records: [signRecord(keys.crypto, { ...record(keys.id), genesis: null, datastore: false })],
    }),
    () => ({ kind: 'prepare', term: plan.founds ? someTerm() : term(MAX_TERM), expect: 1 + random.below(9) }),
    () => ({
      kind: 'promise',
      promise: {
        node: someone(),
        term: term(lastTerm),
        candidate: someone(),
        expect: world.machines[0]?.settings.expect ?? 3,
        accepted: random.perMille(500) ? { term: term(0), genesis: someDigest() } : null,
        claim: record(keys.id).claim,
        signature: signature(),
      },
      proposal: null,
    }),
    () => ({
      kind: 'founding.refused',
      term: someTerm(),
      reason: random.pick(['term', 'formed', 'expect', 'invalid']),
      promised: someTerm(),
      expect: 3,
    }),
    () => {
      const inTerm = random.perMille(700) ? term(lastTerm + random.below(3)) : someTerm()
      return {
        kind: 'propose',
        term: inTerm,
        proposal: inventProposal(keys, random, [...peers], record(keys.id), inTerm),
      }
    },
    () => ({
      kind: 'accepted',
      term: term(lastTerm),
      genesis: someDigest(),
      acceptance: { node: someone(), signature: signature() },
    }),
    () => ({ kind: 'genesis.pull' }),
    () => {
      const { genesis, layers } = inventProposal(keys, random, [...peers], record(keys.id), someTerm())
      const acceptances = [...peers]
        .sort()
        .map((node) => ({ node, signature: layers[0]?.signature ?? signature() }))
      return {
        kind: 'genesis.share',
        certified: {
          genesis,
          certificate: { term: 1, acceptances: [{ node: keys.id, signature: signature() }, ...acceptances] },
        },
      }
    },
    () => ({
      kind: 'poll',
      pre: random.perMille(500),
      era: someDigest(),
      term: someTerm(),
      lastTerm: someTerm(),
      lastIndex: 2 ** 40,
    }),
    () => ({
      kind: 'poll.answer',
      pre: random.perMille(500),
      era: someDigest(),
      term: someTerm(),
      granted: random.perMille(700),
      signature: signature(),
    }),
    () => ({
      kind: 'offer',
      era: someDigest(),
      term: someTerm(),
      index: 1 + random.below(50),
      plan: someDigest(),
      base: someDigest(),
      baseIndex: random.below(50),
      causes: [],
    }),
    () => ({
      kind: 'signed',
      era: someDigest(),
      term: someTerm(),
      index: random.below(50),
      plan: someDigest(),
      signature: { node: someone(), signature: signature() },
    }),
    () => ({
      kind: 'certify',
      era: someDigest(),
      term: someTerm(),
      index: random.below(50),
      plan: someDigest(),
      signatures: [{ node: someone(), signature: signature() }],
    }),
    () => ({ kind: 'plan.pull', era: someDigest(), index: random.below(50) }),
    () => ({
      kind: 'plan.share',
      certified: inventPlan(keys, random, [...peers], someDigest(), record(keys.id), knownPlan),
    }),
    () => ({
      kind: 'lead',
      era: someDigest().slice(0, 8),
      term: someTerm(),
      planIndex: random.below(99),
      view: null,
    }),
    () => ({
      kind: 'beat',
      era: someDigest().slice(0, 8),
      term: someTerm(),
      planIndex: random.below(9),
      seen: 2 ** 40,
      facts: {
        stage: 'ready',
        mesh: true,
        datastore: { version: 'lie', healthy: true, members: [] },
        distribution: { version: 'lie', revision: 0, prepared: 0, ready: true, problem: 'lie' },
        outcome: {
          act: 'initialise',
          node: keys.id,
          attempt: random.below(5),
          epoch: 1,
          clusterId: 'lie',
          revision: 0,
          signature: signature(),
        },
      },
    }),
    () => ({
      kind: 'beat.answer',
      era: someDigest().slice(0, 8),
      term: someTerm(),
      leader: random.perMille(500) ? keys.id : someone(),
      planIndex: random.below(99),
      view: null,
    }),
    () => ({
      kind: 'join',
      era: someDigest(),
      record: random.perMille(500)
        ? { record: record(someone()), signature: signature() }
        : signRecord(keys.crypto, { ...record(keys.id), seq: 1 }),
    }),
    () => ({
      kind: 'join.answer',
      era: someDigest(),
      leader: random.perMille(500) ? keys.id : someone(),
      state: random.pick(['queued', 'elsewhere', 'pending', 'full']),
    }),
    () => ({ kind: 'recall', era: someDigest() }),
    () => ({
      kind: 'recalled',
      era: someDigest(),
      entry: {
        before: [],
        voters: [someone()],
        term: someTerm(),
        index: 2 ** 40,
        plan: someDigest(),
        base: someDigest(),
        signature: signature(),
      },
      vote: { term: someTerm(), candidate: someone(), signature: signature() },
    }),
    () => ({
      kind: 'permit.ask',
      era: someDigest(),
      act: random.pick(['initialise', 'join']),
      attempt: random.below(5),
      nonce: 'lie',
    }),
    () => ({
      kind: 'permit',
      era: someDigest(),
      act: random.pick(['initialise', 'join']),
      attempt: random.below(5),
      nonce: 'lie',
      signature: signature(),
    }),
  ]

  const lie = (): void => {
    world.at(world.now + plan.everyMs, lie)
    if (peers.size === 0) return
    const times = plan.floods && random.perMille(50) ? 50 : 1
    for (let i = 0; i < times; i++) {
      const old = random.perMille(400) && plan.replays && heard.length > 0 ? random.pick(heard) : null
      counters.add(old === null ? 'lies' : 'replays')
      world.network.send(index, someone(), old?.message ?? random.pick(lies)())
    }
  }

  const learn = (message: Message): void => {
    if ('era' in message && typeof message.era === 'string' && message.era.length === 64)
      era = message.era as Digest
    if (message.kind === 'plan.share') knownPlan = message.certified
    if (message.kind === 'digest' && message.genesis !== null) era = message.genesis
    if ('term' in message && message.term < MAX_TERM / 2) lastTerm = Math.max(lastTerm, message.term)
  }

  world.at(plan.startAt, () => {
    world.network.joined(index)
    lie()
  })
  return {
    index,
    id: () => (world.now < plan.startAt ? null : keys.id),
    connected: (peer) => {
      peers.add(peer)
    },
    disconnected: (peer) => {
      peers.delete(peer)
    },
    receive: (from, message) => {
      learn(message)
      if (heard.length >= MEMORY) heard[random.below(MEMORY)] = { from, message }
      else heard.push({ from, message })
    },
  }
}
