import { describe, expect, test } from 'vitest'
import { signRecord } from '../../src/core/record.ts'
import {
  type Actor,
  type Cast,
  followersOf,
  formed,
  leaderOf,
  logged,
  planIn,
  sent,
  statusIn,
} from './cast.ts'

/** A cluster of three and a machine of day two that is not switched on yet. */
const dayTwo = (cluster = {}, extra = 1): Promise<Cast> =>
  formed({ count: 3 + extra, expect: 3, off: (i) => i >= 3, cluster })

const memberOf = (of: Actor, actor: Actor) => planIn(of).plan.members.find(({ id }) => id === actor.id)

describe('a newcomer', () => {
  test('becomes an agent, whatever it claims to be', async () => {
    const stage = await formed({
      count: 4,
      expect: 3,
      off: (i) => i === 3,
      claim: (i) => (i === 3 ? { serverPreference: 'prefer', cpus: 64, memoryMiB: 1_048_576 } : {}),
    })
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.pass(5_000)
    expect(memberOf(stage.actor(0), newcomer)).toMatchObject({ role: 'agent', address: '10.86.0.4' })
    expect(planIn(newcomer).plan.voters).not.toContain(newcomer.id)
    expect(statusIn(stage, newcomer).self).toMatchObject({ role: 'agent', stage: 'ready' })
  })

  test('is admitted though it asks a server that does not lead', async () => {
    const stage = await dayTwo()
    const newcomer = stage.actor(3)
    const leader = leaderOf(stage)
    // It meets only those who do not lead, until one of them names the leader.
    stage.drop = (from, to, message) =>
      (from === leader && to === newcomer && message.kind === 'records') ||
      (message.kind === 'join' && to === leader && sent(newcomer, 'join').length < 2)
    stage.switchOn(newcomer)
    stage.pass(8_000)
    expect(memberOf(leader, newcomer)?.role).toBe('agent')
    const answers = followersOf(stage).flatMap((actor) => sent(actor, 'join.answer'))
    expect(answers.map(({ state, leader: named }) => [state, named])).toContainEqual(['elsewhere', leader.id])
  })

  test('that comes five times over comes in one by one, each with an address of its own', async () => {
    const stage = await dayTwo({}, 5)
    for (const newcomer of stage.actors.slice(3)) stage.switchOn(newcomer)
    stage.pass(8_000)
    const addresses = planIn(stage.actor(0)).plan.members.map(({ address }) => address)
    expect(addresses).toHaveLength(8)
    expect(new Set(addresses).size).toBe(8)
  })

  test('comes back as itself, with its address', async () => {
    const stage = await dayTwo()
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.pass(5_000)
    const before = memberOf(stage.actor(0), newcomer)
    stage.switchOff(newcomer)
    stage.pass(60_000)
    stage.switchOn(newcomer)
    stage.pass(5_000)
    expect(memberOf(stage.actor(0), newcomer)).toEqual(before)
    expect(planIn(stage.actor(0)).plan.members).toHaveLength(4)
  })

  test('waits for a person where a person decides, and says so', async () => {
    const stage = await dayTwo({ admission: 'approve' })
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.pass(10_000)
    expect(memberOf(stage.actor(0), newcomer)).toBeUndefined()
    expect(statusIn(stage, newcomer).waitingFor[0]).toContain('a person to approve this node')
  })

  test('is not admitted where the plan is full', async () => {
    const stage = await dayTwo({ maxNodes: 3 })
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.pass(10_000)
    expect(planIn(stage.actor(0)).plan.members).toHaveLength(3)
    expect(sent(leaderOf(stage), 'join.answer').at(-1)?.state).toBe('full')
  })

  test('cannot join in another’s name, nor with a record that it did not sign', async () => {
    const stage = await dayTwo({}, 2)
    const [newcomer, other] = [stage.actor(3), stage.actor(4)]
    const leader = leaderOf(stage)
    const own = newcomer.state.gossip.records.get(newcomer.id)?.signed
    if (own === undefined) throw new Error('no record')
    const { era } = planIn(leader).plan
    stage.hear(leader, other.id, { kind: 'join', era, record: own })
    const forged = signRecord(other.keys.crypto, own.record)
    stage.hear(leader, newcomer.id, { kind: 'join', era, record: forged })
    stage.pass(2_000)
    expect(planIn(leader).plan.members).toHaveLength(3)
    expect(logged(leader, 'message.refused').map(({ fields }) => fields.what)).toEqual(['join', 'join'])
    stage.hear(leader, newcomer.id, { kind: 'join', era, record: own })
    stage.pass(2_000)
    expect(planIn(leader).plan.members).toHaveLength(4)
  })

  test('whose cluster cannot be reached looks for a server at what records say and in the DHT', async () => {
    const stage = await dayTwo()
    const newcomer = stage.actor(3)
    stage.tell(stage.actor(0), {
      kind: 'addresses',
      addresses: ['/ip4/192.168.0.1/tcp/1'],
      endpoints: [],
      lanAddress: null,
    })
    stage.switchOn(newcomer)
    stage.pass(5_000)
    stage.isolate(newcomer)
    stage.pass(10_000)
    const kinds = newcomer.effects.map(({ kind }) => kind)
    expect(kinds).toContain('dial')
    expect(kinds).toContain('lookup')
  })
})

describe('an address', () => {
  test('of a machine that was reinstalled is not given again', async () => {
    const stage = await dayTwo({}, 2)
    stage.switchOn(stage.actor(3))
    stage.pass(5_000)
    stage.switchOff(stage.actor(3))
    stage.switchOn(stage.actor(4))
    stage.pass(5_000)
    expect(memberOf(stage.actor(0), stage.actor(3))?.address).toBe('10.86.0.4')
    expect(memberOf(stage.actor(0), stage.actor(4))?.address).toBe('10.86.0.5')
  })

  test('is the machine’s own on the local network where there is no mesh', async () => {
    const stage = await dayTwo({ vpnMode: 'none' })
    stage.switchOn(stage.actor(3))
    stage.pass(5_000)
    expect(memberOf(stage.actor(0), stage.actor(3))?.address).toBe('192.168.0.4')
  })
})
