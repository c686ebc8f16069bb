/** Commands: where they are taken, that each is carried out once, and what each does. */
import { describe, expect, test } from 'vitest'
import { type Command, commandStatement, type SignedCommand } from '../../src/core/commands.ts'
import type { Effect } from '../../src/core/events.ts'
import { historyOf, statusOf } from '../../src/core/report.ts'
import { type Actor, type Cast, cast, followersOf, formed, leaderOf, planIn, sent } from './cast.ts'

type Answer = Extract<Effect, { kind: 'answer' }>

function give(stage: Cast, at: Actor, command: Command, operator: SignedCommand | null = null): Answer {
  const request = `${stage.now} ${at.effects.length}`
  const find = (): Answer | undefined =>
    at.effects.find((effect): effect is Answer => effect.kind === 'answer' && effect.request === request)
  stage.tell(at, { kind: 'command', request, command, who: 'root', why: 'moving house', operator })
  stage.until(() => find() !== undefined)
  const answer = find()
  if (answer === undefined) throw new Error('no answer')
  return answer
}

const agentOf = (stage: Cast): Actor => {
  const { voters } = planIn(leaderOf(stage)).plan
  const agent = stage.actors.find(({ id, isOn }) => isOn && !voters.includes(id))
  if (agent === undefined) throw new Error('no agent')
  return agent
}

async function four(cluster: object = {}, off: (index: number) => boolean = () => false): Promise<Cast> {
  const stage = await formed({ count: 4, expect: 4, cluster: { servers: 3, ...cluster }, off })
  stage.pass(5_000)
  return stage
}

describe('a command', () => {
  test('given to any server reaches the leader, and history says who, where and why', async () => {
    const stage = await four()
    const [follower] = followersOf(stage)
    const agent = agentOf(stage)
    if (follower === undefined) throw new Error('no follower')
    expect(give(stage, follower, { verb: 'remove', node: agent.id })).toMatchObject({ ok: true })
    stage.pass(1_000)
    const line = historyOf(follower.state).at(-1)
    const where = planIn(follower).plan.members.find(({ id }) => id === follower.id)?.name
    expect(line).toMatchObject({
      cause: 'removed',
      node: agent.id,
      by: { who: 'root', where, why: 'moving house' },
    })
    expect(agent.state.blocked?.code).toBe('node.removed')
  })

  test('on an agent is refused, and over the wire not believed', async () => {
    const stage = await four()
    const agent = agentOf(stage)
    const leader = leaderOf(stage)
    const command: Command = { verb: 'remove', node: agent.id }
    const answer = give(stage, agent, command)
    expect(answer).toMatchObject({ ok: false, message: 'this node is no server' })
    const { plan, index } = planIn(leader)
    for (const origin of [agent.id, leader.id]) {
      const ordered = { id: plan.era, command, origin, index, who: 'thief', why: null, operator: null }
      stage.hear(leader, agent.id, { kind: 'command', era: plan.era, ordered })
    }
    expect(planIn(leader).index).toBe(index)
  })

  test('without a leader is answered in bounded time: nothing was done', async () => {
    const stage = await four()
    const [one, two] = followersOf(stage)
    if (one === undefined || two === undefined) throw new Error('no followers')
    const leader = leaderOf(stage)
    for (const actor of [leader, two]) stage.switchOff(actor)
    stage.pass(10_000)
    const answer = give(stage, one, {
      verb: 'config',
      settings: { admission: 'approve' },
      acceptDowntime: false,
    })
    expect(answer).toMatchObject({ ok: false })
    expect(answer.message).toContain('nothing was done')
  })

  test('signed by an operator is taken anywhere, once, for a while, and for this very command', async () => {
    // Keys of the stage are the same every time: one of them is the operator's, too.
    const { id } = (await cast({ count: 4, off: () => true })).actor(0)
    const stage = await four({ operators: [id] })
    const { keys } = stage.actor(0)
    const agent = agentOf(stage)
    const { plan, index } = planIn(leaderOf(stage))
    const command: Command = { verb: 'config', settings: { admission: 'approve' }, acceptDowntime: false }
    const sign = (at: number): SignedCommand => ({
      operator: keys.id,
      index: at,
      signature: keys.crypto.sign(commandStatement(plan.era, command, at)),
    })
    const other: Command = { ...command, settings: { admission: 'open' } }
    expect(give(stage, agent, other, sign(index))).toMatchObject({ ok: false })
    expect(give(stage, agent, command, sign(index + 50))).toMatchObject({ ok: false })
    expect(give(stage, agent, command, sign(index))).toMatchObject({ ok: true })
    const after = planIn(leaderOf(stage)).index
    expect(give(stage, agent, command, sign(index))).toMatchObject({ message: 'it was carried out already' })
    expect(planIn(leaderOf(stage)).index).toBe(after)
  })

  test('for an unknown or ambiguous node says so', async () => {
    const stage = await four()
    expect(give(stage, leaderOf(stage), { verb: 'remove', node: 'nobody' }).message).toContain(
      'no node is called',
    )
  })
})

describe('approval', () => {
  test('lets a waiting newcomer in, and lets it serve where a person says so', async () => {
    const stage = await formed({
      count: 4,
      expect: 3,
      cluster: { admission: 'approve' },
      off: (index) => index === 3,
    })
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.pass(10_000)
    const leader = leaderOf(stage)
    const shown = statusOf(leader.state, stage.now).nodes.find(({ id }) => id === newcomer.id)
    expect(shown?.role).toBe('pending')
    expect(give(stage, leader, { verb: 'approve', node: 'host-3', as: 'server' })).toMatchObject({ ok: true })
    const member = planIn(leader).plan.members.find(({ id }) => id === newcomer.id)
    expect(member).toMatchObject({ role: 'agent', mayServe: true })
  })
})

describe('revoking', () => {
  test('puts a node out at once and for ever, and makes newcomers wait', async () => {
    const stage = await formed({ count: 5, expect: 4, cluster: { servers: 3 }, off: (index) => index === 4 })
    stage.pass(5_000)
    const agent = agentOf(stage)
    const leader = leaderOf(stage)
    expect(give(stage, leader, { verb: 'revoke', node: agent.id })).toMatchObject({ ok: true })
    const { plan } = planIn(leader)
    expect(plan.settings.admission).toBe('approve')
    expect(plan.departed).toMatchObject([{ id: agent.id, why: 'revoked' }])
    expect(leader.effects).toContainEqual({ kind: 'shun', peers: [agent.id] })
    const open: Command = { verb: 'config', settings: { admission: 'open' }, acceptDowntime: false }
    expect(give(stage, leader, open)).toMatchObject({ ok: false })
    expect(give(stage, leader, { verb: 'approve', node: agent.id, as: 'agent' })).toMatchObject({ ok: false })
    stage.switchOn(stage.actor(4))
    stage.pass(15_000)
    expect(planIn(leader).plan.members.map(({ id }) => id)).not.toContain(stage.actor(4).id)
  })

  test('is refused where no quorum would be left', async () => {
    const stage = await four()
    const [silent, target] = followersOf(stage)
    if (silent === undefined || target === undefined) throw new Error('no followers')
    stage.switchOff(silent)
    stage.pass(6_000)
    const answer = give(stage, leaderOf(stage), { verb: 'revoke', node: target.id })
    expect(answer).toMatchObject({ ok: false })
    expect(answer.message).toContain('cannot go now')
    expect(sent(leaderOf(stage), 'resign')).toEqual([])
  })
})

describe('replacing', () => {
  test('gives the reinstalled machine the old name, and never the old address', async () => {
    const stage = await formed({
      count: 5,
      expect: 4,
      cluster: { servers: 3 },
      claim: (index) => (index === 4 ? { name: 'host-again' } : {}),
      off: (index) => index === 4,
    })
    stage.pass(5_000)
    const old = agentOf(stage)
    const leader = leaderOf(stage)
    const before = planIn(leader).plan.members.find(({ id }) => id === old.id)
    stage.switchOff(old)
    stage.switchOn(stage.actor(4))
    stage.until(() => planIn(leader).plan.members.some(({ id }) => id === stage.actor(4).id))
    expect(give(stage, leader, { verb: 'replace', old: old.id, new: 'host-again' })).toMatchObject({
      ok: true,
    })
    stage.until(() => planIn(leader).plan.members.some(({ name }) => name === before?.name))
    const after = planIn(leader).plan.members.find(({ name }) => name === before?.name)
    expect(after?.id).toBe(stage.actor(4).id)
    expect(after?.address).not.toBe(before?.address)
  })
})

describe('settings', () => {
  test('that cannot change are refused by name', async () => {
    const stage = await four()
    const command: Command = { verb: 'config', settings: { vpnCidr: '10.99.0.0/16' }, acceptDowntime: false }
    expect(give(stage, leaderOf(stage), command).message).toBe('vpnCidr cannot change after founding')
  })
})
