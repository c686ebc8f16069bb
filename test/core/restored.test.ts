import { describe, expect, test } from 'vitest'
import { term } from '../../src/core/ids.ts'
import type { LeaderRecord } from '../../src/core/leader-record.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import { RECALL_MS, RECALL_RETRY_MS } from '../../src/core/timing.ts'
import { type Actor, type Cast, followersOf, formed, leaderOf, planIn, sent, statusIn } from './cast.ts'

/** Three servers; one of them gets its disk of earlier back, after it signed and voted more. */
async function backup(): Promise<{ stage: Cast; voter: Actor; copy: Durable }> {
  const stage = await formed({ count: 4, expect: 3, off: (i) => i === 3, cluster: { distribution: 'etcd' } })
  stage.pass(2_000)
  const voter = leaderOf(stage)
  const copy = voter.disk
  if (copy === null) throw new Error('nothing on disk')
  stage.switchOn(stage.actor(3))
  stage.pass(5_000)
  expect(planIn(voter).index).toBeGreaterThan(copy.certified?.index ?? 0)
  expect(planIn(voter).signatures.map(({ node }) => node)).toContain(voter.id)
  return { stage, voter, copy }
}

const pollIn = (voter: Actor, at: number): Message => ({
  kind: 'poll',
  pre: false,
  era: planIn(voter).plan.era,
  term: term(at),
  lastTerm: term(at),
  lastIndex: at,
})

describe('a server whose disk was restored from an old copy', () => {
  test('finds its own signature in a newer plan, says so, and votes no more', async () => {
    const { stage, voter, copy } = await backup()
    stage.switchOff(voter)
    voter.disk = copy
    stage.switchOn(voter)
    expect(voter.state.blocked?.code).toBe('state.restored')
    expect(statusIn(stage, voter).problems.map(({ code }) => code)).toContain('state.restored')
    const [other] = stage.actors.filter(({ id }) => id !== voter.id && planIn(voter).plan.voters.includes(id))
    if (other === undefined) throw new Error('no voter')
    const votes = sent(voter, 'poll.answer').length
    stage.hear(voter, other.id, {
      kind: 'poll',
      pre: false,
      era: planIn(other).plan.era,
      term: term(50),
      lastTerm: term(50),
      lastIndex: 50,
    })
    expect(sent(voter, 'poll.answer')).toHaveLength(votes)
  })

  test('is still stopped after another restart', async () => {
    const { stage, voter, copy } = await backup()
    stage.switchOff(voter)
    voter.disk = copy
    stage.switchOn(voter)
    stage.switchOff(voter)
    stage.drop = () => true
    stage.switchOn(voter)
    expect(voter.state.blocked?.code).toBe('state.restored')
    expect(voter.state.replication.role).toBe('idle')
  })

  test('has its datastore stopped', async () => {
    const { stage, voter, copy } = await backup()
    stage.switchOff(voter)
    voter.disk = copy
    voter.order = null
    stage.switchOn(voter)
    expect(voter.order).toMatchObject({ kind: 'etcd', action: 'stop' })
  })

  test('finds its own vote in a leader record', async () => {
    const stage = await formed({ count: 3 })
    const voter = followersOf(stage)[0]
    if (voter === undefined) throw new Error('no follower')
    const copy = voter.disk
    stage.switchOff(leaderOf(stage))
    stage.until(() => stage.actors.some((actor) => actor.isOn && actor.state.replication.leadership !== null))
    const record = stage.actors
      .flatMap((actor) => actor.effects)
      .filter((effect) => effect.kind === 'publish')
      .map((effect): LeaderRecord => effect.record)
      .find((found) => found.term > 1)
    if (record === undefined) throw new Error('nothing was published')
    expect(record.votes.map(({ node }) => node)).toContain(voter.id)
    stage.switchOff(voter)
    voter.disk = copy
    stage.drop = () => true
    stage.switchOn(voter)
    stage.tell(voter, { kind: 'leader-records', records: [record] })
    expect(voter.state.blocked?.code).toBe('state.restored')
  })
})

describe('a starting voter', () => {
  test('gives no word until everyone has told what it holds', async () => {
    const stage = await formed({ count: 3, cluster: { distribution: 'etcd' } })
    const [voter, other] = followersOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    stage.switchOff(voter)
    stage.drop = (from, _to, message) => from === other && message.kind === 'recalled'
    voter.order = null
    stage.switchOn(voter)
    stage.pass(RECALL_RETRY_MS * 3)
    expect(sent(voter, 'recall').length).toBeGreaterThan(2)
    expect(voter.state.replication.role).toBe('idle')
    expect(voter.order).toBeNull()
    expect(statusIn(stage, voter).waitingFor.join()).toContain('what they hold of this server')
    const votes = sent(voter, 'poll.answer').length
    stage.hear(voter, other.id, pollIn(voter, 50))
    expect(sent(voter, 'poll.answer')).toHaveLength(votes)
    stage.drop = () => false
    stage.pass(RECALL_RETRY_MS)
    expect(voter.state.replication.role).not.toBe('idle')
    expect(voter.order).not.toBeNull()
  })

  test('is permitted by silence', async () => {
    const stage = await formed({ count: 3 })
    const voter = leaderOf(stage)
    for (const actor of stage.actors) stage.switchOff(actor)
    stage.switchOn(voter)
    stage.pass(RECALL_MS - 1)
    expect(voter.state.replication.role).toBe('idle')
    stage.pass(1)
    expect(voter.state.replication.role).not.toBe('idle')
  })

  test('is shown the signature that it forgot by the leader who has not used it yet', async () => {
    const stage = await formed({ count: 6, expect: 5, off: (i) => i >= 5, cluster: { servers: 5 } })
    stage.pass(2_000)
    const leader = leaderOf(stage)
    const [voter, ...others] = followersOf(stage)
    if (voter === undefined) throw new Error('no followers')
    const copy = voter.disk
    // Of five voters only this one hears the offer: nothing is certified.
    stage.drop = (from, to, message) => from === leader && others.includes(to) && message.kind === 'offer'
    stage.switchOn(stage.actor(5))
    stage.until(() => voter.state.durable.voting.accepted !== null)
    expect(planIn(leader).index).toBe(copy?.certified?.index)
    stage.switchOff(voter)
    voter.disk = copy
    stage.switchOn(voter)
    stage.pass(RECALL_RETRY_MS)
    expect(voter.state.blocked?.code).toBe('state.restored')
  })

  test('is shown the vote that it forgot by whom it elected', async () => {
    const stage = await formed({ count: 3 })
    const [voter, other] = followersOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    const copies = new Map([voter, other].map((actor) => [actor, actor.disk]))
    stage.switchOff(leaderOf(stage))
    stage.until(() => stage.actors.some((actor) => actor.isOn && actor.state.replication.leadership !== null))
    const elector = leaderOf(stage) === voter ? other : voter
    stage.switchOff(elector)
    elector.disk = copies.get(elector) ?? null
    stage.drop = (_from, _to, message) => message.kind === 'plan.share'
    stage.switchOn(elector)
    stage.pass(RECALL_RETRY_MS)
    expect(elector.state.blocked?.code).toBe('state.restored')
  })

  test('believes no signature that is not its own', async () => {
    const stage = await formed({ count: 3 })
    const [voter, other] = followersOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    const { era } = planIn(voter).plan
    const signature = other.keys.crypto.sign(new Uint8Array(1))
    const voters = [...planIn(voter).plan.voters]
    stage.hear(voter, other.id, {
      kind: 'recalled',
      era,
      entry: { before: voters, voters, term: term(9), index: 9, plan: era, base: era, signature },
      vote: { term: term(9), candidate: other.id, signature },
    })
    expect(voter.state.blocked).toBeNull()
  })
})

describe('a server whose disk kept its word', () => {
  test('is never taken for restored, however often it restarts', async () => {
    const { stage, voter } = await backup()
    for (let i = 0; i < 5; i++) {
      stage.switchOff(voter)
      stage.pass(i * 2_000)
      stage.switchOn(voter)
      stage.pass(8_000)
      expect(voter.state.blocked).toBeNull()
    }
  })

  test('is shown its signature of what it signed last, and knows it', async () => {
    const stage = await formed({ count: 5, expect: 3, off: (i) => i >= 3 })
    stage.pass(2_000)
    const [voter, other] = followersOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    // It signs, is needed for the certificate, and never hears of it.
    stage.switchOff(other)
    stage.drop = (_from, to, message) =>
      to === voter && (message.kind === 'certify' || message.kind === 'plan.share')
    stage.switchOn(stage.actor(3))
    stage.until(() => planIn(leaderOf(stage)).index > planIn(voter).index)
    expect(planIn(leaderOf(stage)).signatures.map(({ node }) => node)).toContain(voter.id)
    expect(voter.state.durable.voting.accepted?.index).toBe(planIn(leaderOf(stage)).index)
    stage.drop = (_from, to, message) => to === voter && message.kind === 'certify'
    stage.until(() => planIn(voter).index === planIn(leaderOf(stage)).index)
    expect(voter.state.blocked).toBeNull()
  })

  test('believes no plan and no vote with somebody else’s signature in its name', async () => {
    const { stage, voter, copy } = await backup()
    const other = stage.actors.find((actor) => actor !== voter)
    if (other === undefined) throw new Error('alone')
    stage.switchOff(voter)
    voter.disk = copy
    stage.drop = () => true
    stage.switchOn(voter)
    const certified = planIn(other)
    const signatures = certified.signatures.map(({ node, signature }) => ({
      node,
      signature: node === voter.id ? other.keys.crypto.sign(new Uint8Array(1)) : signature,
    }))
    stage.hear(voter, other.id, { kind: 'plan.share', certified: { ...certified, signatures } })
    expect(voter.state.blocked).toBeNull()
  })
})
