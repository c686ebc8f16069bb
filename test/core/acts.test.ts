import { describe, expect, test } from 'vitest'
import { millis } from '../../src/core/ids.ts'
import type { MessageOf } from '../../src/core/protocol.ts'
import { PERMIT_ROUND_MS } from '../../src/core/timing.ts'
import { type Actor, type Cast, cast, logged, planIn, sent } from './cast.ts'

/** Servers, one of which is to initialise; permits get lost unless the test hands them over. */
async function asking(count = 3): Promise<{ stage: Cast; holder: Actor; voters: readonly [Actor, Actor] }> {
  const stage = await cast({
    count,
    cluster: { distribution: 'etcd', servers: count === 5 ? 5 : 3 },
    off: () => true,
  })
  stage.drop = (_from, _to, message) => message.kind === 'permit' || message.kind === 'permit.ask'
  for (const actor of stage.actors) stage.switchOn(actor)
  stage.until(() => stage.actors.every((actor) => (actor.state.durable.certified?.plan.act ?? null) !== null))
  const holder = stage.actors.find(({ id, state }) => state.durable.certified?.plan.act?.node === id)
  const [first, second] = stage.actors.filter((actor) => actor !== holder)
  if (holder === undefined || first === undefined || second === undefined)
    throw new Error('nobody holds the act')
  stage.until(() => sent(holder, 'permit.ask').length > 0)
  return { stage, holder, voters: [first, second] }
}

const askOf = (holder: Actor): MessageOf<'permit.ask'> => {
  const ask = sent(holder, 'permit.ask').at(-1)
  if (ask === undefined) throw new Error('nothing was asked')
  return ask
}
const permitBy = (
  stage: Cast,
  voter: Actor,
  holder: Actor,
  ask = askOf(holder),
): MessageOf<'permit'> | undefined => {
  const count = sent(voter, 'permit').length
  stage.hear(voter, holder.id, ask)
  return sent(voter, 'permit')[count]
}
const orders = (holder: Actor): string => (holder.order?.kind === 'etcd' ? holder.order.action : 'none')

describe('the holder of an act', () => {
  test('does nothing before a majority permitted it', async () => {
    const { stage, holder, voters } = await asking()
    expect(orders(holder)).toBe('stop')
    const permit = permitBy(stage, voters[0], holder)
    if (permit === undefined) throw new Error('not permitted')
    stage.hear(holder, voters[0].id, permit)
    expect(orders(holder)).toBe('initialise')
  })

  test('believes no permit of another attempt, run, voter or act', async () => {
    const { stage, holder, voters } = await asking()
    const [voter, other] = voters
    const permit = permitBy(stage, voter, holder)
    if (permit === undefined) throw new Error('not permitted')
    stage.hear(holder, other.id, permit)
    stage.hear(holder, voter.id, { ...permit, attempt: permit.attempt + 1 })
    stage.hear(holder, voter.id, { ...permit, nonce: 'another.1' })
    stage.hear(holder, voter.id, { ...permit, signature: holder.keys.crypto.sign(new Uint8Array(1)) })
    stage.hear(holder, 'stranger' as Actor['id'], permit)
    expect(orders(holder)).toBe('stop')
    expect(logged(holder, 'act.permitted')).toEqual([])
    stage.hear(holder, voter.id, permit)
    expect(orders(holder)).toBe('initialise')
  })

  test('counts no permit of an earlier round: words of different times are no majority', async () => {
    const { stage, holder, voters } = await asking(5)
    const [first, second] = voters
    const early = permitBy(stage, first, holder)
    if (early === undefined) throw new Error('not permitted')
    stage.hear(holder, first.id, early)
    stage.pass(PERMIT_ROUND_MS + 1_000)
    const late = permitBy(stage, second, holder)
    if (late === undefined) throw new Error('not permitted')
    expect(late.nonce).not.toBe(early.nonce)
    stage.hear(holder, second.id, late)
    stage.hear(holder, first.id, early)
    expect(orders(holder)).toBe('stop')
    const again = permitBy(stage, first, holder)
    if (again === undefined) throw new Error('not permitted')
    stage.hear(holder, first.id, again)
    expect(orders(holder)).toBe('initialise')
  })

  test('that was frozen counts no permit that waited for it meanwhile', async () => {
    const { stage, holder, voters } = await asking()
    const permit = permitBy(stage, voters[0], holder)
    if (permit === undefined) throw new Error('not permitted')
    stage.now = millis(stage.now + 60_000)
    stage.hear(holder, voters[0].id, permit)
    expect(orders(holder)).toBe('stop')
  })

  test('asks anew after a restart: a permit of an earlier run moves nothing', async () => {
    const { stage, holder, voters } = await asking()
    const permit = permitBy(stage, voters[0], holder)
    if (permit === undefined) throw new Error('not permitted')
    stage.switchOff(holder)
    stage.pass(100)
    stage.switchOn(holder)
    holder.order = null
    stage.hear(holder, voters[0].id, permit)
    expect(orders(holder)).not.toBe('initialise')
    expect(logged(holder, 'act.permitted')).toEqual([])
  })

  test('reports its end only when its datastore is healthy, of this epoch and genesis', async () => {
    const { stage, holder, voters } = await asking()
    const permit = permitBy(stage, voters[0], holder)
    if (permit === undefined) throw new Error('not permitted')
    stage.hear(holder, voters[0].id, permit)
    const { plan } = planIn(holder)
    const facts = {
      version: '3.5',
      dataPresent: true,
      dataEpoch: plan.datastore.epoch,
      dataGenesis: plan.era,
      running: true,
      healthy: true,
      voter: true,
      ready: true,
      clusterId: 'ds-1',
      members: [],
      nodes: [],
      revision: null,
      prepared: null,
      snapshot: null,
      problems: [],
    }
    const tell = (changes: Partial<typeof facts>): void =>
      stage.tell(holder, { kind: 'distribution', facts: { ...facts, ...changes } })
    for (const changes of [
      { healthy: false },
      { voter: false },
      { dataEpoch: plan.datastore.epoch + 1 },
      { dataGenesis: planIn(holder).base },
    ]) {
      tell(changes)
      stage.pass(2_000)
      expect(logged(holder, 'act.done')).toEqual([])
    }
    tell({})
    stage.drop = () => false
    stage.until(() => planIn(holder).plan.datastore.clusterId === 'ds-1')
    expect(planIn(holder).plan.act?.node).not.toBe(holder.id)
    expect(orders(holder)).toBe('run')
  })
})

describe('a voter', () => {
  test('permits what its newest plan says and nothing else', async () => {
    const { stage, holder, voters } = await asking()
    const [voter, other] = voters
    const ask = askOf(holder)
    expect(permitBy(stage, voter, holder, { ...ask, attempt: ask.attempt + 1 })).toBeUndefined()
    expect(permitBy(stage, voter, holder, { ...ask, act: 'join' })).toBeUndefined()
    expect(permitBy(stage, voter, holder, { ...ask, era: planIn(holder).base })).toBeUndefined()
    expect(permitBy(stage, voter, other, ask)).toBeUndefined()
    expect(permitBy(stage, voter, holder, ask)).toBeDefined()
  })

  test('permits nothing that a plan which it signed takes away', async () => {
    const { stage, holder, voters } = await asking()
    const [voter] = voters
    const { certified } = voter.state.durable
    if (certified === null) throw new Error('no plan')
    voter.state.durable = {
      ...voter.state.durable,
      voting: {
        ...voter.state.durable.voting,
        accepted: {
          term: certified.term,
          index: certified.index + 1,
          base: certified.base,
          plan: { ...certified.plan, act: null },
          causes: [],
        },
      },
    }
    expect(permitBy(stage, voter, holder)).toBeUndefined()
  })

  test('that is blocked permits nothing', async () => {
    const { stage, holder, voters } = await asking()
    voters[0].state.blocked = { code: 'node.cloned', message: '', hint: '' }
    expect(permitBy(stage, voters[0], holder)).toBeUndefined()
  })
})
