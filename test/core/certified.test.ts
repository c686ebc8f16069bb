import { describe, expect, test } from 'vitest'
import type { Cause } from '../../src/core/causes.ts'
import { type CertifiedPlan, planHashOf, planStatement } from '../../src/core/plan.ts'
import { type Actor, type Cast, formed, logged, planIn, sent, statusIn } from './cast.ts'

/** A plan that really is certified: signed by those servers whose keys the test lends it. */
function certify(stage: Cast, base: CertifiedPlan, changes: Partial<CertifiedPlan>): CertifiedPlan {
  const next = { ...base, ...changes }
  const { voters } = base.plan
  const signatures = stage.actors
    .filter(({ id }) => voters.includes(id))
    .map(({ id, keys }) => ({
      node: id,
      signature: keys.crypto.sign(
        planStatement(
          keys.crypto,
          next.plan.era,
          voters,
          next.plan.voters,
          next,
          planHashOf(keys.crypto, next.plan),
          next.base,
        ),
      ),
    }))
  return { ...next, signatures }
}

async function agentBeside(): Promise<{ stage: Cast; agent: Actor; server: Actor }> {
  const stage = await formed({ count: 4 })
  stage.pass(3_000)
  const { voters } = planIn(stage.actor(0)).plan
  const agent = stage.actors.find(({ id }) => !voters.includes(id))
  const server = stage.actors.find(({ id }) => voters.includes(id))
  if (agent === undefined || server === undefined) throw new Error('no agent')
  return { stage, agent, server }
}

describe('a certified plan', () => {
  test('that is newer is acted on, from whomever it comes', async () => {
    const { stage, agent } = await agentBeside()
    const base = planIn(agent)
    const next = certify(stage, base, { index: base.index + 5, plan: { ...base.plan, acts: 1 } })
    stage.hear(agent, 'stranger' as Actor['id'], { kind: 'plan.share', certified: next })
    expect(planIn(agent).index).toBe(base.index + 5)
    expect(agent.disk?.certified?.index).toBe(base.index + 5)
  })

  test('that is older is never gone back to, also after a restart', async () => {
    const { stage, agent, server } = await agentBeside()
    const base = planIn(agent)
    const older = certify(stage, base, { index: base.index, plan: { ...base.plan, acts: 1 } })
    const next = certify(stage, base, { index: base.index + 5, plan: { ...base.plan, acts: 2 } })
    stage.hear(agent, server.id, { kind: 'plan.share', certified: next })
    stage.hear(agent, server.id, { kind: 'plan.share', certified: older })
    expect(planIn(agent).plan.acts).toBe(2)
    stage.isolate(agent)
    stage.switchOff(agent)
    stage.switchOn(agent)
    stage.hear(agent, server.id, { kind: 'plan.share', certified: older })
    expect(planIn(agent).plan.acts).toBe(2)
    expect(agent.state.blocked).toBeNull()
  })

  test('that is forged changes nothing and is refused', async () => {
    const { stage, agent, server } = await agentBeside()
    const base = planIn(agent)
    const forged = { ...base, index: base.index + 5, plan: { ...base.plan, acts: 9 } }
    stage.hear(agent, server.id, { kind: 'plan.share', certified: forged })
    expect(planIn(agent)).toBe(base)
    expect(logged(agent, 'message.refused').at(-1)?.fields.what).toBe('plan')
  })

  test('beside another one at its index is a conflict that only a person ends', async () => {
    const { stage, agent, server } = await agentBeside()
    const base = planIn(agent)
    const twin = certify(stage, base, { plan: { ...base.plan, acts: 7 } })
    stage.hear(agent, server.id, { kind: 'plan.share', certified: twin })
    expect(planIn(agent)).toBe(base)
    expect(agent.state.blocked?.code).toBe('plan.conflict')
    expect(statusIn(stage, agent).cluster.state).toBe('conflict')
  })

  test('shows its term to a voter: nobody acts in an older one any more', async () => {
    const { stage, agent, server } = await agentBeside()
    const base = planIn(server)
    const next = certify(stage, base, {
      index: base.index + 1,
      term: (base.term + 3) as CertifiedPlan['term'],
      plan: { ...base.plan, acts: 1 },
    })
    // By others' signatures alone: its own would show a restored disk.
    const others = { ...next, signatures: next.signatures.filter(({ node }) => node !== server.id) }
    stage.hear(server, agent.id, { kind: 'plan.share', certified: others })
    expect(server.state.blocked).toBeNull()
    expect(server.state.durable.voting).toMatchObject({ term: base.term + 3, vote: null })
    expect(server.state.replication.leadership).toBeNull()
  })

  test('is sent to who asks and has less, and to nobody else', async () => {
    const { stage, agent, server } = await agentBeside()
    const { index, plan } = planIn(server)
    const before = sent(server, 'plan.share').length
    stage.hear(server, agent.id, { kind: 'plan.pull', era: plan.era, index })
    stage.hear(server, agent.id, { kind: 'plan.pull', era: planIn(server).base, index: 0 })
    expect(sent(server, 'plan.share')).toHaveLength(before)
    stage.hear(server, agent.id, { kind: 'plan.pull', era: plan.era, index: index - 1 })
    expect(sent(server, 'plan.share')).toHaveLength(before + 1)
  })

  test('comes to a node that slept through it, by gossip', async () => {
    const stage = await formed({ count: 5, expect: 4, off: (i) => i === 4 })
    const sleeper = stage.actor(0)
    stage.isolate(sleeper)
    stage.switchOn(stage.actor(4))
    stage.pass(10_000)
    const newest = Math.max(...stage.actors.map((actor) => actor.state.durable.certified?.index ?? 0))
    expect(planIn(sleeper).index).toBeLessThan(newest)
    stage.rejoin(sleeper)
    stage.pass(3_000)
    expect(planIn(sleeper).index).toBeGreaterThanOrEqual(newest)
  })
})

describe('an entry that was signed', () => {
  test('and does not continue a newer certified plan is a conflict', async () => {
    const { stage, agent, server } = await agentBeside()
    const base = planIn(server)
    const cause: Cause = { what: { kind: 'lead' }, by: server.id, term: base.term, index: 1, at: 0 }
    server.state.durable = {
      ...server.state.durable,
      voting: {
        ...server.state.durable.voting,
        accepted: {
          term: (base.term + 9) as CertifiedPlan['term'],
          index: base.index + 9,
          base: planHashOf(server.keys.crypto, base.plan),
          plan: base.plan,
          causes: [cause],
        },
      },
    }
    const next = certify(stage, base, { index: base.index + 1, plan: { ...base.plan, acts: 1 } })
    stage.hear(server, agent.id, { kind: 'plan.share', certified: next })
    expect(server.state.blocked?.code).toBe('plan.conflict')
  })
})
