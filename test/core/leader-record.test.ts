import { describe, expect, test } from 'vitest'
import { nodeId, term } from '../../src/core/ids.ts'
import {
  decodeLeaderRecord,
  encodeLeaderRecord,
  type LeaderRecord,
  leaderRecordFault,
  leaderRecordKey,
  newestLeaderRecord,
  verifyLeaderRecord,
} from '../../src/core/leader-record.ts'
import { formed, genesisIn, leaderOf, logged } from './cast.ts'

async function published() {
  const stage = await formed({ count: 3 })
  stage.pass(1_000)
  const leader = leaderOf(stage)
  const record = leader.effects.filter((effect) => effect.kind === 'publish').at(-1)?.record
  if (record === undefined) throw new Error('nothing was published')
  const { genesis, id } = genesisIn(leader)
  const holds = (found: LeaderRecord): boolean => verifyLeaderRecord(leader.keys.crypto, genesis, id, found)
  return { stage, leader, record, genesis, id, holds }
}

describe('a leader record', () => {
  test('is believed for the votes of a majority', async () => {
    const { record, holds } = await published()
    expect(holds(record)).toBe(true)
    expect(record.votes.length).toBeGreaterThanOrEqual(2)
  })

  test('of another leader, term or cluster is not', async () => {
    const { record, holds, stage, leader, genesis } = await published()
    const other = stage.actors.find((actor) => actor !== leader)
    expect(holds({ ...record, leader: other?.id ?? nodeId('x') })).toBe(false)
    expect(holds({ ...record, term: term(record.term + 1) })).toBe(false)
    expect(holds({ ...record, era: genesis.networkId })).toBe(false)
  })

  test('with the votes of a minority, of one voter twice, or of strangers is not', async () => {
    const { record, holds } = await published()
    const [vote] = record.votes
    if (vote === undefined) throw new Error('no vote')
    expect(holds({ ...record, votes: [vote] })).toBe(false)
    expect(holds({ ...record, votes: [vote, vote, vote] })).toBe(false)
    expect(
      holds({ ...record, votes: record.votes.map((each) => ({ ...each, node: nodeId('stranger') })) }),
    ).toBe(false)
    const invented = {
      term: term(1),
      index: 1,
      plan: record.era,
      base: record.era,
      voters: [vote.node],
      signatures: [vote],
    }
    expect(holds({ ...record, votes: [vote], chain: [invented] })).toBe(false)
  })

  test('that is forged is refused by whoever finds it; a true one is dialled', async () => {
    const { stage, record, leader } = await published()
    const finder = stage.actors.find((actor) => actor !== leader)
    if (finder === undefined) throw new Error()
    stage.isolate(finder)
    const dials = () => finder.effects.filter(({ kind }) => kind === 'dial').length
    const before = dials()
    stage.tell(finder, { kind: 'leader-records', records: [{ ...record, term: term(99) }] })
    expect(dials()).toBe(before)
    expect(logged(finder, 'leader-record.refused')).toHaveLength(1)
    stage.tell(finder, { kind: 'leader-records', records: [record] })
    expect(dials()).toBe(before + 1)
    expect(finder.state.replication.leaderTerm).toBe(record.term)
  })

  test('survives its encoding; other bytes are none', async () => {
    const { record } = await published()
    expect(decodeLeaderRecord(encodeLeaderRecord(record))).toEqual(record)
    expect(decodeLeaderRecord(new Uint8Array([1, 2, 3]))).toBeNull()
    expect(decodeLeaderRecord(new Uint8Array(65 * 1024))).toBeNull()
  })

  test('of the highest term is the newest; unreadable ones lose', async () => {
    const { record } = await published()
    const values = [3, 9, 5].map((n) => encodeLeaderRecord({ ...record, term: term(n) }))
    expect(newestLeaderRecord([new Uint8Array([7]), ...values])).toBe(2)
    expect(newestLeaderRecord([new Uint8Array([7])])).toBe(0)
  })

  test('is stored under its own cluster’s key only, and with true votes where the genesis is known', async () => {
    const { record, leader, genesis, id } = await published()
    const { crypto } = leader.keys
    const fault = (known: boolean, key: string, value: Uint8Array) =>
      leaderRecordFault(crypto, known ? { genesis, id } : null, key, value)
    const value = encodeLeaderRecord(record)
    const forged = encodeLeaderRecord({ ...record, term: term(99) })
    expect(fault(true, leaderRecordKey(id), value)).toBeNull()
    expect(fault(true, leaderRecordKey(id), forged)).toBe('votes do not prove the leader')
    expect(fault(false, leaderRecordKey(id), forged)).toBeNull()
    expect(fault(true, leaderRecordKey(genesis.networkId), value)).toBe(
      'key and record name different clusters',
    )
    expect(fault(true, leaderRecordKey(id), new Uint8Array([1]))).toBe('not a leader record')
  })
})
