import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { follow, type PathState, type PathStep } from '../../../src/host/mesh/paths.ts'
import { CANDIDATE_MS, DIRECT_MS } from '../../../src/host/mesh/timing.ts'
import type { DumpPeer } from '../../../src/host/mesh/wg.ts'

const A = '192.0.2.1:51871'
const B = '192.0.2.2:51871'
const C = '192.0.2.3:51871'
const WALL_S = 1_800_000_000
const seen = (endpoint: string | null, handshakeS: number | null = null): DumpPeer => ({
  endpoint,
  allowedIps: [],
  handshakeS,
  keepaliveS: 25,
})

/** Follows one path: each call is a look, `now` milliseconds after the start, at a true wall clock. */
function watch() {
  let state: PathState | null = null
  return (now: number, candidates: readonly string[], peer: DumpPeer | null, wallErrorMs = 0): PathStep => {
    const step = follow(state, candidates, peer, now, WALL_S * 1_000 + now + wallErrorMs)
    state = step.state
    return step
  }
}

describe('a path without a handshake', () => {
  it('tries the first endpoint at once, then one after the other, each for its time', () => {
    const look = watch()
    const tries: [number, string][] = []
    let current: string | null = null
    for (let now = 0; now < 4 * CANDIDATE_MS; now += 250) {
      const { endpoint, direct } = look(now, [A, B, C], current === null ? null : seen(current))
      expect(direct).toBe(false)
      if (endpoint !== null) tries.push([now, endpoint])
      current = endpoint ?? current
    }
    expect(tries).toEqual([
      [0, A],
      [CANDIDATE_MS, B],
      [2 * CANDIDATE_MS, C],
      [3 * CANDIDATE_MS, A],
    ])
  })

  it('leaves its only endpoint alone', () => {
    const look = watch()
    expect(look(0, [A], null).endpoint).toBe(A)
    for (let now = 250; now < 60_000; now += 250) expect(look(now, [A], seen(A)).endpoint).toBeNull()
  })

  it('has nothing to try without endpoints, and begins when one is named', () => {
    const look = watch()
    expect(look(0, [], null).endpoint).toBeNull()
    expect(look(250, [], seen(null)).endpoint).toBeNull()
    expect(look(500, [A], seen(null)).endpoint).toBe(A)
  })

  it('goes to the new endpoints at once when the one it tries is withdrawn', () => {
    const look = watch()
    look(0, [A], null)
    expect(look(250, [B, C], seen(A)).endpoint).toBe(B)
  })

  it('keeps trying the endpoint that stays while others come and go', () => {
    const look = watch()
    look(0, [A, B], null)
    expect(look(250, [C, A], seen(A)).endpoint).toBeNull()
  })
})

describe('a direct path', () => {
  it('is left where WireGuard roamed to', () => {
    const look = watch()
    look(0, [A], null)
    expect(look(250, [A], seen(C, WALL_S))).toMatchObject({ direct: true, endpoint: null })
    expect(look(30_000, [B], seen(C, WALL_S))).toMatchObject({ direct: true, endpoint: null })
  })

  it('follows a peer that withdraws the endpoint in use', () => {
    const look = watch()
    look(0, [A], null)
    look(250, [A], seen(A, WALL_S))
    expect(look(1_000, [B], seen(A, WALL_S))).toMatchObject({ direct: true, endpoint: B })
    expect(look(1_250, [B], seen(B, WALL_S))).toMatchObject({ direct: true, endpoint: null })
  })

  it('is lost when its handshake is too old, and goes on to the next endpoint at once', () => {
    const look = watch()
    look(0, [A, B], null)
    for (let now = 250; now < DIRECT_MS; now += 10_000) {
      expect(look(now, [A, B], seen(A, WALL_S)).direct).toBe(true)
    }
    expect(look(DIRECT_MS + 250, [A, B], seen(A, WALL_S))).toMatchObject({ direct: false, endpoint: B })
    expect(look(DIRECT_MS + 500, [A, B], seen(B, WALL_S))).toMatchObject({ direct: false, endpoint: null })
  })

  it('stays so while handshakes come, however the wall clock jumps', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -7_200_000, max: 7_200_000 })), (errors) => {
        const look = watch()
        look(0, [A], null)
        errors.forEach((error, index) => {
          const now = (index + 1) * 30_000
          // A handshake since the last look, stamped with a clock that is wrong by as much.
          const stamp = WALL_S + Math.round((now + error) / 1_000)
          expect(look(now, [A], seen(A, stamp), error).direct).toBe(true)
        })
      }),
    )
  })

  it('of a previous run counts from its own stamp', () => {
    expect(watch()(0, [A], seen(A, WALL_S - 100)).direct).toBe(true)
    expect(watch()(0, [A], seen(A, WALL_S - 300)).direct).toBe(false)
  })
})

it('whatever is tried was ordered, and a direct path is never sent round', () => {
  const endpoints = fc.subarray([A, B, C])
  const look = fc.record({
    gapMs: fc.integer({ min: 1, max: 60_000 }),
    candidates: endpoints,
    roamsTo: fc.option(fc.constantFrom(A, B, C), { nil: null }),
    handshake: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(look), (looks) => {
      const next = watch()
      let now = 0
      let current: string | null = null
      let stamp: number | null = null
      for (const { gapMs, candidates, roamsTo, handshake } of looks) {
        now += gapMs
        if (handshake) stamp = WALL_S + Math.floor(now / 1_000)
        if (roamsTo !== null) current = roamsTo
        const step = next(now, candidates, current === null && stamp === null ? null : seen(current, stamp))
        if (step.endpoint !== null) expect(candidates).toContain(step.endpoint)
        if (step.direct && current !== null && candidates.includes(current)) expect(step.endpoint).toBeNull()
        if (handshake) expect(step.direct).toBe(true)
        current = step.endpoint ?? current
      }
    }),
  )
})
