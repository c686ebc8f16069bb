/**
 * What the lab's liar says: well-formed messages of the real protocol of which nothing is proven. It has a
 * place among the founders (its own record is honest about that), so that candidates ask it; it answers with
 * others' words and with values that nobody accepted. It says nothing that merely delays: that anyone who may
 * found can do.
 */
import { type Digest, digest, MAX_TERM, type NodeId, type Term, term } from '../../../src/core/ids.ts'
import type { CertifiedPlan } from '../../../src/core/plan.ts'
import { eraTag, type Message } from '../../../src/core/protocol.ts'
import { type NodeRecord, signRecord } from '../../../src/core/record.ts'
import type { Keys } from '../../crypto.ts'
import { randomBytes } from '../../crypto.ts'
import { inventPlan, inventProposal } from '../../inventions.ts'
import type { Random } from '../../random.ts'

/** What it has heard. */
export interface Knowledge {
  readonly peers: Set<NodeId>
  /** The cluster's genesis, once there is one. */
  era: Digest | null
  term: Term | 0
  plan: CertifiedPlan | null
  readonly networkId: Digest
  readonly expect: number
}

export function learn(known: Knowledge, message: Message): void {
  if (message.kind === 'digest') known.era = message.genesis ?? known.era
  if (message.kind === 'plan.share') {
    known.plan = message.certified
    known.term = message.certified.term
  }
}

function recordOf(keys: Keys, { networkId, expect }: Knowledge, id: NodeId, seq: number): NodeRecord {
  return {
    id,
    seq,
    session: 'lie',
    network: networkId,
    expect,
    genesis: null,
    pin: null,
    datastore: false,
    founding: true,
    claim: {
      name: 'liar',
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
  }
}

/** Answers to what others ask: forged promises and acceptances, an invented genesis and plan. */
export function answerTo(keys: Keys, random: Random, known: Knowledge, message: Message): Message[] {
  const forged = keys.crypto.sign(randomBytes(random, 8))
  switch (message.kind) {
    case 'prepare': {
      const { claim } = recordOf(keys, known, keys.id, 1)
      // In the name of each other founder, and in its own with a value that nobody ever accepted.
      return [...known.peers, keys.id].map((node) => ({
        kind: 'promise',
        promise: {
          node,
          term: message.term,
          candidate: node,
          expect: known.expect,
          accepted: node === keys.id ? { term: term(0), genesis: digest('f'.repeat(64)) } : null,
          claim,
          signature: forged,
        },
        proposal: null,
      }))
    }
    case 'propose':
      return [...known.peers].map((node) => ({
        kind: 'accepted',
        term: message.term,
        genesis: digest('f'.repeat(64)),
        acceptance: { node, signature: forged },
      }))
    case 'genesis.pull':
      return [inventedGenesis(keys, random, known)]
    default:
      return []
  }
}

function inventedGenesis(keys: Keys, random: Random, known: Knowledge): Message {
  const peers = [...known.peers]
  const record = recordOf(keys, known, keys.id, 1)
  const { genesis, layers } = inventProposal(keys, random, peers, record, term(1))
  const signature = layers[0]?.signature ?? new Uint8Array()
  const acceptances = [keys.id, ...peers].map((node) => ({ node, signature }))
  return { kind: 'genesis.share', certified: { genesis, certificate: { term: 1, acceptances } } }
}

/** Told in this order, again and again, to everyone. */
export function createLies(
  keys: Keys,
  random: Random,
  known: Knowledge,
): readonly ((peer: NodeId) => Message)[] {
  const forged = (): Uint8Array => keys.crypto.sign(randomBytes(random, 8))
  const era = (): Digest => known.era ?? digest('e'.repeat(64))
  const later = (): Term => term(known.term + 1)
  let seq = 1
  const own = (): Message => ({
    kind: 'records',
    records: [signRecord(keys.crypto, recordOf(keys, known, keys.id, seq++))],
  })
  return [
    own,
    // Another's record, newer than its own.
    (peer) => {
      const other = [...known.peers].find((id) => id !== peer) ?? peer
      return {
        kind: 'records',
        records: [{ record: recordOf(keys, known, other, 2 ** 40), signature: forged() }],
      }
    },
    // A genesis that it will tell when asked.
    () => ({
      kind: 'digest',
      records: '0'.repeat(16),
      genesis: digest('d'.repeat(64)),
      plan: { term: later(), index: 99 },
      pull: true,
    }),
    // Above every term that is in use, and not too far.
    (peer) => ({
      kind: 'propose',
      term: term(500),
      proposal: inventProposal(keys, random, [peer], recordOf(keys, known, keys.id, 1), term(500)),
    }),
    () => inventedGenesis(keys, random, known),
    () => ({ kind: 'prepare', term: term(MAX_TERM), expect: known.expect }),
    () => ({
      kind: 'poll',
      pre: false,
      era: era(),
      term: later(),
      lastTerm: later(),
      lastIndex: 2 ** 40,
    }),
    () => ({
      kind: 'poll.answer',
      pre: false,
      era: era(),
      term: later(),
      granted: true,
      signature: forged(),
    }),
    () => ({
      kind: 'lead',
      era: eraTag(era()),
      term: later(),
      planIndex: 99,
      view: null,
    }),
    () => ({
      kind: 'offer',
      era: era(),
      term: later(),
      index: 99,
      plan: digest('a'.repeat(64)),
      base: digest('b'.repeat(64)),
      baseIndex: 0,
      causes: [],
    }),
    () => ({ kind: 'plan.pull', era: era(), index: 0 }),
    () => ({
      kind: 'plan.share',
      certified: {
        ...inventPlan(keys, random, [...known.peers], era(), recordOf(keys, known, keys.id, 1), known.plan),
        // Old plans are not even looked at.
        index: (known.plan?.index ?? 0) + 50,
      },
    }),
    (peer) => ({
      kind: 'signed',
      era: era(),
      term: later(),
      index: 1,
      plan: digest('a'.repeat(64)),
      signature: { node: peer, signature: forged() },
    }),
    (peer) => ({
      kind: 'certify',
      era: era(),
      term: later(),
      index: (known.plan?.index ?? 0) + 1,
      plan: digest('a'.repeat(64)),
      signatures: [{ node: peer, signature: forged() }],
    }),
    // A join in the name of another.
    (peer) => {
      const other = [...known.peers].find((id) => id !== peer) ?? peer
      return {
        kind: 'join',
        era: era(),
        record: { record: recordOf(keys, known, other, 2 ** 40), signature: forged() },
      }
    },
    () => ({ kind: 'permit.ask', era: era(), act: 'initialise', attempt: 1, nonce: 'lie' }),
  ]
}
