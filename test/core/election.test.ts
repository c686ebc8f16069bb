import { describe, expect, test } from 'vitest'
import { term } from '../../src/core/ids.ts'
import type { Message, MessageOf } from '../../src/core/protocol.ts'
import {
  ELECTION_JITTER_MS,
  ELECTION_MIN_MS,
  LEADER_QUORUM_MS,
  TERM_JUMP_MAX,
} from '../../src/core/timing.ts'
import { type Actor, type Cast, followersOf, formed, leaderOf, logged, planIn, sent } from './cast.ts'

const poll = (of: Actor, changes: Partial<MessageOf<'poll'>> = {}): Message => {
  const { certified, voting } = of.state.durable
  if (certified === null) throw new Error('no plan')
  return {
    kind: 'poll',
    pre: false,
    era: certified.plan.era,
    term: term(voting.term + 1),
    lastTerm: certified.term,
    lastIndex: certified.index,
    ...changes,
  }
}

const answers = (actor: Actor): MessageOf<'poll.answer'>[] => sent(actor, 'poll.answer')
const isGranted = (actor: Actor): boolean => answers(actor).at(-1)?.granted === true

/** Three servers whose leader is gone, and nobody has noticed yet. */
async function orphans(): Promise<{ stage: Cast; voter: Actor; other: Actor; former: Actor }> {
  const stage = await formed({ count: 3 })
  const former = leaderOf(stage)
  const [voter, other] = followersOf(stage)
  if (voter === undefined || other === undefined) throw new Error('no followers')
  stage.switchOff(former)
  stage.isolate(voter)
  return { stage, voter, other, former }
}

describe('a voter', () => {
  test('gives one vote in a term', async () => {
    const { stage, voter, other, former } = await orphans()
    stage.hear(voter, other.id, poll(voter))
    expect(isGranted(voter)).toBe(true)
    const inTerm = voter.state.durable.voting.term
    stage.hear(voter, former.id, poll(voter, { term: inTerm }))
    expect(isGranted(voter)).toBe(false)
  })

  test('that restarts does not vote again in its term', async () => {
    const { stage, voter, other, former } = await orphans()
    stage.hear(voter, other.id, poll(voter))
    const inTerm = voter.state.durable.voting.term
    stage.switchOff(voter)
    stage.switchOn(voter)
    for (const { id } of planIn(voter).plan.members) {
      stage.hear(voter, id, { kind: 'recalled', era: planIn(voter).plan.era, entry: null, vote: null })
    }
    stage.hear(voter, former.id, poll(voter, { term: inTerm }))
    expect(isGranted(voter)).toBe(false)
    stage.hear(voter, other.id, poll(voter, { term: inTerm }))
    expect(isGranted(voter)).toBe(true)
  })

  test('has its vote on disk in the turn that says it', async () => {
    const { stage, voter, other } = await orphans()
    stage.hear(voter, other.id, poll(voter))
    expect(voter.disk?.voting).toMatchObject({ term: voter.state.durable.voting.term, vote: other.id })
  })

  test('votes for nobody who knows less', async () => {
    const { stage, voter, other } = await orphans()
    const { index, term: inTerm } = planIn(voter)
    stage.hear(voter, other.id, poll(voter, { lastIndex: index - 1 }))
    expect(isGranted(voter)).toBe(false)
    stage.hear(voter, other.id, poll(voter, { lastTerm: term(inTerm - 1), lastIndex: index + 9 }))
    expect(isGranted(voter)).toBe(false)
  })

  test('votes in no term below its own', async () => {
    const { stage, voter, other, former } = await orphans()
    stage.hear(voter, other.id, poll(voter, { term: term(9) }))
    stage.hear(voter, former.id, poll(voter, { term: term(8) }))
    expect(isGranted(voter)).toBe(false)
    expect(answers(voter).at(-1)?.term).toBe(9)
  })

  test('votes for no node that is no voter', async () => {
    const stage = await formed({ count: 4 })
    const agent = stage.actors.find(({ id, state }) => !state.durable.certified?.plan.voters.includes(id))
    const [voter] = followersOf(stage)
    if (agent === undefined || voter === undefined) throw new Error('no agent')
    const before = answers(voter).length
    stage.hear(voter, agent.id, poll(voter))
    expect(answers(voter)).toHaveLength(before)
    expect(logged(voter, 'message.refused').at(-1)?.fields).toMatchObject({
      what: 'poll',
      why: 'not a voter',
    })
  })

  test('elects no other while it hears its leader', async () => {
    const stage = await formed({ count: 3 })
    const [voter, other] = followersOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    const inTerm = voter.state.durable.voting.term
    stage.hear(voter, other.id, poll(voter, { term: term(inTerm + 1) }))
    expect(isGranted(voter)).toBe(false)
    expect(voter.state.durable.voting.term).toBe(inTerm)
  })

  test('does not follow a term further ahead than a thousand', async () => {
    const { stage, voter, other } = await orphans()
    const { term: inTerm } = voter.state.durable.voting
    stage.hear(voter, other.id, poll(voter, { term: term(inTerm + TERM_JUMP_MAX + 1) }))
    expect(isGranted(voter)).toBe(false)
    expect(voter.state.durable.voting.term).toBe(inTerm)
  })

  test('that is asked whether it would vote changes nothing on its disk', async () => {
    const { stage, voter, other } = await orphans()
    const before = voter.state.durable.voting
    stage.hear(voter, other.id, poll(voter, { pre: true }))
    expect(isGranted(voter)).toBe(true)
    expect(voter.state.durable.voting).toEqual(before)
  })

  test('that was cut off comes back without a higher term', async () => {
    const stage = await formed({ count: 3 })
    const [lonely] = followersOf(stage)
    const leader = leaderOf(stage)
    if (lonely === undefined) throw new Error('no follower')
    const inTerm = leader.state.durable.voting.term
    stage.isolate(lonely)
    stage.pass(120_000)
    stage.rejoin(lonely)
    stage.pass(10_000)
    expect(lonely.state.durable.voting.term).toBe(inTerm)
    expect(leaderOf(stage)).toBe(leader)
  })

  test('follows no second leader of one term', async () => {
    const stage = await formed({ count: 3 })
    const [voter, other] = followersOf(stage)
    const leader = leaderOf(stage)
    if (voter === undefined || other === undefined) throw new Error('no followers')
    const { era } = planIn(voter).plan
    const lead: Message = {
      kind: 'lead',
      era: era.slice(0, 8),
      term: voter.state.replication.leaderTerm,
      planIndex: 0,
      view: null,
    }
    stage.hear(voter, other.id, lead)
    expect(voter.state.replication.leader).toBe(leader.id)
    expect(logged(voter, 'message.refused').at(-1)?.fields.why).toBe('a second leader in one term')
  })

  test('that learns of a later term from its plan follows the leader of it at its first word', async () => {
    const stage = await formed({ count: 4 })
    const agent = stage.actors.find(({ id, state }) => !state.durable.certified?.plan.voters.includes(id))
    const former = leaderOf(stage)
    if (agent === undefined) throw new Error('no agent')
    stage.isolate(agent)
    stage.switchOff(former)
    stage.pass(30_000)
    const next = stage.actors.find(
      ({ id, state }) => id !== former.id && state.replication.leadership !== null,
    )
    const certified = next?.state.durable.certified
    if (next === undefined || certified == null) throw new Error('no other leader')
    // As in the second after the election, when the former leader was heard a moment ago.
    agent.state.replication.leader = former.id
    agent.state.replication.heardLeader = stage.now
    stage.hear(agent, next.id, { kind: 'plan.share', certified })
    expect(agent.state.replication).toMatchObject({ leader: null, leaderTerm: certified.term })
    stage.hear(agent, next.id, {
      kind: 'beat.answer',
      era: certified.plan.era.slice(0, 8),
      term: certified.term,
      leader: 'me',
      planIndex: certified.index,
      view: null,
    })
    expect(agent.state.replication.leader).toBe(next.id)
  })

  test('tells an overtaken leader the term that overtook it', async () => {
    const { stage, voter, other, former } = await orphans()
    stage.hear(voter, other.id, poll(voter, { term: term(7) }))
    stage.hear(voter, former.id, {
      kind: 'lead',
      era: planIn(voter).plan.era.slice(0, 8),
      term: term(1),
      planIndex: 0,
      view: null,
    })
    expect(voter.said.at(-1)).toMatchObject({
      to: former.id,
      message: { kind: 'poll.answer', term: 7, granted: false },
    })
    expect(voter.state.durable.voting.term).toBe(7)
  })
})

describe('a candidate', () => {
  test('counts no vote that its voter did not sign', async () => {
    const stage = await formed({ count: 3 })
    const former = leaderOf(stage)
    const [candidate, voter] = followersOf(stage)
    if (candidate === undefined || voter === undefined) throw new Error('no followers')
    stage.switchOff(former)
    stage.drop = (_from, _to, message) => message.kind === 'poll.answer' && !message.pre
    stage.until(() => stage.actors.some((actor) => sent(actor, 'poll').some((p) => !p.pre && p.term > 1)))
    const stands = [candidate, voter].find((actor) => actor.state.replication.role === 'candidate')
    const votes = [candidate, voter].find((actor) => actor !== stands)
    if (stands === undefined || votes === undefined) throw new Error('nobody stands')
    const answer = answers(votes).findLast((given) => given.granted && !given.pre)
    if (answer === undefined) throw new Error('nobody voted')
    stage.hear(stands, former.id, answer)
    expect(stands.state.replication.role).toBe('candidate')
    stage.hear(stands, votes.id, { ...answer, term: term(answer.term - 1) })
    expect(stands.state.replication.role).toBe('candidate')
    stage.hear(stands, votes.id, answer)
    expect(stands.state.replication.role).toBe('leader')
  })

  test('without a majority never leads, however long it stands', async () => {
    const stage = await formed({ count: 3 })
    for (const voter of followersOf(stage)) stage.switchOff(voter)
    stage.pass(600_000)
    expect(() => leaderOf(stage)).toThrow('nobody leads')
  })

  test('that is restarted within its term asks anew in a higher one', async () => {
    const stage = await formed({ count: 3 })
    const former = leaderOf(stage)
    stage.switchOff(former)
    stage.drop = (_from, _to, message) => message.kind === 'poll.answer' && !message.pre
    stage.until(() => stage.actors.some(({ state }) => state.replication.role === 'candidate'))
    const candidate = stage.actors.find(({ state }) => state.replication.role === 'candidate')
    if (candidate === undefined) throw new Error('nobody stands')
    const { term: inTerm } = candidate.state.durable.voting
    stage.switchOff(candidate)
    stage.switchOn(candidate)
    stage.drop = () => false
    stage.until(() => stage.actors.some((actor) => actor.isOn && actor.state.replication.role === 'leader'))
    expect(leaderOf(stage).state.durable.voting.term).toBeGreaterThan(inTerm)
  })
})

describe('a leader', () => {
  test('that is gone is replaced by one of the others within two election times', async () => {
    const stage = await formed({ count: 3 })
    const former = leaderOf(stage)
    stage.switchOff(former)
    stage.pass(2 * (ELECTION_MIN_MS + ELECTION_JITTER_MS))
    expect(leaderOf(stage)).not.toBe(former)
  })

  test('that hears no majority steps down', async () => {
    const stage = await formed({ count: 3 })
    const leader = leaderOf(stage)
    stage.isolate(leader)
    stage.pass(LEADER_QUORUM_MS + 2_000)
    expect(leader.state.replication.leadership).toBeNull()
    expect(logged(leader, 'leader.stepped-down').at(-1)?.fields.why).toBe('no majority answers')
  })

  test('hears a majority as long as one of two others answers', async () => {
    const stage = await formed({ count: 3 })
    const [voter] = followersOf(stage)
    const leader = leaderOf(stage)
    if (voter === undefined) throw new Error('no follower')
    stage.switchOff(voter)
    stage.pass(60_000)
    expect(leaderOf(stage)).toBe(leader)
  })

  test('steps down when an answer names a higher term', async () => {
    const stage = await formed({ count: 3 })
    const leader = leaderOf(stage)
    const [voter] = followersOf(stage)
    if (voter === undefined) throw new Error('no follower')
    stage.hear(leader, voter.id, {
      kind: 'poll.answer',
      pre: false,
      era: planIn(leader).plan.era,
      term: term(5),
      granted: false,
      signature: null,
    })
    expect(leader.state.replication.leadership).toBeNull()
    expect(leader.state.durable.voting).toMatchObject({ term: 5, vote: null })
  })

  test('steps down for a question of a person', async () => {
    const stage = await formed({ count: 3 })
    const leader = leaderOf(stage)
    leader.state.blocked = { code: 'node.cloned', message: '', hint: '' }
    stage.tell(leader, { kind: 'timer' })
    expect(leader.state.replication.leadership).toBeNull()
    expect(leader.state.replication.role).toBe('idle')
  })

  test('of the only voter leads with its own vote', async () => {
    const stage = await formed({ count: 1 })
    expect(leaderOf(stage).state.durable.certified?.index).toBe(1)
  })
})
