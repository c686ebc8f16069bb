import { describe, expect, test } from 'vitest'
import { plainK3s } from '../../src/core/k3s.ts'
import { agentSecretFrom } from '../../src/core/secrets.ts'
import { type Actor, formed, logged, planIn, sent, statusIn } from './cast.ts'
import { agentsOf, CLUSTER_ID, factsOf, orderOf, running, serversOf, work, workUntil } from './k3s-stage.ts'

const K3S = { distribution: 'k3s', k3s: plainK3s() } as const

describe('servers of k3s', () => {
  test('are not named before their binary is there, and one that lacks it holds nobody up', async () => {
    const stage = await formed({ count: 3, cluster: K3S })
    work(stage, () => ({ prepared: null }))
    stage.pass(60_000)
    expect(planIn(stage.actor(0)).plan.act).toBeNull()
    const [slow] = serversOf(stage)
    workUntil(
      stage,
      () => planIn(stage.actor(0)).plan.datastore.members.length === 2,
      (actor) => (actor === slow ? { prepared: null } : {}),
    )
    stage.pass(60_000)
    expect(planIn(stage.actor(0)).plan.datastore.members).not.toContain(slow?.id)
  })

  test('initialise once, join one by one, and record the CA', async () => {
    const stage = await running({ count: 5 })
    const { datastore, history } = planIn(stage.actor(0)).plan
    expect(datastore.clusterId).toBe(CLUSTER_ID)
    expect(datastore.members).toHaveLength(3)
    const causes = history.map(({ cause }) => cause)
    expect(causes.filter((cause) => cause === 'initialise')).toHaveLength(1)
    expect(causes.filter((cause) => cause === 'joined')).toHaveLength(2)
  })

  test('know all servers from the start, each other by address, and the secret that agents have not', async () => {
    const stage = await running({ count: 5 })
    const names = planIn(stage.actor(0))
      .plan.members.filter(({ role }) => role === 'server')
      .map(({ name }) => name)
    for (const server of serversOf(stage)) {
      const order = orderOf(server)
      expect(order.servers.map(({ name }) => name)).toEqual(names)
      expect(order.members).toHaveLength(2)
      expect(order.members.map(({ id }) => id)).not.toContain(server.id)
      expect(order).toMatchObject({ role: 'server', action: 'run', clusterId: CLUSTER_ID, revision: 0 })
      expect(order.secret).toHaveLength(32)
      expect(order.agentSecret).toEqual(agentSecretFrom(order.secret ?? new Uint8Array(), 0))
    }
  })

  test('with a datastore elsewhere initialise once too', async () => {
    const stage = await running({ count: 3 }, { external: true })
    expect(planIn(stage.actor(0)).plan.datastore.members).toHaveLength(3)
    for (const server of serversOf(stage)) expect(orderOf(server).settings.external).toBe(true)
  })

  test('are ready only with API and Node, not with a datastore alone', async () => {
    const stage = await running({ count: 3 })
    const [server] = serversOf(stage)
    if (server === undefined) throw new Error('no server')
    expect(statusIn(stage, server).self.stage).toBe('ready')
    stage.tell(server, { kind: 'distribution', facts: factsOf(stage, server, { ready: false }) })
    expect(statusIn(stage, server).self.stage).toBe('distributing')
  })
})

describe('agents of k3s', () => {
  test('run when the datastore is recorded and they have their secret, which is the same for all', async () => {
    const stage = await formed({ count: 5, cluster: K3S })
    stage.pass(3_000)
    for (const agent of agentsOf(stage)) {
      expect(orderOf(agent)).toMatchObject({ role: 'agent', action: 'stop', secret: null })
      expect(orderOf(agent).agentSecret).not.toBeNull()
    }
    workUntil(stage, () => planIn(stage.actor(0)).plan.datastore.clusterId !== null)
    stage.pass(1_000)
    const [server] = serversOf(stage)
    for (const agent of agentsOf(stage)) {
      expect(orderOf(agent)).toMatchObject({ action: 'run', clusterId: CLUSTER_ID })
      expect(orderOf(agent).agentSecret).toEqual(server && orderOf(server).agentSecret)
    }
  })

  test('keep their secret through a restart, sealed, and ask nobody again', async () => {
    const stage = await running({ count: 4 })
    const [agent] = agentsOf(stage)
    if (agent === undefined) throw new Error('no agent')
    const { agentSecret } = orderOf(agent)
    const kept = agent.disk?.agentSecret?.sealed ?? new Uint8Array()
    expect([...kept].join()).not.toBe([...(agentSecret ?? [])].join())
    const asked = sent(agent, 'secret.ask').length
    stage.switchOff(agent)
    agent.order = null
    stage.switchOn(agent)
    stage.pass(5_000)
    expect(orderOf(agent).agentSecret).toEqual(agentSecret)
    expect(sent(agent, 'secret.ask')).toHaveLength(asked)
  })

  test('get it from another server where the first does not answer', async () => {
    const stage = await formed({ count: 4, off: (i) => i === 3, expect: 3, cluster: K3S })
    const silent = serversOf(stage)[0]
    stage.drop = (from, _to, message) => from === silent && message.kind === 'secret'
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.until(() => newcomer.state.durable.agentSecret !== null)
    expect(logged(newcomer, 'secret.received')).toHaveLength(1)
  })

  test('that no plan has get nothing, whoever they ask', async () => {
    const stage = await running({ count: 4, expect: 3, off: (i) => i === 3 })
    const stranger = stage.actor(3)
    const { era } = planIn(stage.actor(0)).plan
    for (const server of serversOf(stage)) {
      stage.hear(server, stranger.id, { kind: 'secret.ask', era, generation: 0 })
      expect(sent(server, 'secret')).toEqual([])
      expect(logged(server, 'secret.refused')).toHaveLength(1)
    }
  })

  test('believe no secret of who is no server, nor one that is sealed to another', async () => {
    const stage = await formed({ count: 4, cluster: K3S, settings: () => ({}) })
    stage.until(() => agentsOf(stage).every(({ state }) => state.durable.agentSecret !== null))
    const [agent] = agentsOf(stage)
    const [server] = serversOf(stage)
    if (agent === undefined || server === undefined) throw new Error('no agent')
    const { era } = planIn(agent).plan
    const seal = (to: Actor): Uint8Array =>
      server.keys.crypto.seal(
        to.claim.sealKey,
        `agents ${agent.settings.networkId} 0`,
        new Uint8Array(32).fill(9),
        new Uint8Array(32),
      )
    agent.state.durable = { ...agent.state.durable, agentSecret: null }
    const before = logged(agent, 'message.refused').length
    stage.hear(agent, agent.id, { kind: 'secret', era, generation: 0, sealed: seal(agent) })
    stage.hear(agent, server.id, { kind: 'secret', era, generation: 0, sealed: seal(server) })
    expect(logged(agent, 'message.refused')).toHaveLength(before + 2)
  })

  test('that reach no server say so', async () => {
    const stage = await running({ count: 4 })
    const [agent] = agentsOf(stage)
    if (agent === undefined) throw new Error('no agent')
    for (const server of serversOf(stage)) stage.switchOff(server)
    stage.tell(agent, { kind: 'distribution', facts: factsOf(stage, agent, { ready: false }) })
    stage.pass(10_000)
    const codes = statusIn(stage, agent).problems.map(({ code }) => code)
    expect(codes).toContain('distribution.no-server')
    expect(codes).toContain('datastore-lost')
  })
})
