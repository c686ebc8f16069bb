import { describe, expect, test } from 'vitest'
import type { DistributionFacts } from '../../src/core/orders.ts'
import { INITIALISE_DEADLINE_MS, JOIN_DEADLINE_MS, RECALL_MS } from '../../src/core/timing.ts'
import { type Actor, type Cast, formed, logged, NO_DATASTORE, planIn } from './cast.ts'

const holderOf = ({ actors }: Cast): Actor | undefined => {
  const plan = actors.find((actor) => actor.isOn)?.state.durable.certified?.plan
  return actors.find(({ id }) => id === plan?.act?.node)
}
const action = (actor: Actor): string => (actor.order?.kind === 'etcd' ? actor.order.action : 'none')

/** What the driver of a machine says when its member works. */
function works(
  stage: Cast,
  actor: Actor,
  clusterId = 'ds-1',
  changes: Partial<DistributionFacts> = {},
): void {
  const { plan } = planIn(actor)
  stage.tell(actor, {
    kind: 'distribution',
    facts: {
      ...NO_DATASTORE,
      version: '3.5',
      dataPresent: true,
      dataEpoch: plan.datastore.epoch,
      dataGenesis: plan.era,
      running: true,
      healthy: true,
      voter: true,
      clusterId,
      members: plan.members.map(({ name }) => ({ name, voter: true, healthy: true })).slice(0, 1),
      ...changes,
    },
  })
}

async function begun(count = 3): Promise<{ stage: Cast; first: Actor }> {
  const stage = await formed({ count, cluster: { distribution: 'etcd' } })
  stage.until(() => stage.actors.some((actor) => action(actor) === 'initialise'))
  const first = holderOf(stage)
  if (first === undefined) throw new Error('nobody initialises')
  return { stage, first }
}

/** Everyone whose turn comes does its part until all servers are members. */
function completeAll(stage: Cast): Actor[] {
  const order: Actor[] = []
  stage.until(() => {
    const holder = holderOf(stage)
    if (
      holder !== undefined &&
      action(holder) !== 'stop' &&
      action(holder) !== 'run' &&
      !order.includes(holder)
    ) {
      order.push(holder)
      works(stage, holder)
    }
    const { plan } = planIn(stage.actor(0))
    return plan.act === null && plan.datastore.members.length === plan.voters.length
  })
  return order
}

describe('the datastore', () => {
  test('is initialised by one server, and joined by the others one by one', async () => {
    const { stage, first } = await begun(5)
    for (const actor of stage.actors) if (actor !== first) expect(action(actor)).not.toBe('initialise')
    const order = completeAll(stage)
    const { plan } = planIn(stage.actor(0))
    expect(order[0]).toBe(first)
    expect(order).toHaveLength(plan.voters.length)
    expect(plan.datastore.members).toEqual(order.map(({ id }) => id))
    expect(plan.datastore.epoch).toBe(1)
    for (const actor of stage.actors) {
      expect(action(actor)).toBe(plan.voters.includes(actor.id) ? 'run' : 'stop')
    }
  })

  test('gives its secret to servers only', async () => {
    const { stage } = await begun(5)
    completeAll(stage)
    for (const actor of stage.actors) {
      const length = actor.order?.kind === 'etcd' ? actor.order.secret.length : -1
      expect(length).toBe(planIn(actor).plan.voters.includes(actor.id) ? 32 : 0)
    }
  })

  test('is not there where the distribution is none', async () => {
    const stage = await formed({ count: 3, cluster: { distribution: 'none' } })
    stage.pass(10_000)
    expect(planIn(stage.actor(0)).plan.act).toBeNull()
    expect(stage.actors.map((actor) => actor.order?.kind)).toEqual(['none', 'none', 'none'])
  })
})

describe('an initialiser', () => {
  test('that dies before it is done loses its turn to another, in a new epoch', async () => {
    const { stage, first } = await begun()
    stage.switchOff(first)
    stage.pass(2 * INITIALISE_DEADLINE_MS)
    const next = holderOf(stage)
    expect(next).toBeDefined()
    expect(next).not.toBe(first)
    if (next !== undefined) expect(planIn(next).plan.datastore.epoch).toBeGreaterThan(1)
  })

  test('that comes back too late is refused: its datastore is never the cluster’s', async () => {
    const { stage, first } = await begun()
    stage.isolate(first)
    works(stage, first, 'ds-late')
    expect(first.state.acts.outcome?.clusterId).toBe('ds-late')
    stage.pass(2 * INITIALISE_DEADLINE_MS)
    const next = stage.actors.find((actor) => actor !== first && action(actor) === 'initialise')
    if (next === undefined) throw new Error('nobody else was named')
    stage.rejoin(first)
    stage.pass(5_000)
    expect(planIn(first).plan.datastore.clusterId).toBeNull()
    expect(action(first)).toBe('stop')
    works(stage, next, 'ds-2')
    stage.until(() => planIn(first).plan.datastore.clusterId !== null)
    expect(planIn(first).plan.datastore.clusterId).toBe('ds-2')
  })

  test('that is seen at work gets twice the time', async () => {
    const { stage, first } = await begun()
    stage.pass(INITIALISE_DEADLINE_MS + 5_000)
    expect(holderOf(stage)).toBe(first)
    stage.pass(INITIALISE_DEADLINE_MS)
    expect(holderOf(stage)).not.toBe(first)
  })

  test('that is the only server ready keeps its turn, and nobody says otherwise', async () => {
    const stage = await formed({ count: 1, cluster: { distribution: 'etcd' } })
    stage.pass(5 * INITIALISE_DEADLINE_MS)
    expect(planIn(stage.actor(0)).plan.datastore.epoch).toBe(1)
    expect(logged(stage.actor(0), 'act.given-up')).toEqual([])
  })

  test('restarted within its turn asks and goes on in its epoch', async () => {
    const { stage, first } = await begun()
    stage.switchOff(first)
    stage.pass(1_000)
    first.order = null
    stage.switchOn(first)
    stage.until(() => action(first) === 'initialise')
    expect(planIn(first).plan.datastore.epoch).toBe(1)
  })
})

describe('a server with data of a datastore on its disk', () => {
  test('and a plan that records another as done is never told to initialise', async () => {
    const { stage } = await begun()
    completeAll(stage)
    for (const actor of stage.actors) {
      stage.switchOff(actor)
      actor.order = null
      stage.switchOn(actor)
    }
    stage.pass(300_000)
    expect(stage.actors.map(action)).toEqual(['run', 'run', 'run'])
    expect(planIn(stage.actor(0)).plan.datastore.epoch).toBe(1)
  })

  test('starts from what it knows, without a leader or a quorum, once silence has permitted it', async () => {
    const { stage } = await begun()
    completeAll(stage)
    for (const actor of stage.actors) stage.switchOff(actor)
    const [a] = stage.actors
    if (a === undefined) throw new Error()
    a.order = null
    stage.switchOn(a)
    expect(a.order).toBeNull()
    stage.pass(RECALL_MS)
    expect(action(a)).toBe('run')
  })
})

describe('a joiner', () => {
  async function joining(): Promise<{ stage: Cast; first: Actor; joiner: Actor }> {
    const { stage, first } = await begun()
    works(stage, first)
    stage.until(() => stage.actors.some((actor) => action(actor) === 'join'))
    const joiner = holderOf(stage)
    if (joiner === undefined) throw new Error('nobody joins')
    return { stage, first, joiner }
  }

  test('is told the members that there are, and the datastore’s own name', async () => {
    const { first, joiner } = await joining()
    expect(joiner.order).toMatchObject({ clusterId: 'ds-1', epoch: 1 })
    expect(joiner.order?.kind === 'etcd' ? joiner.order.members.map(({ id }) => id) : []).toEqual([first.id])
  })

  test('that dies is given up, queues last, and another joins', async () => {
    const { stage, joiner } = await joining()
    stage.switchOff(joiner)
    stage.pass(JOIN_DEADLINE_MS + 10_000)
    const { plan } = planIn(stage.actors.find((actor) => actor.isOn) ?? joiner)
    expect(plan.datastore.aborted).toEqual([joiner.id])
    expect(plan.act?.node).not.toBe(joiner.id)
    const next = holderOf(stage)
    if (next === undefined) throw new Error('nobody joins')
    works(stage, next)
    stage.switchOn(joiner)
    stage.until(() => action(joiner) === 'join')
  })

  test('with an outcome that nobody would sign is given up all the same', async () => {
    const { stage, joiner } = await joining()
    const { act } = planIn(joiner).plan
    if (act === null) throw new Error('no act')
    const outcome = {
      act: 'join' as const,
      node: joiner.id,
      attempt: act.attempt,
      epoch: 1,
      clusterId: 'ds-1',
      revision: 0,
      signature: new Uint8Array(16),
    }
    joiner.state.acts.outcome = outcome
    stage.pass(2 * JOIN_DEADLINE_MS + 30_000)
    expect(planIn(joiner).plan.datastore.aborted).toContain(joiner.id)
    expect(planIn(joiner).plan.datastore.members).not.toContain(joiner.id)
  })

  test('that the datastore counts already joins before those that never tried', async () => {
    const { stage, first, joiner } = await joining()
    const name = planIn(first).plan.members.find(({ id }) => id === joiner.id)?.name ?? ''
    const self = planIn(first).plan.members.find(({ id }) => id === first.id)?.name ?? ''
    works(stage, first, 'ds-1', {
      members: [
        { name: self, voter: true, healthy: true },
        { name, voter: true, healthy: false },
      ],
    })
    stage.until(() => planIn(first).plan.datastore.aborted.includes(joiner.id))
    stage.until(() => planIn(first).plan.act !== null)
    expect(planIn(first).plan.act?.node).toBe(joiner.id)
  })
})
