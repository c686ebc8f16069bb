import { beforeAll, describe, expect, test } from 'vitest'
import { sha256, symbolicKeymaker } from '../../sim/crypto.ts'
import { randomFrom } from '../../sim/random.ts'
import { recordOf } from '../../src/core/gossip.ts'
import { type NodeRecord, type SignedRecord, signRecord } from '../../src/core/record.ts'
import { RECORD_SEQ_BLOCK, RECORDS_MAX } from '../../src/core/timing.ts'
import { type Actor, type Cast, cast, formed, leaderOf, logged, sent, statusIn } from './cast.ts'

const keymaker = symbolicKeymaker()
let template: NodeRecord

beforeAll(async () => {
  const stage = await cast({ count: 1, expect: 9 })
  const own = recordOf(stage.actor(0).state, stage.actor(0).id)
  if (own === undefined) throw new Error('no record')
  template = own
})

/** A record of somebody who is not on the stage, in keys that the actor's port knows. */
function alter(actor: Actor, changes: Partial<NodeRecord>): SignedRecord {
  return signRecord(actor.keys.crypto, { ...template, id: actor.id, session: 'another', ...changes })
}

const records = (...list: readonly SignedRecord[]) => ({ kind: 'records' as const, records: [...list] })

describe('records', () => {
  test('reach everyone, also over one that both are connected with', async () => {
    const stage = await cast({ count: 5, expect: 9 })
    stage.pass(5_000)
    for (const actor of stage.actors) expect(actor.state.gossip.records.size).toBe(5)
  })

  test('that got lost are repaired by comparison', async () => {
    const stage = await cast({ count: 4, expect: 9, off: () => true })
    stage.drop = (_from, _to, message) => message.kind === 'records'
    for (const actor of stage.actors) stage.switchOn(actor)
    stage.pass(2_000)
    expect(stage.actor(0).state.gossip.records.size).toBe(1)
    // Before anyone signs anew.
    stage.drop = () => false
    stage.pass(5_000)
    for (const actor of stage.actors) expect(actor.state.gossip.records.size).toBe(4)
  })

  test('that are equal cost no more than their digest', async () => {
    const stage = await formed({ count: 4 })
    stage.pass(60_000)
    const before = stage.actors.map(
      (actor) => sent(actor, 'records').length + sent(actor, 'inventory').length,
    )
    stage.pass(120_000)
    const after = stage.actors.map((actor) => sent(actor, 'records').length + sent(actor, 'inventory').length)
    expect(after).toEqual(before)
  })

  test('are replaced by newer ones only', async () => {
    const stage = await cast({ count: 3, expect: 9 })
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    stage.hear(a, c.id, records(alter(b, { seq: 5_000 })))
    expect(recordOf(a.state, b.id)?.seq).toBe(5_000)
    stage.hear(a, c.id, records(alter(b, { seq: 4_999 })))
    stage.hear(a, c.id, records(alter(b, { seq: 5_000, expect: 3 })))
    expect(recordOf(a.state, b.id)).toMatchObject({ seq: 5_000, expect: 9 })
  })

  test('that their node did not sign, or of another network, are refused', async () => {
    const stage = await cast({ count: 3, expect: 9 })
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    const forged = signRecord(c.keys.crypto, { ...template, id: b.id, seq: 9_000 })
    stage.hear(a, c.id, records(forged))
    stage.hear(a, c.id, records(alter(b, { seq: 9_000, network: sha256(new Uint8Array(1)) })))
    expect(recordOf(a.state, b.id)?.seq).not.toBe(9_000)
    expect(logged(a, 'message.refused').map(({ fields }) => fields.from)).toEqual([c.id, c.id])
  })

  test('of strangers are bounded; those of members are never evicted for them', async () => {
    const stage = await formed({ count: 3 })
    const a = leaderOf(stage)
    const list: SignedRecord[] = []
    for (let i = 0; i < RECORDS_MAX + 100; i++) {
      const keys = await keymaker(`sybil${i}`, randomFrom(7, `sybil ${i}`))
      list.push(signRecord(keys.crypto, { ...template, id: keys.id }))
    }
    // Every signature is believed: this is about the bound alone.
    const { crypto } = a.keys
    const verify = crypto.verify
    crypto.verify = () => true
    for (const signed of list) stage.hear(a, stage.actor(1).id, records(signed))
    crypto.verify = verify
    expect(a.state.gossip.records.size).toBe(RECORDS_MAX)
    for (const actor of stage.actors) expect(recordOf(a.state, actor.id)).toBeDefined()
    expect(recordOf(a.state, list.at(-1)?.record.id ?? a.id)).toBeDefined()
    expect(recordOf(a.state, list[0]?.record.id ?? a.id)).toBeUndefined()
  })
})

describe('a sequence number', () => {
  test('is reserved on disk before it is signed', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    stage.pass(120_000)
    const a = stage.actor(0)
    expect(recordOf(a.state, a.id)?.seq).toBeLessThanOrEqual(a.disk?.seq ?? -1)
  })

  test('is not used again after a restart', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const a = stage.actor(0)
    const before = recordOf(a.state, a.id)?.seq ?? Number.POSITIVE_INFINITY
    stage.switchOff(a)
    stage.switchOn(a)
    expect(recordOf(a.state, a.id)?.seq).toBeGreaterThan(before)
    expect(recordOf(stage.actor(1).state, a.id)?.session).toBe(a.state.session)
  })

  test('goes beyond what a peer remembers of an earlier run', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const [a, b] = [stage.actor(0), stage.actor(1)]
    stage.hear(a, b.id, records(alter(a, { seq: 7 * RECORD_SEQ_BLOCK })))
    expect(recordOf(a.state, a.id)).toMatchObject({ seq: 7 * RECORD_SEQ_BLOCK + 1, session: a.state.session })
    expect(a.disk?.seq).toBeGreaterThan(7 * RECORD_SEQ_BLOCK)
    expect(a.state.blocked).toBeNull()
  })
})

describe('a clone', () => {
  const outbid = (stage: Cast, of: Actor, session: string, by = 1): void => {
    const seq = (recordOf(of.state, of.id)?.seq ?? 0) + by
    stage.hear(of, stage.actor(1).id, records(alter(of, { seq, session })))
  }

  test('is who goes on outbidding: both are blocked, and say so', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const a = stage.actor(0)
    outbid(stage, a, 'copy')
    outbid(stage, a, 'copy')
    expect(a.state.blocked?.code).toBe('node.cloned')
    expect(statusIn(stage, a).self.stage).toBe('blocked')
    expect(statusIn(stage, a).problems.map(({ code }) => code)).toContain('node.cloned')
    expect(statusIn(stage, a).waitingFor[0]).toContain('a person')
  })

  test('is not an earlier run of one’s own, nor two of them', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const a = stage.actor(0)
    outbid(stage, a, 'monday')
    outbid(stage, a, 'tuesday')
    expect(a.state.blocked).toBeNull()
  })

  test('is not an old record that comes round again', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const a = stage.actor(0)
    outbid(stage, a, 'monday', 5)
    outbid(stage, a, 'monday', -3)
    expect(a.state.blocked).toBeNull()
  })

  test('neither promises nor votes', async () => {
    const stage = await cast({ count: 3 })
    const a = stage.actor(0)
    const promises = sent(a, 'promise').length
    outbid(stage, a, 'copy')
    outbid(stage, a, 'copy')
    stage.hear(a, stage.actor(1).id, { kind: 'prepare', term: 9 as never, expect: 3 })
    expect(sent(a, 'promise')).toHaveLength(promises)
  })
})

describe('strangers that come and go', () => {
  test('are not remembered for ever', async () => {
    const stage = await formed({ count: 3 })
    const a = stage.actor(0)
    for (let i = 0; i < RECORDS_MAX + 50; i++) {
      const peer = `stranger-${i}` as Actor['id']
      stage.tell(a, { kind: 'connected', peer })
      stage.tell(a, { kind: 'disconnected', peer })
    }
    expect(a.state.heard.size).toBeLessThanOrEqual(RECORDS_MAX)
    for (const other of stage.actors.slice(1)) expect(a.state.heard.has(other.id)).toBe(true)
  })
})
