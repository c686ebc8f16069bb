import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Budget } from '../../../src/host/network/budget.ts'
import { preferred } from '../../../src/host/network/connections.ts'
import { dialFailure } from '../../../src/host/network/dial-failure.ts'
import { ANSWER_MS, DEAD_MS, IDLE_DEAD_MS, IDLE_MS, Liveness } from '../../../src/host/network/liveness.ts'
import { AGE_MAX_MS, BYTES_MAX, FRAMES_MAX, Outbox } from '../../../src/host/network/outbox.ts'
import { SHUN_MS, Shunned } from '../../../src/host/network/shunned.ts'
import { Throttle } from '../../../src/host/network/throttle.ts'

describe('a budget', () => {
  it('never lets more pass than its burst and what filled in since', () => {
    const steps = fc.array(fc.record({ wait: fc.nat(2_000), amount: fc.integer({ min: 1, max: 50 }) }))
    fc.assert(
      fc.property(steps, (taken) => {
        const budget = new Budget(100, 200, 0)
        let now = 0
        let passed = 0
        for (const { wait, amount } of taken) {
          now += wait
          if (budget.take(amount, now)) passed += amount
          expect(passed).toBeLessThanOrEqual(200 + now / 10 + 1e-6)
        }
      }),
    )
  })

  it('a debt is paid after the time that it says', () => {
    const budget = new Budget(100, 200, 0)
    const debtMs = budget.spend(500, 0)
    expect(debtMs).toBe(3_000)
    expect(budget.take(1, debtMs - 1)).toBe(false)
    expect(budget.spend(0, debtMs)).toBe(0)
    expect(budget.isFull(debtMs + 2_000)).toBe(true)
  })
})

describe('the frames that wait for a peer', () => {
  it('are bounded in number and bytes, the newest stay, in order', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: Math.floor(BYTES_MAX / 3) }), { maxLength: 400 })
    fc.assert(
      fc.property(sizes, (all) => {
        const outbox = new Outbox()
        let dropped = 0
        for (const size of all) dropped += outbox.add(new Uint8Array(size), 0)
        const left: number[] = []
        for (let frame = outbox.take(); frame !== undefined; frame = outbox.take()) left.push(frame.length)
        expect(left).toEqual(all.slice(dropped))
        expect(left.length).toBeLessThanOrEqual(FRAMES_MAX)
        expect(left.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(BYTES_MAX)
        expect(left.length > 0 || all.length === 0).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  it('go when they are too old to mean anything', () => {
    const outbox = new Outbox()
    outbox.add(new Uint8Array(1), 0)
    outbox.add(new Uint8Array(2), 3_000)
    expect(outbox.expire(AGE_MAX_MS)).toBe(0)
    expect(outbox.expire(AGE_MAX_MS + 1)).toBe(1)
    expect(outbox.take()).toHaveLength(2)
  })
})

describe('liveness', () => {
  it('between two that live, whoever speaks and however often, nobody is taken for dead', () => {
    const speech = fc.array(fc.record({ by: fc.constantFrom('a', 'b'), after: fc.nat(40_000) }), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(speech, (said) => {
        const sides = { a: new Liveness(), b: new Liveness() }
        sides.a.begin('b', 0)
        sides.b.begin('a', 0)
        const speak = (by: 'a' | 'b', isEmpty: boolean, now: number): void => {
          const to = by === 'a' ? 'b' : 'a'
          sides[by].said(to, isEmpty, now)
          sides[to].heard(by, isEmpty, now)
        }
        let next = 0
        let at = said[0]?.after ?? 0
        for (let now = 0; now < 600_000; now += 500) {
          for (; next < said.length && at <= now; next += 1, at += said[next]?.after ?? 0) {
            speak(said[next]?.by ?? 'a', false, now)
          }
          for (const by of ['a', 'b'] as const) if (sides[by].owed(now).length > 0) speak(by, true, now)
          expect([...sides.a.dead(now), ...sides.b.dead(now)]).toEqual([])
        }
      }),
      { numRuns: 50 },
    )
  })

  it('two with nothing to say cost one empty frame a minute each', () => {
    const liveness = new Liveness()
    liveness.begin('b', 0)
    let empty = 0
    for (let now = 0; now <= 10 * IDLE_MS; now += 1_000) {
      if (now % IDLE_MS === 0) liveness.heard('b', true, now)
      if (liveness.owed(now).length === 0) continue
      empty += 1
      liveness.said('b', true, now)
    }
    expect(empty).toBe(10)
  })

  it('a message that is answered by another costs nothing', () => {
    const liveness = new Liveness()
    liveness.begin('b', 0)
    for (let now = 0; now < 20_000; now += 1_000) {
      liveness.heard('b', false, now)
      liveness.said('b', false, now + 10)
      expect(liveness.owed(now + 990)).toEqual([])
    }
    liveness.heard('b', false, 20_000)
    expect(liveness.owed(20_000 + ANSWER_MS)).toEqual(['b'])
  })

  it('a peer that does not answer is dead after five seconds, one never heard after two and a half minutes', () => {
    const liveness = new Liveness()
    liveness.begin('b', 0)
    expect(liveness.dead(IDLE_DEAD_MS - 1)).toEqual([])
    expect(liveness.dead(IDLE_DEAD_MS)).toEqual(['b'])
    liveness.begin('b', 0)
    liveness.said('b', false, 1_000)
    liveness.said('b', false, 4_000)
    expect(liveness.dead(1_000 + DEAD_MS - 1)).toEqual([])
    expect(liveness.dead(1_000 + DEAD_MS)).toEqual(['b'])
  })

  it('a process that itself slept blames nobody', () => {
    const liveness = new Liveness()
    liveness.begin('b', 0)
    liveness.said('b', false, 1_000)
    liveness.slept(3_600_000)
    expect(liveness.dead(3_602_000)).toEqual([])
    expect(liveness.dead(3_601_000 + DEAD_MS)).toEqual(['b'])
  })
})

describe('of several connections between two peers', () => {
  const connection = fc.record({ byA: fc.boolean(), at: fc.nat(2_000) })

  it('both keep the same one when they dialled each other at the same moment', () => {
    fc.assert(
      fc.property(fc.array(connection, { minLength: 1, maxLength: 2 }), fc.nat(200), (dials, skew) => {
        const [first, second] = dials
        fc.pre(second === undefined || first?.byA !== second.byA)
        const seenBy = (isA: boolean) =>
          dials.map(({ byA, at }, index) => ({
            index,
            status: 'open' as const,
            direction: byA === isA ? ('outbound' as const) : ('inbound' as const),
            timeline: { open: at + (isA ? 0 : skew) },
          }))
        const keptByA = preferred('a', 'b', seenBy(true))
        const keptByB = preferred('b', 'a', seenBy(false))
        expect(keptByA?.index).toBe(keptByB?.index)
      }),
    )
  })

  it('the newest counts where they came apart, and what is closed never', () => {
    const old = { status: 'open', direction: 'outbound', timeline: { open: 0 } } as const
    const young = { status: 'open', direction: 'inbound', timeline: { open: 60_000 } } as const
    expect(preferred('a', 'b', [old, young])).toBe(young)
    expect(preferred('a', 'b', [old, { ...young, status: 'closed' }])).toBe(old)
    expect(preferred('a', 'b', [])).toBeNull()
  })
})

describe('what is kept out and what is said', () => {
  it('a shunned peer is back after ten seconds', () => {
    const shunned = new Shunned()
    shunned.add('a', 0)
    expect(shunned.has('a', SHUN_MS - 1)).toBe(true)
    expect(shunned.has('a', SHUN_MS)).toBe(false)
    expect(shunned.has('b', 0)).toBe(false)
  })

  it('a barred peer is not, until it is barred no more', () => {
    const shunned = new Shunned()
    shunned.bar(['a', 'b'])
    shunned.bar(['b'])
    expect(['a', 'b'].map((peer) => shunned.has(peer, Number.MAX_SAFE_INTEGER))).toEqual([false, true])
  })

  it('of one subject one hears once a minute, of others at once', () => {
    const throttle = new Throttle()
    expect([0, 1, 59_999, 60_000].map((now) => throttle.mayTell('a', now))).toEqual([
      true,
      false,
      false,
      true,
    ])
    expect(throttle.mayTell('b', 60_001)).toBe(true)
    for (let i = 0; i < 5_000; i++) throttle.mayTell(`stranger ${i}`, 60_002)
    expect(throttle.mayTell('a', 60_003)).toBe(true)
  })

  it('a failed dial is told in words, the address that got furthest first', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.9:7946'), { code: 'ECONNREFUSED' })
    const stranger = Object.assign(new Error('aborted'), { name: 'EncryptionFailedError' })
    expect(dialFailure(refused)).toEqual({ kind: 'unreachable', text: 'connection refused' })
    expect(dialFailure(new AggregateError([refused, stranger])).kind).toBe('refused')
    expect(dialFailure(new AggregateError([])).kind).toBe('unreachable')
    expect(dialFailure('what').kind).toBe('unreachable')
  })
})
