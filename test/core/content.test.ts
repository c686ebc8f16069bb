import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  artefactSchema,
  type OriginTurn,
  type OriginView,
  originOrder,
  originTurn,
  type Seeker,
} from '../../src/core/content.ts'
import { millis, type NodeId, nodeId } from '../../src/core/ids.ts'
import { CONTENT_SETTLE_MS, CONTENT_STALL_MS, CONTENT_TURN_MS } from '../../src/core/timing.ts'

const ARTEFACT = 'ab'.repeat(32)
const NODES = ['a', 'b', 'c', 'd'].map(nodeId)
const ORDER = originOrder(ARTEFACT, NODES)
const at = (place: number): NodeId => ORDER[place] ?? nodeId('none')

const seeker = (place: number, said: Partial<Seeker> = {}): Seeker => ({
  id: at(place),
  wants: true,
  asks: false,
  failed: false,
  progressAt: null,
  ...said,
})

/** As the node at a place of the order sees it, long after it began to want the artefact. */
const view = (place: number, others: readonly Seeker[], more: Partial<OriginView> = {}): OriginView => ({
  sha256: ARTEFACT,
  self: at(place),
  now: millis(100_000),
  since: millis(99_000),
  asks: false,
  failedUntil: null,
  others,
  isHeld: false,
  ...more,
})

const untilOf = (turn: OriginTurn): number | null => (turn.kind === 'wait' ? turn.until : null)

describe('who asks an artefact’s origin', () => {
  it('a node alone, at once', () => {
    expect(originTurn(view(0, [], { since: millis(100_000) }))).toEqual({ kind: 'ask' })
  })

  it('the first in an order that everyone computes alike, and that differs between artefacts', () => {
    for (const given of [NODES, [...NODES].reverse()]) expect(originOrder(ARTEFACT, given)).toEqual(ORDER)
    const firsts = Array.from({ length: 64 }, (_, i) => originOrder(`${i}`, NODES)[0])
    expect(new Set(firsts).size).toBe(NODES.length)
    expect(originTurn(view(0, [seeker(1), seeker(2)]))).toEqual({ kind: 'ask' })
    expect(untilOf(originTurn(view(1, [seeker(0), seeker(2)])))).toBe(99_000 + CONTENT_TURN_MS)
    expect(untilOf(originTurn(view(2, [seeker(0), seeker(1)])))).toBe(99_000 + 2 * CONTENT_TURN_MS)
  })

  it('nobody, before the others had a moment to say what they have', () => {
    const silent = seeker(1, { wants: null })
    expect(untilOf(originTurn(view(0, [silent])))).toBe(99_000 + CONTENT_SETTLE_MS)
    expect(originTurn(view(0, [silent], { since: millis(90_000) }))).toEqual({ kind: 'ask' })
  })

  it('not who does not want it: another architecture has another binary', () => {
    expect(originTurn(view(1, [seeker(0, { wants: false })]))).toEqual({ kind: 'ask' })
  })

  it('nobody else while one asks and shows progress, wherever it is in the order', () => {
    const busy = { asks: true, progressAt: millis(95_000) }
    expect(untilOf(originTurn(view(0, [seeker(2, busy)])))).toBe(95_000 + CONTENT_STALL_MS)
    expect(untilOf(originTurn(view(2, [seeker(0, busy)])))).toBe(95_000 + CONTENT_STALL_MS)
  })

  it('the next, when the first stalls, dies or fails', () => {
    const stalled = { asks: true, progressAt: millis(100_000 - CONTENT_STALL_MS) }
    expect(originTurn(view(1, [seeker(0, stalled)], { since: millis(50_000) }))).toEqual({ kind: 'ask' })
    expect(originTurn(view(1, [seeker(0, { failed: true })]))).toEqual({ kind: 'ask' })
    expect(originTurn(view(1, []))).toEqual({ kind: 'ask' })
  })

  it('of two at once the first in the order goes on, the other stops', () => {
    const busy = { asks: true, progressAt: millis(99_990) }
    expect(originTurn(view(0, [seeker(1, busy)], { asks: true }))).toEqual({ kind: 'ask' })
    expect(originTurn(view(1, [seeker(0, busy)], { asks: true })).kind).toBe('wait')
  })

  it('nobody for what peers have', () => {
    expect(originTurn(view(0, [], { isHeld: true })).kind).toBe('wait')
    expect(originTurn(view(0, [], { isHeld: true, asks: true })).kind).toBe('wait')
  })

  it('not again at once where it gave nothing good', () => {
    expect(untilOf(originTurn(view(0, [], { failedUntil: millis(160_000) })))).toBe(160_000)
    expect(originTurn(view(0, [], { failedUntil: millis(100_000) }))).toEqual({ kind: 'ask' })
  })

  it('exactly one of all who begin together and know of each other, and always somebody in the end', () => {
    const ids = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(ids, fc.integer({ min: 0, max: 11 }), (names, dead) => {
        const nodes = names.map(nodeId)
        const turnOf = (self: NodeId, now: number, hidden: NodeId | null): OriginTurn =>
          originTurn({
            ...view(0, []),
            self,
            now: millis(now),
            since: millis(0),
            others: nodes
              .filter((id) => id !== self && id !== hidden)
              .map((id) => ({ id, wants: true, asks: false, failed: false, progressAt: null })),
          })
        const asking = nodes.filter((id) => turnOf(id, 0, null).kind === 'ask')
        expect(asking).toEqual(originOrder(ARTEFACT, nodes).slice(0, 1))
        // The first neither asks nor goes away: somebody else does, within its turns.
        const rest = nodes.filter((id) => id !== asking[0])
        const late = rest.filter((id) => turnOf(id, CONTENT_TURN_MS, null).kind === 'ask')
        expect(late).toHaveLength(Math.min(1, rest.length))
        const gone = nodes[dead % nodes.length] ?? null
        const survivors = nodes.filter((id) => id !== gone)
        const next = survivors.filter((id) => turnOf(id, 0, gone).kind === 'ask')
        expect(next).toHaveLength(Math.min(1, survivors.length))
      }),
    )
  })

  it('a wait is always for a moment to come', () => {
    const millisArb = fc.integer({ min: 0, max: 200_000 }).map(millis)
    const other = fc.record({
      id: fc.constantFrom(...NODES.slice(1)),
      wants: fc.constantFrom(true, false, null),
      asks: fc.boolean(),
      failed: fc.boolean(),
      progressAt: fc.option(fc.integer({ min: 0, max: 100_000 }).map(millis)),
    })
    const views = fc.record({
      others: fc.uniqueArray(other, { selector: ({ id }) => id }),
      since: fc.integer({ min: 0, max: 100_000 }).map(millis),
      asks: fc.boolean(),
      failedUntil: fc.option(millisArb),
      isHeld: fc.boolean(),
    })
    fc.assert(
      fc.property(views, (given) => {
        const turn = originTurn({ sha256: ARTEFACT, self: nodeId('a'), now: millis(100_000), ...given })
        if (turn.kind === 'wait') expect(turn.until).toBeGreaterThan(100_000)
      }),
    )
  })
})

it('an artefact is named by a whole SHA-256 in lower case, and its size is bounded', () => {
  const good = { sha256: ARTEFACT, size: null, url: null, name: 'k3s' }
  expect(artefactSchema.parse(good)).toEqual(good)
  for (const bad of [
    { sha256: 'AB'.repeat(32) },
    { sha256: 'ab' },
    { size: 2 ** 40 },
    { size: -1 },
    { name: '' },
  ]) {
    expect(artefactSchema.safeParse({ ...good, ...bad }).success).toBe(false)
  }
})
