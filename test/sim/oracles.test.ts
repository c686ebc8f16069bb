/** Each oracle finds what is planted for it, and nothing in a history where nothing is wrong. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Datastore } from '../../sim/datastore.ts'
import { term } from '../../src/core/ids.ts'
import type { DistributionOrder } from '../../src/core/orders.ts'
import type { Plan } from '../../src/core/plan.ts'
import type { Message } from '../../src/core/protocol.ts'
import { type Actor, cast, formed, genesisIn, planIn, sent } from '../core/cast.ts'

import {
  begin,
  broken,
  certify,
  diskOf,
  forget,
  found,
  history,
  machineOf,
  oracles,
  say,
  setTime,
  written,
} from './oracle-stage.ts'

beforeEach(begin)

describe('rule 1', () => {
  test('a second certified genesis is found', async () => {
    const stage = await history()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    written(a, { genesis: diskOf(a).genesis })
    expect(found).toEqual([])
    const { genesis, certificate } = genesisIn(b)
    written(b, { genesis: { genesis: { ...genesis, nextAddress: 99 }, certificate } })
    broken(1, 'two geneses are certified')
  })

  test('is excused where more machines promised than expect and slack allow, and says so', async () => {
    const stage = await cast({ count: 5, expect: 9 })
    for (const actor of stage.actors) {
      written(actor, { founding: { term: term(1), candidate: stage.actor(0).id, accepted: null } })
    }
    expect(oracles.founding.excuse()).toBe('1 more machines promised than expect and slack allow')
  })
})

describe('rule 2, of foundings', () => {
  const founding = (inTerm: number, candidate: Actor) => ({
    term: term(inTerm),
    candidate: candidate.id,
    accepted: null,
  })

  test('a changed, forgotten or lowered promise is found', async () => {
    const stage = await cast({ count: 3, expect: 9 })
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    written(a, { founding: founding(2, b) })
    expect(found).toEqual([])
    written(a, { founding: founding(2, c) })
    broken(2, 'promised twice in term 2')
    forget()
    written(b, { founding: founding(5, b) })
    written(b, { founding: founding(4, b) })
    broken(2, 'went back from founding term 5 to 4')
  })

  test('a promise that is said before it is on the disk is found', async () => {
    const stage = await cast({ count: 3, expect: 9 })
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, { kind: 'prepare', term: term(1), expect: 9 })
    const promise = sent(a, 'promise').at(-1)
    if (promise === undefined) throw new Error('no promise')
    say(a, b, promise)
    expect(found).toEqual([])
    say(a, b, promise, { ...diskOf(a), founding: { term: term(0), candidate: null, accepted: null } })
    broken(2, 'before it was on its disk')
  })

  test('a forgotten acceptance and a forgotten genesis are found', async () => {
    const stage = await history()
    const a = stage.actor(0)
    written(a, { genesis: diskOf(a).genesis })
    expect(diskOf(a).founding.accepted).not.toBeNull()
    written(a, { founding: { ...diskOf(a).founding, accepted: null } })
    broken(2, 'forgot what it accepted')
    written(a, { genesis: null })
    broken(2, 'forgot its genesis')
  })

  test('a second proposal in one term is found', async () => {
    const stage = await cast({ count: 3, off: () => true })
    for (const actor of stage.actors) stage.switchOn(actor)
    stage.until(() => stage.actors.some((actor) => sent(actor, 'propose').length > 0))
    const candidate = stage.actors.find((actor) => sent(actor, 'propose').length > 0)
    const proposal = candidate === undefined ? undefined : sent(candidate, 'propose')[0]
    if (candidate === undefined || proposal === undefined) throw new Error('no proposal')
    say(candidate, stage.actor(0), proposal)
    expect(found).toEqual([])
    const { genesis, layers } = proposal.proposal
    say(candidate, stage.actor(0), {
      ...proposal,
      proposal: { genesis: { ...genesis, nextAddress: 77 }, layers },
    })
    broken(2, 'proposed twice')
  })
})

describe('rule 2, of voters', () => {
  const voting = (inTerm: number, vote: Actor | null) => ({
    term: term(inTerm),
    vote: vote?.id ?? null,
    accepted: null,
  })

  test('a second vote in a term, a forgotten one and a lower term are found', async () => {
    const stage = await history()
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    written(a, { voting: voting(9, b) })
    expect(found).toEqual([])
    written(a, { voting: voting(9, c) })
    broken(2, 'voted in term 9')
    written(b, { voting: voting(9, b) })
    written(b, { voting: voting(9, null) })
    broken(2, 'forgot its vote of term 9')
    written(c, { voting: voting(9, null) })
    written(c, { voting: voting(8, null) })
    broken(2, 'went back from term 9 to 8')
  })

  test('a vote or a signature that is said before it is on the disk is found', async () => {
    const stage = await history()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    const { era } = planIn(a).plan
    const vote: Message = {
      kind: 'poll.answer',
      pre: false,
      era,
      term: term(9),
      granted: true,
      signature: null,
    }
    say(a, b, vote, { ...diskOf(a), voting: voting(9, b) })
    expect(found).toEqual([])
    say(b, a, vote)
    broken(2, 'voted in term 9 before it was on its disk')
    forget()
    const signature = { node: b.id, signature: new Uint8Array() }
    say(b, a, { kind: 'signed', era, term: term(9), index: 50, plan: era, signature })
    broken(2, 'before it was on its disk')
  })

  test('two plans at one position, and an entry that is forgotten, are found', async () => {
    const stage = await history()
    const a = stage.actor(0)
    const { plan, base } = planIn(a)
    const entry = (acts: number) => ({ term: term(9), index: 50, base, plan: { ...plan, acts }, causes: [] })
    const hold = (accepted: ReturnType<typeof entry> | null): void =>
      written(a, { voting: { ...voting(9, null), accepted } })
    hold(entry(1))
    expect(found).toEqual([])
    hold(entry(2))
    broken(2, 'signed two plans at 9.50')
    forget()
    hold(null)
    broken(2, 'forgot the entry that it signed at 9.50')
  })
})

describe('rule 3', () => {
  const lead = (of: Actor, inTerm: number): Message => ({
    kind: 'lead',
    era: planIn(of).plan.era.slice(0, 8),
    term: term(inTerm),
    planIndex: 0,
    view: null,
  })

  test('a leader that a majority did not vote for, and a second one of a term, are found', async () => {
    const stage = await history()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    for (const actor of stage.actors) {
      const { genesis, certified } = diskOf(actor)
      written(actor, { genesis, certified, voting: { term: term(9), vote: a.id, accepted: null } })
    }
    forget()
    say(a, b, lead(a, 9))
    expect(found).toEqual([])
    say(b, a, lead(b, 9))
    broken(3, 'term 9 has two leaders')
    forget()
    say(b, a, lead(b, 10))
    broken(3, 'leads term 10 with the votes of nobody')
  })

  test('a node that goes back to an older plan is found', async () => {
    const stage = await history()
    const a = stage.actor(0)
    const certified = certify(stage, { term: term(9), index: 50, plan: planIn(a).plan })
    written(a, { certified })
    expect(found).toEqual([])
    written(a, { certified: planIn(a) })
    broken(3, 'went back from plan 50')
  })

  test('two certified plans at one index, and one that loses what an earlier one knew, are found', async () => {
    const stage = await history()
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    const { plan } = planIn(a)
    written(a, { certified: certify(stage, { term: term(9), index: 50, plan }) })
    expect(found).toEqual([])
    const twin = certify(stage, { term: term(9), index: 50, plan: { ...plan, acts: plan.acts + 5 } })
    written(b, { certified: twin })
    expect(found.map(({ rule }) => rule)).toContain(3)
    forget()
    const lost = certify(stage, {
      term: term(9),
      index: 60,
      plan: { ...plan, members: plan.members.slice(1) },
    })
    written(c, { certified: lost })
    broken(3, 'is lost between')
  })

  test('a core in conflict is found', async () => {
    const stage = await history()
    oracles.logged(machineOf(stage.actor(0)), 'plan.conflict', { message: 'two' })
    broken(3, 'is in conflict')
  })
})

describe('rules 4 and 9 of the datastore', () => {
  const order = (actor: Actor, changes: Partial<Extract<DistributionOrder, { kind: 'etcd' }>>): void => {
    const { plan } = planIn(actor)
    const [member] = plan.members
    if (member === undefined) throw new Error('no member')
    oracles.ordered(machineOf(actor), {
      kind: 'distribution',
      order: {
        kind: 'etcd',
        action: 'stop',
        epoch: 1,
        genesis: plan.era,
        self: { id: actor.id, name: member.name, address: member.address },
        members: [],
        clusterId: null,
        gone: [],
        evict: [],
        secret: new Uint8Array(plan.voters.includes(actor.id) ? 32 : 0),
        ...changes,
      },
    })
  }

  test('initialising without the plan’s word, or without permits, is found', async () => {
    const stage = await history()
    stage.until(() => planIn(stage.actor(0)).plan.act !== null)
    const holder = stage.actors.find(({ id }) => planIn(stage.actor(0)).plan.act?.node === id)
    const other = stage.actors.find((actor) => actor !== holder)
    if (holder === undefined || other === undefined) throw new Error('nobody holds the act')
    order(other, { action: 'initialise' })
    broken(4, 'its plan does not say so')
    forget()
    order(holder, { action: 'initialise' })
    broken(4, 'with the permit of 1 only')
    forget()
    const permit: Message = {
      kind: 'permit',
      era: planIn(holder).plan.era,
      act: 'initialise',
      attempt: planIn(holder).plan.act?.attempt ?? 0,
      nonce: `${holder.state.session}.1`,
      signature: new Uint8Array(),
    }
    say(other, holder, permit)
    order(holder, { action: 'initialise' })
    expect(found).toEqual([])
    setTime(20_000)
    order(holder, { action: 'initialise' })
    broken(4, 'with the permit of 1 only')
  })

  test('running a datastore of which it is no member is found', async () => {
    const stage = await history()
    order(stage.actor(0), { action: 'run' })
    broken(4, 'no member of')
  })

  test('a joiner of a datastore that no plan records is found', async () => {
    const stage = await history()
    oracles.datastoreJoined(machineOf(stage.actor(0)), { id: 'ds-stray' } as Datastore)
    broken(4, 'which no plan records as done')
  })

  test('two datastores recorded as done are found', async () => {
    const stage = await history()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    const { plan } = planIn(a)
    const done = (clusterId: string): Plan => ({ ...plan, datastore: { ...plan.datastore, clusterId } })
    written(a, { certified: certify(stage, { term: term(9), index: 50, plan: done('ds-1') }) })
    expect(found).toEqual([])
    written(b, { certified: certify(stage, { term: term(9), index: 51, plan: done('ds-2') }) })
    broken(4, 'two datastores are recorded as done')
  })

  test('an agent with the servers’ secret, and a server without, are found', async () => {
    const stage = await formed({ count: 4, cluster: { distribution: 'etcd' } })
    const { voters } = planIn(stage.actor(0)).plan
    const agent = stage.actors.find(({ id }) => !voters.includes(id))
    const server = stage.actors.find(({ id }) => voters.includes(id))
    if (agent === undefined || server === undefined) throw new Error('no agent')
    order(agent, {})
    order(server, {})
    expect(found).toEqual([])
    order(agent, { secret: new Uint8Array(32) })
    broken(9, "has the servers' secret")
    order(server, { action: 'run', secret: new Uint8Array() })
    broken(9, "lacks the servers' secret")
  })
})

describe('rule 2, of records', () => {
  test('a sequence number that is signed twice, or before it is reserved, is found', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const [a, b] = [stage.actor(0), stage.actor(1)]
    const [message] = sent(a, 'records')
    const [signed] = message?.records ?? []
    if (message === undefined || signed === undefined) throw new Error('no record')
    say(a, b, message)
    expect(found).toEqual([])
    const twin = { ...signed, record: { ...signed.record, expect: 3 } }
    say(a, b, { kind: 'records', records: [twin] })
    broken(2, 'twice')
    forget()
    say(a, b, { kind: 'records', records: [{ ...signed, record: { ...signed.record, seq: 1_000_000 } }] })
    broken(2, 'not reserved')
  })
})

describe('rule 11', () => {
  test('a machine that takes itself for a copy where nobody copied is found', async () => {
    const stage = await history()
    oracles.logged(machineOf(stage.actor(0)), 'state.restored', {})
    broken(11, 'takes itself for a copy')
  })
})
