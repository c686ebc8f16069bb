import { describe, expect, test } from 'vitest'
import { type Cause, type Outcome, outcomeStatement } from '../../src/core/causes.ts'
import { applyCause, applyCauses } from '../../src/core/changes.ts'
import { encode } from '../../src/core/codec.ts'
import type { NodeId } from '../../src/core/ids.ts'
import { type Plan, planHashOf } from '../../src/core/plan.ts'
import { type NodeRecord, signRecord } from '../../src/core/record.ts'
import { type Actor, type Cast, formed, planIn } from './cast.ts'

/** Four machines, three of them servers, and a fifth that is in no plan. */
async function scene() {
  const stage = await formed({
    count: 5,
    expect: 4,
    off: (i) => i === 4,
    cluster: { distribution: 'etcd', maxNodes: 8 },
  })
  const plan = planIn(stage.actor(0)).plan
  const servers = stage.actors.filter(({ id }) => plan.voters.includes(id))
  const agent = stage.actors.find(
    ({ id }) => !plan.voters.includes(id) && plan.members.some((m) => m.id === id),
  )
  const [server, second] = servers
  if (agent === undefined || server === undefined || second === undefined) throw new Error('no agent')
  const { crypto } = server.keys
  const apply = (to: Plan, what: Cause['what'], by = server): Plan | null =>
    applyCause(crypto, to, { what, by: by.id, term: 1, index: 2, at: 3 })
  const must = (to: Plan, what: Cause['what']): Plan => {
    const next = apply(to, what)
    if (next === null) throw new Error(`${what.kind} does not follow`)
    return next
  }
  return {
    stage,
    plan: { ...plan, act: null } as Plan,
    server,
    second,
    agent,
    newcomer: stage.actor(4),
    crypto,
    apply,
    must,
  }
}

function recordOf(stage: Cast, actor: Actor, changes: Partial<NodeRecord> = {}) {
  const { state, settings, claim, id } = actor
  const record: NodeRecord = {
    id,
    seq: 1,
    session: state.session,
    network: settings.networkId,
    expect: settings.expect,
    genesis: null,
    pin: null,
    datastore: false,
    founding: true,
    claim,
    addresses: [],
    endpoints: [],
    version: 'test',
    rules: 1,
    ...changes,
  }
  expect(stage.actors).toContain(actor)
  return signRecord(actor.keys.crypto, record)
}

function outcomeOf(actor: Actor, plan: Plan, changes: Partial<Outcome> = {}): Cause['what'] {
  const content = {
    act: plan.act?.kind === 'initialise' ? ('initialise' as const) : ('join' as const),
    node: actor.id,
    attempt: plan.acts,
    epoch: plan.datastore.epoch,
    clusterId: 'ds-1',
    revision: 0,
    ...changes,
  }
  const signature = actor.keys.crypto.sign(outcomeStatement(plan.era, content))
  return { kind: 'outcome', outcome: { ...content, signature, ...changes } }
}

describe('a change of the plan', () => {
  test('is the same wherever it is computed, and changes nothing in place', async () => {
    const { plan, crypto, server, newcomer, stage, agent } = await scene()
    const before = encode(plan)
    const causes: Cause[] = [
      { what: { kind: 'admit', record: recordOf(stage, newcomer) }, by: server.id, term: 1, index: 2, at: 3 },
      { what: { kind: 'initialise', node: server.id }, by: server.id, term: 1, index: 2, at: 3 },
    ]
    const one = applyCauses(crypto, plan, causes)
    const other = applyCauses(agent.keys.crypto, plan, causes)
    expect(one).not.toBeNull()
    expect(one).toEqual(other)
    expect(encode(plan)).toEqual(before)
    if (one !== null) expect(planHashOf(crypto, one)).not.toBe(planHashOf(crypto, plan))
  })

  test('is none at all as soon as one of its causes does not follow', async () => {
    const { plan, crypto, server, agent } = await scene()
    const cause = (what: Cause['what']): Cause => ({ what, by: server.id, term: 1, index: 2, at: 3 })
    const good = cause({ kind: 'initialise', node: server.id })
    expect(applyCauses(crypto, plan, [good])).not.toBeNull()
    expect(applyCauses(crypto, plan, [good, cause({ kind: 'initialise', node: agent.id })])).toBeNull()
  })

  test('remembers its last sixty-four causes', async () => {
    const { plan, must } = await scene()
    let next = plan
    for (let i = 0; i < 100; i++) next = must(next, { kind: 'lead' })
    expect(next.history).toHaveLength(64)
  })

  test('by a leader that is no voter does not follow', async () => {
    const { plan, apply, agent } = await scene()
    expect(apply(plan, { kind: 'lead' }, agent)).toBeNull()
  })
})

describe('an admission', () => {
  test('makes an agent, whatever it says of itself, with the next address', async () => {
    const { plan, must, stage, newcomer } = await scene()
    const claim = { ...newcomer.claim, serverPreference: 'prefer' as const, cpus: 64, memoryMiB: 1_048_576 }
    const next = must(plan, { kind: 'admit', record: recordOf(stage, newcomer, { claim }) })
    const member = next.members.find(({ id }) => id === newcomer.id)
    expect(member).toMatchObject({ role: 'agent', address: '10.86.0.5' })
    expect(next.nextAddress).toBe(plan.nextAddress + 1)
    expect(next.voters).toEqual(plan.voters)
    expect(next.members.map(({ id }) => id)).toEqual([...next.members.map(({ id }) => id)].sort())
  })

  test('of a member, of a forged record, of one too many, or where a person decides, does not follow', async () => {
    const { plan, apply, stage, newcomer, agent } = await scene()
    const record = recordOf(stage, newcomer)
    const admit = (to: Plan, signed = record) => apply(to, { kind: 'admit', record: signed })
    expect(admit(plan)).not.toBeNull()
    expect(admit(plan, recordOf(stage, agent))).toBeNull()
    expect(admit(plan, { ...record, record: { ...record.record, seq: 2 } })).toBeNull()
    expect(admit({ ...plan, settings: { ...plan.settings, maxNodes: 4 } })).toBeNull()
    expect(admit({ ...plan, settings: { ...plan.settings, admission: 'approve' } })).toBeNull()
  })

  test('ends where the addresses end: none is given twice', async () => {
    const { plan, apply, stage, newcomer } = await scene()
    const record = recordOf(stage, newcomer)
    const small = { ...plan, settings: { ...plan.settings, vpnCidr: '10.86.0.0/24' } }
    expect(apply({ ...small, nextAddress: 254 }, { kind: 'admit', record })).not.toBeNull()
    expect(apply({ ...small, nextAddress: 255 }, { kind: 'admit', record })).toBeNull()
  })

  test('gives an equal name an ending', async () => {
    const { plan, must, stage, newcomer } = await scene()
    const claim = { ...newcomer.claim, name: 'host-0' }
    const next = must(plan, { kind: 'admit', record: recordOf(stage, newcomer, { claim }) })
    expect(next.members.find(({ id }) => id === newcomer.id)?.name).toMatch(/^host-0-[a-z0-9]+$/)
  })
})

describe('an act', () => {
  test('to initialise is for servers only, each time in a new epoch with a new number', async () => {
    const { plan, apply, must, server, second, agent } = await scene()
    expect(apply(plan, { kind: 'initialise', node: agent.id })).toBeNull()
    const first = must(plan, { kind: 'initialise', node: server.id })
    expect(first.act).toMatchObject({ kind: 'initialise', node: server.id, attempt: plan.acts + 1 })
    const again = must(first, { kind: 'initialise', node: second.id })
    expect(again.act).toMatchObject({ node: second.id, attempt: plan.acts + 2 })
    expect(again.datastore.epoch).toBe(first.datastore.epoch + 1)
  })

  test('is one at a time, and none to join before the datastore is done', async () => {
    const { plan, apply, must, server, second } = await scene()
    expect(apply(plan, { kind: 'join', node: second.id })).toBeNull()
    const first = must(plan, { kind: 'initialise', node: server.id })
    const done = must(first, outcomeOf(server, first))
    expect(done.datastore).toMatchObject({ clusterId: 'ds-1', members: [server.id] })
    const joining = must(done, { kind: 'join', node: second.id })
    expect(apply(joining, { kind: 'join', node: second.id })).toBeNull()
    expect(apply(joining, { kind: 'initialise', node: second.id })).toBeNull()
    expect(apply(done, { kind: 'initialise', node: second.id })).toBeNull()
    expect(apply(done, { kind: 'join', node: server.id })).toBeNull()
  })

  test('is ended by its holder’s signed word for this attempt and epoch only', async () => {
    const { plan, apply, must, server, second } = await scene()
    const first = must(plan, { kind: 'initialise', node: server.id })
    expect(apply(first, outcomeOf(server, first))).not.toBeNull()
    expect(apply(first, outcomeOf(second, first))).toBeNull()
    expect(apply(first, outcomeOf(second, first, { node: server.id }))).toBeNull()
    expect(apply(first, outcomeOf(server, first, { attempt: first.acts - 1 }))).toBeNull()
    expect(apply(first, outcomeOf(server, first, { epoch: first.datastore.epoch - 1 }))).toBeNull()
    expect(apply(first, outcomeOf(server, first, { act: 'join' }))).toBeNull()
    const forged = outcomeOf(server, first)
    if (forged.kind !== 'outcome') throw new Error()
    expect(apply(first, { kind: 'outcome', outcome: { ...forged.outcome, clusterId: 'ds-2' } })).toBeNull()
  })

  test('of a former epoch is refused: only one datastore is ever done', async () => {
    const { plan, apply, must, server, second } = await scene()
    const first = must(plan, { kind: 'initialise', node: server.id })
    const late = outcomeOf(server, first)
    const next = must(first, { kind: 'initialise', node: second.id })
    expect(apply(next, late)).toBeNull()
    const done = must(next, outcomeOf(second, next, { clusterId: 'ds-2' }))
    expect(apply(done, late)).toBeNull()
    expect(done.datastore.clusterId).toBe('ds-2')
  })

  test('to join another datastore is not done', async () => {
    const { plan, apply, must, server, second } = await scene()
    const first = must(plan, { kind: 'initialise', node: server.id })
    const done = must(first, outcomeOf(server, first))
    const joining = must(done, { kind: 'join', node: second.id })
    expect(apply(joining, outcomeOf(second, joining, { clusterId: 'ds-9' }))).toBeNull()
    expect(must(joining, outcomeOf(second, joining)).datastore.members).toEqual([server.id, second.id])
  })

  test('that is given up queues its node behind those that never failed', async () => {
    const { plan, apply, must, server, second } = await scene()
    const first = must(plan, { kind: 'initialise', node: server.id })
    const abort = (node: NodeId, attempt: number): Cause['what'] => ({ kind: 'abort', node, attempt })
    expect(apply(first, abort(server.id, first.acts))).toBeNull()
    const done = must(first, outcomeOf(server, first))
    const joining = must(done, { kind: 'join', node: second.id })
    expect(apply(joining, abort(second.id, joining.acts - 1))).toBeNull()
    const aborted = must(joining, abort(second.id, joining.acts))
    expect(aborted.act).toBeNull()
    expect(aborted.datastore.aborted).toEqual([second.id])
    const again = must(aborted, { kind: 'join', node: second.id })
    expect(must(again, outcomeOf(second, again)).datastore.aborted).toEqual([])
  })
})
