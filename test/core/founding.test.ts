import { describe, expect, test } from 'vitest'
import { obstacle } from '../../src/core/founding.ts'
import { foundingQuorum } from '../../src/core/genesis.ts'
import { term } from '../../src/core/ids.ts'
import { highestAccepted } from '../../src/core/proposal.ts'
import type { Message, MessageOf } from '../../src/core/protocol.ts'
import { TERM_JUMP_MAX } from '../../src/core/timing.ts'
import { type Actor, type Cast, cast, genesisIn, logged, NO_DATASTORE, sent, statusIn } from './cast.ts'

const geneses = ({ actors }: Cast): Set<string> =>
  new Set(actors.flatMap(({ state }) => (state.genesisId === null ? [] : [state.genesisId])))

/** A stage on which nobody ever stands: too few are there; the test plays the candidates. */
const quiet = (count = 3): Promise<Cast> => cast({ count, expect: 9 })

const prepare = (inTerm: number): Message => ({ kind: 'prepare', term: term(inTerm), expect: 9 })
const lastOf = <K extends Message['kind']>(actor: Actor, kind: K): MessageOf<K> => {
  const last = sent(actor, kind).at(-1)
  if (last === undefined) throw new Error(`${actor.name} never said ${kind}`)
  return last
}

describe('the quorum of a founding', () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 3],
    [5, 4],
    [6, 4],
    [7, 5],
    [10, 6],
  ])('of %i machines is %i', (expected, quorum) => {
    expect(foundingQuorum(expected)).toBe(quorum)
  })

  test('any two quorums out of the expected machines and one more share a machine', () => {
    for (let machines = 2; machines <= 512; machines++) {
      expect(2 * foundingQuorum(machines)).toBeGreaterThan(machines + 1)
      expect(foundingQuorum(machines)).toBeLessThanOrEqual(machines)
    }
  })

  test('one expected machine founds alone and two cannot both found', () => {
    expect(2 * foundingQuorum(1)).toBeGreaterThan(1)
  })
})

describe('a founding', () => {
  test.each([1, 2, 3, 4, 5, 6, 9])('of all of %i machines makes one genesis that all hold', async (count) => {
    const stage = await cast({ count })
    stage.until(() => stage.actors.every(({ state }) => state.genesisId !== null))
    expect(geneses(stage).size).toBe(1)
    expect(genesisIn(stage.actor(0)).genesis.members).toHaveLength(count)
  })

  test('does not happen with fewer than a quorum, however long', async () => {
    const stage = await cast({ count: 3, expect: 5 })
    stage.pass(3_600_000)
    expect(geneses(stage).size).toBe(0)
    expect(stage.actors.flatMap((actor) => sent(actor, 'prepare'))).toEqual([])
    expect(statusIn(stage, stage.actor(0)).waitingFor[0]).toContain('2 more machines: 3 of 5 are here')
  })

  test('with a quorum but not all waits for the settle time, then goes on without the last', async () => {
    const stage = await cast({ count: 4, expect: 5 })
    stage.pass(2_900)
    expect(geneses(stage).size).toBe(0)
    stage.pass(3_000)
    expect(geneses(stage).size).toBe(1)
    expect(genesisIn(stage.actor(0)).genesis.members).toHaveLength(4)
  })

  test('waits again when a new machine comes within the settle time', async () => {
    const stage = await cast({ count: 6, expect: 6, off: (i) => i >= 4 })
    stage.pass(2_500)
    stage.switchOn(stage.actor(4))
    stage.pass(2_500)
    expect(geneses(stage).size).toBe(0)
    stage.pass(3_000)
    expect(geneses(stage).size).toBe(1)
  })

  test('of one expected machine looks around for the settle time first', async () => {
    const stage = await cast({ count: 1 })
    stage.pass(2_900)
    expect(geneses(stage).size).toBe(0)
    stage.pass(200)
    expect(geneses(stage).size).toBe(1)
  })

  test('usually has one candidate: the others wait for their rank', async () => {
    const stage = await cast({ count: 5 })
    stage.pass(5_000)
    expect(stage.actors.filter((actor) => logged(actor, 'founding.candidate').length > 0)).toHaveLength(1)
  })

  test('is begun only by who may be a server, whoever comes first in rank', async () => {
    for (let able = 0; able < 3; able++) {
      const stage = await cast({ count: 3, claim: (i) => (i === able ? {} : { serverPreference: 'never' }) })
      stage.until(() => stage.actors.every(({ state }) => state.genesisId !== null))
      expect(genesisIn(stage.actor(0)).genesis.voters).toEqual([stage.actor(able).id])
    }
  })

  test('of machines that must never be servers does not begin, and each says why', async () => {
    const stage = await cast({ count: 3, claim: () => ({ serverPreference: 'never' }) })
    stage.pass(600_000)
    expect(stage.actors.flatMap((actor) => sent(actor, 'prepare'))).toEqual([])
    expect(statusIn(stage, stage.actor(0)).waitingFor[0]).toContain('a machine that may be a server')
  })

  test('a machine whose record is old does not count as there', async () => {
    const stage = await cast({ count: 3, expect: 4, settings: () => ({ settleMs: 60_000 }) })
    stage.pass(1_000)
    stage.isolate(stage.actor(2))
    stage.pass(100_000)
    expect(stage.actors.flatMap((actor) => sent(actor, 'prepare'))).toEqual([])
    stage.rejoin(stage.actor(2))
    stage.pass(20_000)
    expect(geneses(stage).size).toBe(1)
  })

  test('a machine of another expect is not counted, and both numbers are said', async () => {
    const stage = await cast({ count: 3, expect: 3, settings: (i) => (i === 2 ? { expect: 4 } : {}) })
    stage.pass(60_000)
    expect(geneses(stage).size).toBe(0)
    const codes = statusIn(stage, stage.actor(0)).problems.filter((p) => p.code === 'founding.expect-differs')
    expect(codes[0]?.message).toBe('this node expects 3 machines, host-2 expects 4')
  })

  test('only listed founders found, where founders are listed', async () => {
    const stage = await cast({ count: 4, expect: 3, off: () => true })
    const founders = stage.actors.slice(0, 3).map(({ id }) => id)
    const listed = await cast({ count: 4, expect: 3, settings: () => ({ founders }) })
    listed.pass(1_000)
    const { genesis } = genesisIn(listed.actor(0))
    expect(genesis.members.map(({ id }) => id).sort()).toEqual([...founders].sort())
  })

  test('a pinned machine never promises', async () => {
    const pin = (await cast({ count: 1 })).actor(0).settings.networkId
    const stage = await cast({ count: 3, settings: (i) => (i === 2 ? { pin } : {}) })
    stage.pass(60_000)
    expect(geneses(stage).size).toBe(0)
    expect(obstacle(stage.actor(2).state, stage.now)).toBe('pinned')
  })

  test('nobody founds beside the data of a datastore', async () => {
    const data = { ...NO_DATASTORE, dataPresent: true, dataEpoch: 1 }
    const stage = await cast({
      count: 4,
      expect: 3,
      distribution: (i) => (i === 3 ? data : NO_DATASTORE),
    })
    stage.pass(120_000)
    expect(geneses(stage).size).toBe(0)
    expect(obstacle(stage.actor(0).state, stage.now)).toBe('datastore')
  })
})

describe('a promise', () => {
  test('of one term goes to one candidate only, also after a restart', async () => {
    const stage = await quiet()
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    stage.hear(a, b.id, prepare(1))
    expect(lastOf(a, 'promise').promise.candidate).toBe(b.id)
    stage.hear(a, c.id, prepare(1))
    expect(sent(a, 'promise')).toHaveLength(1)
    stage.switchOff(a)
    stage.switchOn(a)
    stage.hear(a, c.id, prepare(1))
    expect(sent(a, 'promise')).toHaveLength(1)
    expect(lastOf(a, 'founding.refused')).toMatchObject({ reason: 'term', promised: 1 })
  })

  test('is on disk in the same turn as it is said', async () => {
    const stage = await quiet()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, prepare(1))
    expect(a.disk?.founding).toMatchObject({ term: 1, candidate: b.id })
  })

  test('is given again to the candidate that asks again', async () => {
    const stage = await quiet()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, prepare(1))
    stage.hear(a, b.id, prepare(1))
    expect(sent(a, 'promise')).toHaveLength(2)
  })

  test('is never for a lower term than one given before', async () => {
    const stage = await quiet()
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    stage.hear(a, b.id, prepare(5))
    stage.hear(a, c.id, prepare(4))
    expect(sent(a, 'promise')).toHaveLength(1)
    expect(a.state.durable.founding.term).toBe(5)
  })

  test('of another expect is refused with both numbers', async () => {
    const stage = await quiet()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, { kind: 'prepare', term: term(1), expect: 3 })
    expect(sent(a, 'promise')).toEqual([])
    expect(lastOf(a, 'founding.refused')).toMatchObject({ reason: 'expect', expect: 9 })
  })

  test('of a term further ahead than a thousand is refused', async () => {
    const stage = await quiet()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, prepare(TERM_JUMP_MAX + 1))
    expect(sent(a, 'promise')).toEqual([])
    expect(lastOf(a, 'founding.refused').reason).toBe('term-jump')
    stage.hear(a, b.id, prepare(TERM_JUMP_MAX))
    expect(sent(a, 'promise')).toHaveLength(1)
  })

  test('a candidate that is far ahead raises who is behind in steps', async () => {
    const stage = await cast({ count: 3, off: () => true })
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    for (const ahead of [a, b]) {
      const { durable } = ahead.state
      ahead.disk = { ...durable, founding: { term: term(3_500), candidate: null, accepted: null } }
    }
    for (const actor of [a, b, c]) stage.switchOn(actor)
    stage.pass(60_000)
    expect(geneses(stage).size).toBe(1)
    expect(c.state.durable.founding.term).toBeGreaterThan(3_500)
  })

  test('is not made by who has a genesis: it says so, and the candidate takes the genesis over', async () => {
    const stage = await cast({ count: 4, expect: 3, off: (i) => i === 3 })
    stage.pass(2_000)
    const late = stage.actor(3)
    stage.switchOn(late)
    stage.hear(stage.actor(0), late.id, { kind: 'prepare', term: term(7), expect: 3 })
    expect(lastOf(stage.actor(0), 'founding.refused').reason).toBe('formed')
    expect(geneses(stage).size).toBe(1)
    expect(late.state.genesisId).toBe(stage.actor(0).state.genesisId)
  })
})

describe('a proposal', () => {
  /** Five machines; the first candidate's proposal reaches `reach` others before it dies. */
  async function halfAccepted(reach: number): Promise<{ stage: Cast; candidate: Actor; first: string }> {
    const stage = await cast({ count: 5, off: () => true })
    let reached = 0
    stage.drop = (_from, _to, message) => {
      if (message.kind === 'accepted') return true
      if (message.kind !== 'propose') return false
      reached += 1
      return reached > reach
    }
    for (const actor of stage.actors) stage.switchOn(actor)
    stage.until(() => stage.actors.some((actor) => sent(actor, 'propose').length > 0))
    const candidate = stage.actors.find((actor) => sent(actor, 'propose').length > 0)
    const first = candidate?.disk?.founding.accepted
    if (candidate === undefined || first == null) throw new Error('nobody proposed')
    stage.switchOff(candidate)
    stage.drop = () => false
    return { stage, candidate, first: JSON.stringify(first.genesis.members.map(({ id }) => id)) }
  }

  test('is adopted by the next candidate when one of its promises accepted it', async () => {
    const { stage, candidate, first } = await halfAccepted(1)
    stage.until(() => geneses(stage).size > 0)
    const others = stage.actors.filter((actor) => actor !== candidate)
    expect(others.some((actor) => logged(actor, 'founding.adopt').length > 0)).toBe(true)
    const founder = others.find(({ state }) => state.genesisId !== null) ?? candidate
    expect(JSON.stringify(genesisIn(founder).genesis.members.map(({ id }) => id))).toBe(first)
    expect(genesisIn(founder).certificate.term).toBeGreaterThan(1)
    stage.switchOn(candidate)
    stage.until(() => candidate.state.genesisId !== null)
    expect(geneses(stage).size).toBe(1)
  })

  test('that nobody but its dead candidate accepted is replaced by another', async () => {
    const { stage, candidate } = await halfAccepted(0)
    stage.until(() => geneses(stage).size > 0)
    expect(stage.actors.flatMap((actor) => logged(actor, 'founding.adopt'))).toEqual([])
    stage.switchOn(candidate)
    stage.until(() => candidate.state.genesisId !== null)
    expect(geneses(stage).size).toBe(1)
  })

  test('that is adopted carries the terms in which it was proposed before', async () => {
    const { stage } = await halfAccepted(1)
    stage.until(() => geneses(stage).size > 0)
    const adopter = stage.actors.find((actor) => logged(actor, 'founding.adopt').length > 0)
    if (adopter === undefined) throw new Error('nobody adopted')
    const terms = lastOf(adopter, 'propose').proposal.layers.map((layer) => layer.term)
    expect(terms).toHaveLength(2)
    expect(terms[0]).toBeLessThan(terms[1] ?? 0)
  })

  test('of the highest term wins where promises name several', async () => {
    const stage = await quiet()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, prepare(9))
    const { promise } = lastOf(a, 'promise')
    const named = (inTerm: number) => ({
      ...promise,
      accepted: { term: term(inTerm), genesis: a.keys.crypto.hash(Uint8Array.of(inTerm)) },
    })
    expect(highestAccepted([named(3), promise, named(7), named(5)])?.term).toBe(7)
    expect(highestAccepted([promise])).toBeNull()
  })

  /** A true proposal of three machines, kept from being accepted by anyone but its candidate. */
  async function caught(): Promise<{
    stage: Cast
    candidate: Actor
    acceptor: Actor
    message: MessageOf<'propose'>
  }> {
    const stage = await cast({ count: 3, off: () => true })
    stage.drop = (_from, _to, message) => message.kind === 'propose'
    for (const actor of stage.actors) stage.switchOn(actor)
    stage.until(() => stage.actors.some((actor) => sent(actor, 'propose').length > 0))
    const candidate = stage.actors.find((actor) => sent(actor, 'propose').length > 0)
    const acceptor = stage.actors.find((actor) => actor !== candidate)
    if (candidate === undefined || acceptor === undefined) throw new Error('nobody proposed')
    return { stage, candidate, acceptor, message: lastOf(candidate, 'propose') }
  }

  const refused = (actor: Actor): string[] =>
    logged(actor, 'message.refused').map(({ fields }) => String(fields.why))

  test('that is as it should be is accepted: the following refusals are for their faults', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    stage.hear(acceptor, candidate.id, message)
    expect(sent(acceptor, 'accepted')).toHaveLength(1)
    expect(acceptor.disk?.founding.accepted?.layers.at(-1)?.term).toBe(message.term)
  })

  test('without a quorum of promises is refused', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    const [layer] = message.proposal.layers
    if (layer === undefined) throw new Error('no layer')
    const layers = [{ ...layer, promises: layer.promises.slice(0, 2) }]
    stage.hear(acceptor, candidate.id, { ...message, proposal: { ...message.proposal, layers } })
    expect(sent(acceptor, 'accepted')).toEqual([])
    expect(refused(acceptor)).toContain('it lacks a quorum')
  })

  test('with one promise twice is refused', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    const [layer] = message.proposal.layers
    const one = layer?.promises[0]
    if (layer === undefined || one === undefined) throw new Error('no layer')
    const layers = [{ ...layer, promises: [one, one, one] }]
    stage.hear(acceptor, candidate.id, { ...message, proposal: { ...message.proposal, layers } })
    expect(refused(acceptor)).toContain('it lacks a quorum')
  })

  test('with a promise that its node did not sign is refused', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    const [layer] = message.proposal.layers
    if (layer === undefined) throw new Error('no layer')
    const promises = layer.promises.map((promise) => ({ ...promise, claim: { ...promise.claim, cpus: 64 } }))
    const layers = [{ ...layer, promises }]
    stage.hear(acceptor, candidate.id, { ...message, proposal: { ...message.proposal, layers } })
    expect(refused(acceptor)).toContain('a promise in it is not valid')
  })

  test('whose genesis has another server than the promises make is refused', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    const { genesis, layers } = message.proposal
    const altered = { ...genesis, nextAddress: genesis.nextAddress + 1 }
    stage.hear(acceptor, candidate.id, { ...message, proposal: { genesis: altered, layers } })
    expect(sent(acceptor, 'accepted')).toEqual([])
    // Its candidate signed another genesis.
    expect(refused(acceptor)).toContain('its candidate did not sign it')
  })

  test('of somebody else’s candidacy is refused', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    const third = stage.actors.find((actor) => actor !== candidate && actor !== acceptor)
    if (third === undefined) throw new Error('no third')
    stage.hear(acceptor, third.id, message)
    expect(sent(acceptor, 'accepted')).toEqual([])
  })

  test('is not accepted after a promise of a higher term', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    stage.hear(acceptor, 'nobody' as Actor['id'], {
      kind: 'prepare',
      term: term(message.term + 1),
      expect: 3,
    })
    stage.hear(acceptor, candidate.id, message)
    expect(sent(acceptor, 'accepted')).toEqual([])
    expect(lastOf(acceptor, 'founding.refused')).toMatchObject({ reason: 'term', promised: message.term + 1 })
  })

  test('accepted once is accepted again after a restart, and no other in its term', async () => {
    const { stage, candidate, acceptor, message } = await caught()
    stage.hear(acceptor, candidate.id, message)
    stage.switchOff(acceptor)
    stage.switchOn(acceptor)
    stage.hear(acceptor, candidate.id, message)
    expect(sent(acceptor, 'accepted')).toHaveLength(2)
    const { genesis, layers } = message.proposal
    stage.hear(acceptor, candidate.id, {
      ...message,
      proposal: { genesis: { ...genesis, nextAddress: 99 }, layers },
    })
    expect(sent(acceptor, 'accepted')).toHaveLength(2)
    expect(refused(acceptor)).toContain('a second genesis in one term')
  })
})

describe('an acceptance', () => {
  test('of a stranger, or over something else, does not count', async () => {
    const stage = await cast({ count: 3, off: () => true })
    stage.drop = (_from, _to, message) => message.kind === 'accepted'
    for (const actor of stage.actors) stage.switchOn(actor)
    stage.until(() => stage.actors.some((actor) => sent(actor, 'propose').length > 0))
    const candidate = stage.actors.find((actor) => sent(actor, 'propose').length > 0)
    const others = stage.actors.filter((actor) => actor !== candidate)
    if (candidate === undefined) throw new Error('nobody proposed')
    stage.until(() => others.every((actor) => sent(actor, 'accepted').length > 0))
    const [one, two] = others.map((actor) => lastOf(actor, 'accepted'))
    const [first, second] = others
    if (one === undefined || two === undefined || first === undefined || second === undefined)
      throw new Error()
    stage.hear(candidate, first.id, one)
    stage.hear(candidate, second.id, {
      ...two,
      acceptance: { node: second.id, signature: one.acceptance.signature },
    })
    stage.hear(candidate, first.id, {
      ...two,
      acceptance: { node: second.id, signature: two.acceptance.signature },
    })
    expect(candidate.state.genesisId).toBeNull()
    stage.hear(candidate, second.id, two)
    expect(candidate.state.genesisId).not.toBeNull()
  })
})
