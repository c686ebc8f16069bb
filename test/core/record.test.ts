import { describe, expect, test } from 'vitest'
import { RECORD_BYTES_MAX, recordSchema, signRecord, verifyRecord } from '../../src/core/record.ts'
import { cast } from './cast.ts'

async function own() {
  const stage = await cast({ count: 2, expect: 9 })
  const [a, b] = [stage.actor(0), stage.actor(1)]
  const signed = a.state.gossip.records.get(a.id)?.signed
  if (signed === undefined) throw new Error('no record')
  return { a, b, signed }
}

describe('a record', () => {
  test('is its own node’s word', async () => {
    const { a, b, signed } = await own()
    expect(verifyRecord(b.keys.crypto, signed)).toBe(true)
    expect(verifyRecord(b.keys.crypto, signRecord(a.keys.crypto, signed.record))).toBe(true)
  })

  test('is no other’s, and no other word', async () => {
    const { b, signed } = await own()
    const { crypto } = b.keys
    expect(verifyRecord(crypto, signRecord(crypto, signed.record))).toBe(false)
    expect(
      verifyRecord(crypto, { ...signed, record: { ...signed.record, seq: signed.record.seq + 1 } }),
    ).toBe(false)
    expect(
      verifyRecord(crypto, { ...signed, record: { ...signed.record, genesis: signed.record.network } }),
    ).toBe(false)
    expect(verifyRecord(crypto, { ...signed, signature: new Uint8Array() })).toBe(false)
  })

  test('larger than its bound is not believed, though signed', async () => {
    const { a, signed } = await own()
    const addresses = Array.from({ length: 32 }, () => '/'.repeat(256))
    const large = signRecord(a.keys.crypto, {
      ...signed.record,
      addresses,
      endpoints: Array.from({ length: 16 }, () => 'e'.repeat(64)),
    })
    expect(recordSchema.safeParse(large.record).success).toBe(true)
    expect(JSON.stringify(large.record.addresses).length).toBeGreaterThan(RECORD_BYTES_MAX)
    expect(verifyRecord(a.keys.crypto, large)).toBe(false)
  })

  test.each([
    ['name', { name: 'Host_1' }],
    ['name', { name: '' }],
    ['name', { name: 'n'.repeat(64) }],
    ['key', { sealKey: new Uint8Array(31) }],
    ['address', { lanAddress: '192.168.0.256' }],
    ['address', { lanAddress: 'router.example' }],
    ['cpus', { cpus: 0 }],
    ['memory', { memoryMiB: 2 ** 41 }],
  ])('with a %s out of bounds is none', async (_what, changes) => {
    const { signed } = await own()
    const { record } = signed
    expect(recordSchema.safeParse(record).success).toBe(true)
    expect(recordSchema.safeParse({ ...record, claim: { ...record.claim, ...changes } }).success).toBe(false)
  })
})
