import { describe, expect, test } from 'vitest'
import { signRecord } from '../../src/core/record.ts'
import { type Actor, type Cast, cast, formed, genesisIn, logged, planIn, sent, statusIn } from './cast.ts'

/** A cluster of three, and the genesis of another one of the same network. */
async function two(
  pin: 'none' | 'own' | 'other' = 'none',
): Promise<{ stage: Cast; other: ReturnType<typeof genesisIn> }> {
  const later = await cast({ count: 3, off: () => true })
  later.pass(1_000_000)
  for (const actor of later.actors) later.switchOn(actor)
  later.until(() => later.actors.every(({ state }) => state.genesisId !== null))
  const other = genesisIn(later.actor(0))
  const first = await formed({ count: 3 })
  const own = genesisIn(first.actor(0)).id
  const pinned = pin === 'own' ? own : pin === 'other' ? other.id : null
  const stage = await formed({
    count: 4,
    expect: 3,
    off: (i) => i === 3,
    settings: (i) => (i === 3 ? { pin: pinned } : {}),
  })
  expect(genesisIn(stage.actor(0)).id).toBe(own)
  return { stage, other }
}

/** A living stranger's record that shows the other genesis. */
function show(stage: Cast, to: Actor, genesis: Actor['state']['genesisId']): void {
  const stranger = stage.actor(1)
  const known = to.state.gossip.records.get(stranger.id)?.signed.record
  const template = known ?? stranger.state.gossip.records.get(stranger.id)?.signed.record
  if (template === undefined) throw new Error('no record')
  const signed = signRecord(stranger.keys.crypto, { ...template, seq: template.seq + 500, genesis })
  stage.hear(to, stranger.id, { kind: 'records', records: [signed] })
}

describe('a node without a genesis', () => {
  test('takes over one that its certificate proves', async () => {
    const { stage } = await two()
    stage.switchOn(stage.actor(3))
    stage.pass(3_000)
    expect(stage.actor(3).state.genesisId).toBe(stage.actor(0).state.genesisId)
  })

  test('asks one peer for it, not all', async () => {
    const { stage } = await two()
    stage.switchOn(stage.actor(3))
    stage.pass(3_000)
    expect(sent(stage.actor(3), 'genesis.pull')).toHaveLength(1)
  })

  test('believes none without a quorum of signatures', async () => {
    const { stage } = await two()
    const [holder, newcomer] = [stage.actor(0), stage.actor(3)]
    stage.drop = () => true
    stage.switchOn(newcomer)
    const { genesis, certificate } = genesisIn(holder)
    const half = { ...certificate, acceptances: certificate.acceptances.slice(0, 2) }
    stage.hear(newcomer, holder.id, { kind: 'genesis.share', certified: { genesis, certificate: half } })
    expect(newcomer.state.genesisId).toBeNull()
    expect(logged(newcomer, 'message.refused').at(-1)?.fields.what).toBe('genesis')
    stage.hear(newcomer, holder.id, { kind: 'genesis.share', certified: { genesis, certificate } })
    expect(newcomer.state.genesisId).not.toBeNull()
  })

  test('takes over none that expects another number of machines, and says both', async () => {
    const stage = await formed({
      count: 4,
      expect: 3,
      off: (i) => i === 3,
      settings: (i) => (i === 3 ? { expect: 4 } : {}),
    })
    stage.switchOn(stage.actor(3))
    stage.pass(30_000)
    expect(stage.actor(3).state.genesisId).toBeNull()
    expect(logged(stage.actor(3), 'genesis.not-joined')).toHaveLength(1)
    expect(logged(stage.actor(3), 'genesis.not-joined')[0]?.fields.why).toBe(
      'it expects 3 machines, this node 4',
    )
  })

  test('joins neither while it sees two, and says so', async () => {
    const { stage, other } = await two()
    const newcomer = stage.actor(3)
    stage.drop = (_from, to, message) => to === newcomer && message.kind !== 'records'
    stage.switchOn(newcomer)
    show(stage, newcomer, other.id)
    stage.drop = () => false
    stage.pass(5_000)
    expect(newcomer.state.genesisId).toBeNull()
    expect(statusIn(stage, newcomer).cluster.state).toBe('conflict')
    const problem = statusIn(stage, newcomer).problems.find(({ code }) => code === 'genesis.conflict')
    expect(problem?.message).toContain(other.id.slice(0, 12))
    expect(problem?.message).toContain(genesisIn(stage.actor(0)).id.slice(0, 12))
  })

  test('that is pinned joins its own though it sees two', async () => {
    const { stage, other } = await two('own')
    const newcomer = stage.actor(3)
    stage.drop = (_from, to, message) => to === newcomer && message.kind !== 'records'
    stage.switchOn(newcomer)
    show(stage, newcomer, other.id)
    stage.drop = () => false
    stage.pass(5_000)
    expect(newcomer.state.genesisId).toBe(genesisIn(stage.actor(0)).id)
  })

  test('that is pinned to another cluster joins none, and says what it waits for', async () => {
    const { stage, other } = await two('other')
    const newcomer = stage.actor(3)
    stage.switchOn(newcomer)
    stage.pass(30_000)
    const { genesis, certificate } = genesisIn(stage.actor(0))
    stage.hear(newcomer, stage.actor(0).id, { kind: 'genesis.share', certified: { genesis, certificate } })
    expect(newcomer.state.genesisId).toBeNull()
    expect(statusIn(stage, newcomer).waitingFor[0]).toContain(other.id.slice(0, 12))
  })
})

describe('a node with a genesis', () => {
  test('keeps it, whatever it is shown, and warns of the other', async () => {
    const { stage, other } = await two()
    const member = stage.actor(0)
    const before = genesisIn(member).id
    stage.hear(member, stage.actor(1).id, {
      kind: 'genesis.share',
      certified: { genesis: other.genesis, certificate: other.certificate },
    })
    show(stage, member, other.id)
    stage.pass(1_500)
    expect(genesisIn(member).id).toBe(before)
    expect(planIn(member).plan.era).toBe(before)
    expect(statusIn(stage, member).cluster.state).toBe('conflict')
    expect(stage.actor(2).state.replication.leader).not.toBeNull()
  })
})
