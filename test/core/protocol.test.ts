import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { decode, encode } from '../../src/core/codec.ts'
import { type Digest, digest, MAX_TERM, nodeId, term } from '../../src/core/ids.ts'
import type { CertifiedPlan } from '../../src/core/plan.ts'
import {
  decodeMessage,
  encodeMessage,
  MESSAGE_BYTES_MAX,
  type Message,
  messageSchema,
  ProtocolError,
} from '../../src/core/protocol.ts'
import type { SignedRecord } from '../../src/core/record.ts'
import { RECORD_BYTES_MAX } from '../../src/core/record.ts'
import { RECORDS_MAX, RECORDS_PER_MESSAGE } from '../../src/core/timing.ts'
import { formed, planIn } from './cast.ts'

let heard: Message[] = []
let plan: CertifiedPlan
let record: SignedRecord

/** Every kind that a founding, a leader's death and a newcomer make nodes say. */
beforeAll(async () => {
  const stage = await formed({ count: 5, expect: 4, cluster: { distribution: 'etcd' }, off: (i) => i === 4 })
  stage.switchOn(stage.actor(4))
  stage.pass(10_000)
  const leader = stage.actors.find(({ state }) => state.replication.leadership !== null)
  if (leader !== undefined) stage.switchOff(leader)
  stage.pass(10_000)
  heard = stage.actors.flatMap((actor) => actor.said.map(({ message }) => message))
  plan = planIn(stage.actor(0))
  const signed = stage.actor(0).state.gossip.records.get(stage.actor(0).id)?.signed
  if (signed === undefined) throw new Error('no record')
  record = signed
})

/** @returns what the bytes are, or that they are refused as they should be. */
function read(bytes: Uint8Array): Message | null {
  try {
    return decodeMessage(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError)
    return null
  }
}

describe('a message', () => {
  test('is the same after it was encoded and decoded, for every kind', () => {
    const kinds = new Map(heard.map((message) => [message.kind, message]))
    expect(kinds.size).toBeGreaterThan(20)
    for (const message of heard) expect(decodeMessage(encodeMessage(message))).toEqual(message)
  })

  test('of any bytes is a message or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        read(bytes)
      }),
      { numRuns: 2_000 },
    )
  })

  test('of any well-formed value is a message or a ProtocolError', () => {
    const anything = fc.anything({
      withNullPrototype: false,
      maxDepth: 3,
      values: [fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.uint8Array()],
    })
    const kinds = fc.constantFrom(...new Set(heard.map(({ kind }) => kind)))
    fc.assert(
      fc.property(kinds, fc.dictionary(fc.string(), anything), (kind, fields) => {
        let bytes: Uint8Array
        try {
          bytes = encode({ ...fields, kind })
        } catch {
          return
        }
        read(bytes)
      }),
      { numRuns: 1_000 },
    )
  })

  test('with any byte changed is another message or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, by) => {
        const message = heard[which % heard.length]
        if (message === undefined) return
        const bytes = encodeMessage(message)
        const place = at % bytes.length
        bytes[place] = (bytes[place] ?? 0) ^ by
        read(bytes)
      }),
      { numRuns: 3_000 },
    )
  })

  test('cut short is a ProtocolError', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (which, at) => {
        const message = heard[which % heard.length]
        if (message === undefined) return
        const bytes = encodeMessage(message)
        expect(read(bytes.subarray(0, at % bytes.length))).toBeNull()
      }),
      { numRuns: 1_000 },
    )
  })

  test('with a field more, a field less or a field of another type is a ProtocolError', () => {
    for (const message of heard.slice(0, 500)) {
      const fields: Record<string, unknown> = { ...message }
      expect(read(encode({ ...fields, more: 1 }))).toBeNull()
      for (const key of Object.keys(fields)) {
        const { [key]: _gone, ...less } = fields
        expect(read(encode(less))).toBeNull()
        expect(read(encode({ ...fields, [key]: [[1]] }))).toBeNull()
      }
    }
  })

  test('with a term or an index that no election reaches is a ProtocolError', () => {
    const pull = (index: number): Uint8Array => encode({ kind: 'plan.pull', era: 'a'.repeat(64), index })
    expect(read(pull(MAX_TERM))).not.toBeNull()
    for (const index of [MAX_TERM + 1, 2 ** 53, -1, 0.5]) expect(read(pull(index))).toBeNull()
  })

  test('that is too large is refused before it is decoded', () => {
    expect(() => decodeMessage(new Uint8Array(MESSAGE_BYTES_MAX + 1))).toThrow(/too large/)
  })

  test('is decoded into plain data: no key of the prototype gets through', () => {
    const bytes = encode(JSON.parse('{"kind":"genesis.pull","__proto__":{"polluted":true}}'))
    expect(read(bytes)).toBeNull()
    expect((decode(encode({ a: 1 })) as { polluted?: boolean }).polluted).toBeUndefined()
  })
})

describe('the bounds', () => {
  const hash = (n: number): Digest => digest(n.toString(16).padStart(64, '0'))
  const idOf = (n: number) => nodeId(`12D3KooW${n.toString().padStart(44, 'x')}`)

  test('let the largest records message through', () => {
    expect(RECORDS_PER_MESSAGE * RECORD_BYTES_MAX).toBeLessThan(MESSAGE_BYTES_MAX)
  })

  test('let the largest inventory through', () => {
    const seqs = Array.from({ length: RECORDS_MAX }, (_, i): [ReturnType<typeof idOf>, number] => [
      idOf(i),
      MAX_TERM,
    ])
    const bytes = encodeMessage({ kind: 'inventory', seqs, parts: null, pull: true })
    expect(bytes.length).toBeLessThan(MESSAGE_BYTES_MAX)
    expect(read(bytes)).not.toBeNull()
  })

  test('let a plan with as many members as may ever be through', () => {
    const { maxNodes } = planSettingsMost()
    const [member] = plan.plan.members
    if (member === undefined) throw new Error('no member')
    const members = Array.from({ length: maxNodes }, (_, i) => ({
      ...member,
      id: idOf(i),
      name: `${'n'.repeat(55)}-${i.toString().padStart(4, '0')}`,
      address: '10.255.255.255',
    }))
    const certified: CertifiedPlan = { ...plan, plan: { ...plan.plan, members } }
    const bytes = encodeMessage({ kind: 'plan.share', certified })
    expect(bytes.length).toBeLessThan(MESSAGE_BYTES_MAX)
    expect(read(bytes)).not.toBeNull()
  })

  /** The most that the schema of settings allows, found by asking it. */
  function planSettingsMost(): { maxNodes: number } {
    const fits = (maxNodes: number): boolean =>
      messageSchema.safeParse({
        kind: 'plan.share',
        certified: { ...plan, plan: { ...plan.plan, settings: { ...plan.plan.settings, maxNodes } } },
      }).success
    let most = 1
    for (let step = 4_096; step >= 1; step /= 2) while (fits(most + step)) most += step
    return { maxNodes: most }
  }

  test('refuse one record, cause, signature or member too many', () => {
    const records = (count: number): Message => ({
      kind: 'records',
      records: Array.from({ length: count }, () => record),
    })
    expect(read(encodeMessage(records(RECORDS_PER_MESSAGE)))).not.toBeNull()
    expect(read(encodeMessage(records(RECORDS_PER_MESSAGE + 1)))).toBeNull()
    const certify = (count: number): Message => ({
      kind: 'certify',
      era: hash(1),
      term: term(1),
      index: 1,
      plan: hash(2),
      signatures: Array.from({ length: count }, (_, i) => ({ node: idOf(i), signature: new Uint8Array(64) })),
    })
    expect(read(encodeMessage(certify(16)))).not.toBeNull()
    expect(read(encodeMessage(certify(17)))).toBeNull()
  })
})
