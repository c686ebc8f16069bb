import { describe, expect, test } from 'vitest'
import type { CertifiedPlan, Plan } from '../../src/core/plan.ts'
import { certifies, isMajority, planHashOf, planStatement, verifyCertifiedPlan } from '../../src/core/plan.ts'
import type { MessageOf } from '../../src/core/protocol.ts'
import { request } from '../../src/core/replication.ts'
import type { Turn } from '../../src/core/turn.ts'
import {
  type Actor,
  type Cast,
  followersOf,
  formed,
  genesisIn,
  leaderOf,
  logged,
  planIn,
  sent,
} from './cast.ts'

/** Has the leader propose a change that is easy to see, as the distribution would. */
function propose(stage: Cast, leader: Actor, node: Actor): void {
  const turn: Turn = {
    now: stage.now,
    crypto: leader.keys.crypto,
    state: leader.state,
    effects: [],
    dirty: false,
  }
  request(turn, { kind: 'initialise', node: node.id })
  leader.disk = leader.state.durable
  for (const effect of turn.effects) {
    if (effect.kind === 'send') leader.said.push({ to: effect.to, message: effect.message })
  }
}

const offerOf = (leader: Actor): MessageOf<'offer'> => {
  const offer = sent(leader, 'offer').at(-1)
  if (offer === undefined) throw new Error('nothing was offered')
  return offer
}

const third = (stage: Cast, ...others: readonly Actor[]): Actor => {
  const left = stage.actors.find((actor) => !others.includes(actor))
  if (left === undefined) throw new Error('nobody is left')
  return left
}

async function three(): Promise<{ stage: Cast; leader: Actor; voter: Actor; other: Actor }> {
  const stage = await formed({ count: 3, cluster: { distribution: 'none' } })
  stage.pass(2_000)
  const leader = leaderOf(stage)
  const [voter, other] = followersOf(stage)
  if (voter === undefined || other === undefined) throw new Error('no followers')
  return { stage, leader, voter, other }
}

describe('an entry', () => {
  test('is certified once a majority signed it, and everyone comes to act on it', async () => {
    const { stage, leader, voter } = await three()
    const before = planIn(leader).index
    propose(stage, leader, voter)
    stage.pass(2_000)
    for (const actor of stage.actors) {
      expect(planIn(actor).index).toBe(before + 1)
      expect(planIn(actor).plan.act?.node).toBe(voter.id)
    }
  })

  test('that only its leader signed is acted on by nobody', async () => {
    const { stage, leader, voter } = await three()
    stage.drop = (from, to) => from === leader || to === leader
    const before = planIn(leader).index
    propose(stage, leader, voter)
    stage.pass(1_000)
    expect(planIn(leader).index).toBe(before)
    expect(leader.state.durable.voting.accepted?.plan.act?.node).toBe(voter.id)
  })

  test('is on the voter’s disk in the turn that signs it', async () => {
    const { stage, leader, voter } = await three()
    stage.drop = (_from, _to, message) => message.kind === 'offer' || message.kind === 'signed'
    propose(stage, leader, voter)
    const offer = offerOf(leader)
    stage.hear(voter, leader.id, offer)
    expect(sent(voter, 'signed').at(-1)).toMatchObject({ term: offer.term, index: offer.index })
    expect(voter.disk?.voting.accepted).toMatchObject({ term: offer.term, index: offer.index })
  })

  test('is signed only where its plan follows from base and causes', async () => {
    const { stage, leader, voter, other } = await three()
    stage.drop = (_from, _to, message) => message.kind === 'offer' || message.kind === 'signed'
    propose(stage, leader, voter)
    const offer = offerOf(leader)
    const count = sent(voter, 'signed').length
    stage.hear(voter, leader.id, { ...offer, causes: [] })
    const lie = offer.causes.map((cause) => ({
      ...cause,
      what: { kind: 'initialise' as const, node: other.id },
    }))
    stage.hear(voter, leader.id, { ...offer, causes: lie })
    expect(sent(voter, 'signed')).toHaveLength(count)
    expect(logged(voter, 'message.refused').at(-1)?.fields.why).toBe(
      'its plan does not follow from its base and causes',
    )
    stage.hear(voter, leader.id, offer)
    expect(sent(voter, 'signed')).toHaveLength(count + 1)
  })

  test('of another plan at a signed position is refused, also after a restart', async () => {
    const { stage, leader, voter, other } = await three()
    stage.drop = (_from, _to, message) => message.kind === 'offer' || message.kind === 'signed'
    propose(stage, leader, voter)
    const offer = offerOf(leader)
    stage.hear(voter, leader.id, offer)
    const count = sent(voter, 'signed').length
    const causes = offer.causes.map((cause) => ({
      ...cause,
      what: { kind: 'initialise' as const, node: other.id },
    }))
    const forged = {
      ...offer,
      causes,
      plan: planHashOf(voter.keys.crypto, { ...planIn(voter).plan, acts: 9 }),
    }
    stage.hear(voter, leader.id, forged)
    expect(logged(voter, 'message.refused').at(-1)?.fields.why).toBe(
      'another entry was signed at this position or after it',
    )
    stage.switchOff(voter)
    stage.switchOn(voter)
    stage.until(() => voter.state.recall.until === null)
    stage.hear(voter, leader.id, forged)
    expect(sent(voter, 'signed')).toHaveLength(count)
    stage.hear(voter, leader.id, offer)
    expect(sent(voter, 'signed')).toHaveLength(count + 1)
  })

  test('is signed by no voter that has moved to a higher term', async () => {
    const { stage, leader, voter, other } = await three()
    stage.drop = (_from, _to, message) => message.kind === 'offer' || message.kind === 'signed'
    propose(stage, leader, voter)
    const offer = offerOf(leader)
    stage.hear(voter, other.id, {
      kind: 'poll.answer',
      pre: false,
      era: planIn(voter).plan.era,
      term: offer.term + 1,
      granted: false,
      signature: null,
    } as MessageOf<'poll.answer'>)
    const count = sent(voter, 'signed').length
    stage.hear(voter, leader.id, offer)
    expect(sent(voter, 'signed')).toHaveLength(count)
  })

  test('of a base that the voter lacks is asked for, not guessed', async () => {
    const { stage, leader, voter } = await three()
    stage.isolate(voter)
    propose(stage, leader, voter)
    stage.pass(1_500)
    expect(planIn(leader).index).toBeGreaterThan(planIn(voter).index)
    const offer = { ...offerOf(leader), baseIndex: planIn(leader).index }
    stage.hear(voter, leader.id, offer)
    expect(voter.said.at(-1)?.message).toMatchObject({ kind: 'plan.pull', index: planIn(voter).index })
  })

  test('signed by somebody who is no voter, or over another entry, counts for nothing', async () => {
    const stage = await formed({ count: 4, cluster: { distribution: 'none' } })
    stage.pass(2_000)
    const leader = leaderOf(stage)
    const [voter, other] = followersOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    const agent = third(stage, leader, voter, other)
    stage.drop = (_from, _to, message) => message.kind === 'offer' || message.kind === 'signed'
    const before = planIn(leader).index
    propose(stage, leader, voter)
    const offer = offerOf(leader)
    stage.hear(voter, leader.id, offer)
    const signed = sent(voter, 'signed').at(-1)
    if (signed === undefined) throw new Error('not signed')
    const { crypto } = agent.keys
    const { voters } = planIn(leader).plan
    const own = crypto.sign(planStatement(crypto, offer.era, voters, voters, offer, offer.plan, offer.base))
    stage.hear(leader, agent.id, { ...signed, signature: { node: agent.id, signature: own } })
    const stolen = { node: other.id, signature: signed.signature.signature }
    stage.hear(leader, other.id, { ...signed, signature: stolen })
    expect(planIn(leader).index).toBe(before)
    stage.hear(leader, voter.id, signed)
    expect(planIn(leader).index).toBe(before + 1)
    expect(planIn(leader).signatures.map(({ node }) => node)).not.toContain(agent.id)
  })
})

describe('a new leader', () => {
  test('issues what it finds signed again, in its own term, before anything new (figure 8)', async () => {
    const { stage, leader, voter, other } = await three()
    // The entry reaches one voter; its leader dies before anyone else knows of it.
    stage.drop = (_from, to, message) => message.kind === 'offer' && to === other
    propose(stage, leader, voter)
    const offer = offerOf(leader)
    stage.isolate(leader)
    stage.hear(voter, leader.id, offer)
    stage.isolate(other)
    stage.rejoin(other)
    stage.switchOff(leader)
    stage.drop = () => false
    stage.until(() =>
      stage.actors.some((actor) => actor !== leader && actor.state.replication.leadership !== null),
    )
    // Only who knows most can be elected: the voter that signed.
    expect(leaderOf(stage)).toBe(voter)
    stage.pass(2_000)
    expect(planIn(voter)).toMatchObject({ term: offer.term + 1, index: offer.index + 1 })
    expect(planIn(voter).plan.act?.node).toBe(voter.id)
    expect(planIn(other).plan.act?.node).toBe(voter.id)
    // The old leader comes back and finds its own change in the plan of the new one.
    stage.switchOn(leader)
    stage.rejoin(leader)
    stage.pass(5_000)
    expect(planIn(leader).index).toBe(planIn(voter).index)
    expect(leader.state.durable.voting.accepted).toBeNull()
  })

  test('that nobody told of an uncertified entry replaces it', async () => {
    const { stage, leader, voter, other } = await three()
    stage.isolate(leader)
    propose(stage, leader, voter)
    expect(leader.state.durable.voting.accepted?.plan.act?.node).toBe(voter.id)
    stage.until(() => [voter, other].some((actor) => actor.state.replication.leadership !== null))
    stage.pass(1_000)
    stage.rejoin(leader)
    stage.pass(5_000)
    expect(planIn(leader).plan.act).toBeNull()
    expect(leader.state.durable.voting.accepted).toBeNull()
    expect(planIn(leader).index).toBe(planIn(voter).index)
  })

  test('that learns of a newer plan issues the rest of its entry again at once', async () => {
    const { stage, leader, voter, other } = await three()
    // `other` alone learns that the entry is certified; `voter` signed it and becomes leader without knowing.
    stage.drop = (_from, to, message) =>
      to === voter && (message.kind === 'certify' || message.kind === 'plan.share' || message.kind === 'lead')
    propose(stage, leader, voter)
    for (const { to, message } of leader.said.slice(-2)) {
      if (message.kind === 'offer') stage.hear(to === voter.id ? voter : other, leader.id, message)
    }
    const signed = [voter, other].map((actor) => sent(actor, 'signed').at(-1))
    for (const [i, actor] of [voter, other].entries()) {
      const message = signed[i]
      if (message !== undefined) stage.hear(leader, actor.id, message)
    }
    expect(planIn(other).index).toBe(planIn(leader).index)
    expect(planIn(voter).index).toBe(planIn(leader).index - 1)
    const changes = planIn(other).index
    stage.switchOff(leader)
    stage.drop = (from, to, message) =>
      from === other &&
      to === voter &&
      (message.kind === 'digest' || (message.kind === 'poll' && message.term > 1))
    stage.until(() => voter.state.replication.leadership !== null)
    stage.drop = () => false
    stage.pass(1_000)
    expect(planIn(voter).index).toBeGreaterThan(changes)
    expect(planIn(voter).term).toBe(voter.state.durable.voting.term)
    expect(voter.state.durable.voting.accepted).toBeNull()
    expect(planIn(other).index).toBe(planIn(voter).index)
  })
})

describe('a certificate', () => {
  async function proven(): Promise<{
    actor: Actor
    certified: CertifiedPlan
    era: ReturnType<typeof genesisIn>
  }> {
    const { stage, leader, voter } = await three()
    propose(stage, leader, voter)
    stage.pass(2_000)
    return { actor: voter, certified: planIn(voter), era: genesisIn(voter) }
  }
  const holds = (
    { actor, era }: { actor: Actor; era: ReturnType<typeof genesisIn> },
    certified: CertifiedPlan,
  ): boolean => verifyCertifiedPlan(actor.keys.crypto, era.genesis, era.id, certified)

  test('proves its plan to anyone who holds the genesis', async () => {
    const it = await proven()
    expect(holds(it, it.certified)).toBe(true)
  })

  test('of a minority proves nothing', async () => {
    const it = await proven()
    expect(holds(it, { ...it.certified, signatures: it.certified.signatures.slice(0, 1) })).toBe(false)
    expect(holds(it, { ...it.certified, signatures: [] })).toBe(false)
  })

  test('of one voter many times proves nothing', async () => {
    const it = await proven()
    const [one] = it.certified.signatures
    if (one === undefined) throw new Error('no signature')
    expect(holds(it, { ...it.certified, signatures: [one, one, one] })).toBe(false)
  })

  test('proves no other plan, position, base or era', async () => {
    const it = await proven()
    const { certified } = it
    const plan: Plan = { ...certified.plan, nextAddress: certified.plan.nextAddress + 1 }
    expect(holds(it, { ...certified, plan })).toBe(false)
    expect(holds(it, { ...certified, index: certified.index + 1 })).toBe(false)
    expect(holds(it, { ...certified, term: (certified.term + 1) as CertifiedPlan['term'] })).toBe(false)
    expect(holds(it, { ...certified, base: it.era.id })).toBe(false)
    expect(holds(it, { ...certified, plan: { ...certified.plan, era: certified.base } })).toBe(false)
  })

  test('of plan 0 needs no signatures and allows no other content', async () => {
    const stage = await formed({ count: 3 })
    const actor = stage.actor(0)
    const it = { actor, era: genesisIn(actor) }
    const { plan } = planIn(actor)
    expect(holds(it, { ...planIn(actor), index: 0, signatures: [], plan })).toBe(false)
  })

  test('of a change of voters needs a majority of the old and of the new', async () => {
    const stage = await formed({ count: 5, cluster: { servers: 5 } })
    const ids = stage.actors.map(({ id }) => id).sort()
    const [a, b, c, d, e] = ids
    if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined)
      throw new Error()
    const { crypto } = stage.actor(0).keys
    const era = genesisIn(stage.actor(0)).id
    const position = { term: 3, index: 7 }
    const oldVoters = [a, b, c]
    const newVoters = [c, d, e]
    const by = (...signers: readonly string[]) =>
      certifies(
        crypto,
        era,
        oldVoters,
        newVoters,
        position,
        era,
        era,
        stage.actors
          .filter(({ id }) => signers.includes(id))
          .map(({ id, keys }) => ({
            node: id,
            signature: keys.crypto.sign(planStatement(crypto, era, oldVoters, newVoters, position, era, era)),
          })),
      )
    expect(by(a, b)).toBe(false)
    expect(by(d, e)).toBe(false)
    expect(by(a, c)).toBe(false)
    expect(by(b, c, d)).toBe(true)
    expect(by(a, b, d, e)).toBe(true)
  })
})

describe('a majority', () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
    [7, 4],
  ])('of %i voters is %i', async (count, needed) => {
    const stage = await formed({ count: 7, expect: 7 })
    const ids = stage.actors.map(({ id }) => id)
    const voters = ids.slice(0, count)
    expect(isMajority(voters, new Set(voters.slice(0, needed)))).toBe(true)
    expect(isMajority(voters, new Set(voters.slice(0, needed - 1)))).toBe(false)
    expect(isMajority(voters, new Set(ids.slice(count)))).toBe(false)
  })
})
