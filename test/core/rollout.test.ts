import { describe, expect, test } from 'vitest'
import { type Cause, type Outcome, outcomeStatement } from '../../src/core/causes.ts'
import { changeK3s } from '../../src/core/changes/rollout.ts'
import { applyCause } from '../../src/core/changes.ts'
import { type K3sSettings, plainK3s } from '../../src/core/k3s.ts'
import type { Plan } from '../../src/core/plan.ts'
import { k3sChangeFault, revisionFor } from '../../src/core/revisions.ts'
import { UPGRADE_DEADLINE_MS, UPGRADE_FAULT_MS } from '../../src/core/timing.ts'
import { type Actor, type Cast, leaderOf, planIn, sent, statusIn } from './cast.ts'
import { agentsOf, CLUSTER_ID, configure, orderOf, running, serversOf, work, workUntil } from './k3s-stage.ts'

const OLD = 'v1.30.0+k3s1'
const NEW = 'v1.31.2+k3s1'
const rolloutIn = (stage: Cast) => planIn(stage.actor(0)).plan.rollout
const changing = (stage: Cast): Actor | undefined =>
  stage.actors.find(({ id }) => planIn(stage.actor(0)).plan.act?.node === id)

/** A formed cluster's plan, and changes of it as voters compute them. */
async function scene(count = 5) {
  const stage = await running({ count })
  const { plan } = planIn(stage.actor(0))
  const { crypto } = stage.actor(0).keys
  const apply = (to: Plan, what: Cause['what'], by = leaderOf(stage).id): Plan | null =>
    applyCause(crypto, to, { what, by, term: 1, index: 90, at: 3 })
  const must = (to: Plan, what: Cause['what'], by = leaderOf(stage).id): Plan => {
    const next = apply(to, what, by)
    if (next === null) throw new Error(`${what.kind} does not follow`)
    return next
  }
  const change = (to: Plan, k3s: Partial<K3sSettings>, acceptDowntime = false): Plan | string => {
    const settings = { ...(to.settings.k3s ?? plainK3s()), ...k3s }
    const fault = k3sChangeFault(to, { settings, acceptDowntime })
    return fault ?? { ...to, ...changeK3s(to, { settings, acceptDowntime }) }
  }
  const changed = (to: Plan, k3s: Partial<K3sSettings>): Plan => {
    const next = change(to, k3s)
    if (typeof next === 'string') throw new Error(next)
    return next
  }
  const done = (to: Plan, actor: Actor, changes: Partial<Outcome> = {}): Cause['what'] => {
    const content = {
      act: 'upgrade' as const,
      node: actor.id,
      attempt: to.act?.attempt ?? 0,
      epoch: to.datastore.epoch,
      clusterId: CLUSTER_ID,
      revision: to.rollout?.number ?? 0,
      ...changes,
    }
    const signature = actor.keys.crypto.sign(outcomeStatement(to.era, content))
    return { kind: 'outcome', outcome: { ...content, signature, ...changes } }
  }
  const servers = serversOf(stage)
  const followers = servers.filter(({ id }) => id !== leaderOf(stage).id)
  const [first, second] = followers
  const [agent, other] = agentsOf(stage)
  if (first === undefined || second === undefined || agent === undefined || other === undefined)
    throw new Error('too few machines')
  return {
    stage,
    plan,
    apply,
    must,
    change,
    changed,
    done,
    first,
    second,
    leader: leaderOf(stage),
    agent,
    other,
  }
}

describe('settings of k3s that change', () => {
  test('are a rollout: nobody has them before its turn', async () => {
    const { plan, changed, first, agent } = await scene()
    const next = changed(plan, { version: NEW })
    expect(next.rollout).toMatchObject({ number: 1, state: 'running', moved: [], under: [] })
    expect(next.rollout?.snapshot).toMatchObject({ taken: false })
    expect(revisionFor(next, first.id)).toMatchObject({ revision: 0, settings: { version: OLD } })
    expect(revisionFor(next, agent.id)).toMatchObject({ revision: 0 })
  })

  test.each([
    ['that skip a minor', { version: 'v1.32.0+k3s1' }, 'skips a minor'],
    ['that go back a minor', { version: 'v1.29.9+k3s1' }, 'goes back a minor'],
    ['of another major', { version: 'v2.0.0+k3s1' }, 'skips a minor'],
    ['that move the datastore', { external: true }, 'cannot be moved'],
  ])('%s are refused', async (_what, k3s, why) => {
    const { plan, change } = await scene()
    expect(change(plan, k3s)).toContain(why)
  })

  test('may go back within a minor, and forward by one', async () => {
    const { plan, change } = await scene()
    for (const version of ['v1.30.9+k3s2', 'v1.31.0+k3s1', null]) {
      expect(typeof change(plan, { version })).toBe('object')
    }
  })

  test('of fewer than three servers ask for the downtime', async () => {
    const { plan, change } = await scene()
    const two = { ...plan, datastore: { ...plan.datastore, members: plan.datastore.members.slice(0, 2) } }
    expect(change(two, { registry: true })).toContain('with 2 servers')
    expect(typeof change(two, { registry: true }, true)).toBe('object')
  })

  test('before there is a datastore are everybody’s at once', async () => {
    const { plan, changed, first } = await scene()
    const unformed: Plan = { ...plan, datastore: { ...plan.datastore, clusterId: null, members: [] } }
    const next = changed(unformed, { version: 'v1.35.0+k3s1' })
    expect(next.rollout).toMatchObject({ number: 1, state: 'done' })
    expect(revisionFor(next, first.id)).toMatchObject({ revision: 1 })
  })

  test('in the middle of a rollout begin another: the act goes on for the new ones, and nobody goes back', async () => {
    const { plan, changed, must, done, first, second, leader, agent } = await scene()
    const one = must(changed(plan, { version: NEW }), { kind: 'upgrade', node: first.id })
    const two = must(must(one, done(one, first)), { kind: 'upgrade', node: second.id })
    const next = changed(two, { registry: true })
    expect(next.act).toEqual({ kind: 'upgrade', node: second.id, attempt: (two.act?.attempt ?? 0) + 1 })
    expect(next.rollout).toMatchObject({ number: 2, state: 'running', snapshot: { taken: true } })
    expect(revisionFor(next, first.id)).toMatchObject({ revision: 1, settings: { version: NEW } })
    expect(revisionFor(next, leader.id)).toMatchObject({ revision: 0 })
    expect(revisionFor(next, agent.id)).toMatchObject({ revision: 0 })
    expect(
      k3sChangeFault(next, { settings: { ...plainK3s(), version: OLD }, acceptDowntime: false }),
    ).toContain('goes back')
  })
})

describe('a server’s turn', () => {
  test('is no leader’s while another server is left, whoever proposes it', async () => {
    const { plan, changed, apply, must, done, first, second, leader } = await scene()
    let next = changed(plan, { version: NEW })
    expect(apply(next, { kind: 'upgrade', node: leader.id })).toBeNull()
    for (const server of [first, second]) {
      next = must(next, { kind: 'upgrade', node: server.id })
      expect(apply(next, { kind: 'upgrade', node: leader.id })).toBeNull()
      next = must(next, done(next, server))
    }
    expect(must(next, { kind: 'upgrade', node: leader.id }).act).toMatchObject({ node: leader.id })
  })

  test('ends only with its signed word on these settings', async () => {
    const { plan, changed, apply, must, done, first, second } = await scene()
    const held = must(changed(plan, { version: NEW }), { kind: 'upgrade', node: first.id })
    expect(apply(held, done(held, first, { revision: 0 }))).toBeNull()
    expect(apply(held, done(held, first, { clusterId: 'other' }))).toBeNull()
    expect(apply(held, done(held, second, { node: first.id }))).toBeNull()
    expect(apply(held, done(held, first, { attempt: 1 }))).toBeNull()
    const next = must(held, done(held, first))
    expect(next.act).toBeNull()
    expect(next.rollout?.moved).toEqual([first.id])
    expect(revisionFor(next, first.id)).toMatchObject({ revision: 1 })
  })

  test('comes before that of any agent, and agents come as many at once as may be away', async () => {
    const { plan, changed, apply, must, done, first, second, leader, agent, other } = await scene()
    let next = changed(plan, { version: NEW })
    for (const server of [first, second, leader]) {
      expect(apply(next, { kind: 'turn', node: agent.id })).toBeNull()
      next = must(
        must(next, { kind: 'upgrade', node: server.id }),
        done({ ...next, act: null, acts: next.acts }, server, { attempt: next.acts + 1 }),
      )
    }
    expect(apply(next, { kind: 'rolled', number: 1 })).toBeNull()
    next = must(next, { kind: 'turn', node: agent.id })
    expect(apply(next, { kind: 'turn', node: other.id })).toBeNull()
    next = must(next, { kind: 'turned', node: agent.id, number: 1 })
    next = must(must(next, { kind: 'turn', node: other.id }), { kind: 'turned', node: other.id, number: 1 })
    expect(must(next, { kind: 'rolled', number: 1 }).rollout).toMatchObject({ state: 'done', before: null })
  })

  test('is nobody’s once it is halted, and what began may end well', async () => {
    const { plan, changed, apply, must, done, first, second } = await scene()
    const held = must(changed(plan, { version: NEW }), { kind: 'upgrade', node: first.id })
    const halted = must(held, { kind: 'halt', node: first.id, number: 1, reason: 'it burns' })
    expect(halted.act).toEqual(held.act)
    const next = must(halted, done(halted, first))
    expect(next.rollout).toMatchObject({ state: 'halted', reason: 'it burns', moved: [first.id] })
    expect(apply(next, { kind: 'upgrade', node: second.id })).toBeNull()
  })
})

describe('a server that has its turn', () => {
  test('fetches and takes the snapshot first, and asks no voter before', async () => {
    const stage = await running({ count: 3 })
    configure(stage, { version: NEW })
    workUntil(
      stage,
      () => changing(stage) !== undefined,
      () => ({ snapshot: null }),
    )
    const holder = changing(stage)
    if (holder === undefined) throw new Error('nobody has its turn')
    const { name } = rolloutIn(stage)?.snapshot ?? { name: '' }
    expect(orderOf(holder)).toMatchObject({ revision: 0, version: OLD, snapshot: name })
    expect(orderOf(holder).prepare).toMatchObject({ revision: 1, settings: { version: NEW } })
    const asked = (): number => sent(holder, 'permit.ask').filter(({ act }) => act === 'upgrade').length
    stage.pass(30_000)
    expect(asked()).toBe(0)
    work(stage)
    stage.pass(1_000)
    expect(asked()).toBeGreaterThan(0)
    expect(orderOf(holder)).toMatchObject({ revision: 1, version: NEW, action: 'run' })
  })

  test('gets no permit while another server is not well, and its own word does not count', async () => {
    const stage = await running({ count: 3 })
    configure(stage, { version: NEW })
    const isHeld = (): boolean => changing(stage) !== undefined
    workUntil(stage, isHeld, () => ({ snapshot: null }))
    const holder = changing(stage)
    const sick = serversOf(stage).find((server) => server !== holder)
    if (holder === undefined || sick === undefined) throw new Error('nobody has its turn')
    const ill = (actor: Actor) => (actor === sick ? { healthy: false } : {})
    work(stage, (actor) => ({ ...ill(actor), snapshot: null }))
    for (let i = 0; i < 20; i++) {
      work(stage, ill)
      stage.pass(1_000)
    }
    expect(orderOf(holder)).toMatchObject({ revision: 0, version: OLD })
    workUntil(stage, () => orderOf(holder).revision === 1)
  })

  test('stays with what is on its disk after a restart, until it is permitted again', async () => {
    const stage = await running({ count: 3 })
    configure(stage, { version: NEW })
    workUntil(
      stage,
      () => stage.actors.some((actor) => orderOf(actor).revision === 1),
      (actor) => (changing(stage) === actor ? { ready: false } : {}),
    )
    const holder = changing(stage)
    if (holder === undefined) throw new Error('nobody has its turn')
    stage.switchOff(holder)
    holder.order = null
    stage.switchOn(holder)
    stage.pass(12_000)
    if (holder.order !== null) expect(orderOf(holder).prepare.revision).toBe(1)
    workUntil(stage, () => rolloutIn(stage)?.state === 'done')
    for (const server of serversOf(stage))
      expect(orderOf(server)).toMatchObject({ revision: 1, version: NEW })
  })
})

describe('a leader', () => {
  test('takes the servers one by one, itself last, then the agents, and ends it', async () => {
    const stage = await running({ count: 5 })
    const leader = leaderOf(stage)
    configure(stage, { version: NEW })
    workUntil(stage, () => rolloutIn(stage)?.state === 'done')
    const { history } = planIn(stage.actor(0)).plan
    const turns = history
      .filter(({ cause }) => cause === 'upgraded' || cause === 'turned')
      .map(({ node }) => node)
    const servers = serversOf(stage).map(({ id }) => id)
    expect(turns).toHaveLength(5)
    expect(new Set(turns.slice(0, 3))).toEqual(new Set(servers))
    expect(turns[2]).toBe(leader.id)
    for (const actor of stage.actors) expect(orderOf(actor)).toMatchObject({ revision: 1, version: NEW })
    expect(statusIn(stage, stage.actor(0)).rollout).toMatchObject({ state: 'done', target: NEW })
  })

  test.each([
    ['tells of an error for a minute', UPGRADE_FAULT_MS, 'it is on fire'],
    ['is not well after ten minutes', UPGRADE_DEADLINE_MS, 'not healthy'],
  ])('halts it when a server %s', async (what, afterMs, why) => {
    const stage = await running({ count: 5 })
    configure(stage, { version: NEW })
    const problem = { code: 'k3s.fire', severity: 'error', message: 'it is on fire', hint: 'water' } as const
    const failing = (actor: Actor) =>
      changing(stage) === actor && orderOf(actor).revision === 1
        ? { ready: false, healthy: false, problems: what.includes('error') ? [problem] : [] }
        : {}
    workUntil(stage, () => stage.actors.some((actor) => orderOf(actor).revision === 1), failing)
    work(stage, failing)
    stage.pass(afterMs - 20_000)
    expect(rolloutIn(stage)?.state).toBe('running')
    work(stage, failing)
    stage.pass(40_000)
    expect(rolloutIn(stage)).toMatchObject({ state: 'halted', reason: expect.stringContaining(why) })
    expect(planIn(stage.actor(0)).plan.act).not.toBeNull()
    expect(stage.actors.filter((actor) => orderOf(actor).revision === 1)).toHaveLength(1)
    for (const actor of stage.actors) {
      const halted = statusIn(stage, actor).problems.find(({ code }) => code === 'rollout.halted')
      expect(halted?.message).toContain(why)
    }
  })

  test('waits for a server that is away, and for no agent that is', async () => {
    const stage = await running({ count: 5 })
    const [away] = serversOf(stage).filter((server) => server !== leaderOf(stage))
    const [gone] = agentsOf(stage)
    if (away === undefined || gone === undefined) throw new Error('too few machines')
    stage.switchOff(away)
    stage.switchOff(gone)
    stage.pass(5_000)
    configure(stage, { version: NEW })
    for (let i = 0; i < 60; i++) {
      work(stage)
      stage.pass(1_000)
    }
    const known = leaderOf(stage)
    expect(planIn(known).plan.rollout).toMatchObject({ state: 'running', moved: [] })
    expect(planIn(known).plan.act).toBeNull()
    stage.switchOn(away)
    workUntil(stage, () => (planIn(known).plan.rollout?.moved.length ?? 0) === 4)
    expect(planIn(known).plan.rollout?.state).toBe('running')
    stage.switchOn(gone)
    workUntil(stage, () => planIn(known).plan.rollout?.state === 'done')
  })
})
