/** What CI runs: seeds of its own for every commit, over all cores, with the corpus. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { summaryOf, type Tally } from '../../sim/campaign.ts'
import { MUST_MOVE } from '../../sim/counters.ts'
import { tallyEverywhere, tallyShare } from '../../sim/shares.ts'

const run = (...args: readonly string[]) =>
  spawnSync(process.execPath, [fileURLToPath(new URL('../../sim/run.ts', import.meta.url)), ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })

describe('seeds over all cores', () => {
  test('come to the same as on one', async () => {
    const seeds = { from: 100, count: 60, stride: 1, twiceEvery: 50 }
    const speed = { stepsPerSecond: expect.any(Number) }
    const one = summaryOf([await tallyShare({ ...seeds, first: 0, step: 1 })], 1, [])
    const shared = summaryOf(await tallyEverywhere(seeds), 1, [])
    expect(shared).toEqual({ ...one, ...speed })
    expect(one).toMatchObject({ schedules: 60, violations: [] })
  })

  test('are shared out so that none is left out and none comes twice', async () => {
    const seeds = { from: 7, count: 5, stride: 2, twiceEvery: 50 }
    const shares = await Promise.all([0, 1, 2].map((first) => tallyShare({ ...seeds, first, step: 3 })))
    expect(shares.map(({ schedules }) => schedules)).toEqual([2, 2, 1])
  })
})

describe('a summary', () => {
  const tally = (counts: ReadonlyMap<string, number>): Tally => ({
    schedules: 500,
    steps: 10,
    cpuMs: 1_000,
    virtualMs: 1,
    counts,
    readyMs: [5, 1],
    failures: [],
  })

  test('fails where something that must happen never did', () => {
    const moved = new Map(MUST_MOVE.map((name) => [name, 1]))
    expect(summaryOf([tally(moved)], 1, MUST_MOVE).violations).toEqual([])
    moved.delete('foundings')
    expect(summaryOf([tally(moved)], 1, MUST_MOVE).violations).toEqual([
      'nothing proven: no foundings in 500 seeds',
    ])
    expect(summaryOf([tally(moved)], 1, []).violations).toEqual([])
  })

  test('counts what one share saw for all', () => {
    const [a, b] = [new Map(MUST_MOVE.map((name) => [name, 1])), new Map([['foundings', 2]])]
    const summary = summaryOf([tally(a), tally(b)], 2, MUST_MOVE)
    expect(summary.violations).toEqual([])
    expect(summary.counters.foundings).toBe(3)
    expect(summary).toMatchObject({
      schedules: 1_000,
      stepsPerSecond: 10,
      readyAfterCalmMs: { median: 5, most: 5 },
    })
  })
})

test('shrinking needs something to shrink', () => {
  const { status, stderr } = run('--shrink')
  expect(status).toBe(2)
  expect(stderr).toContain('--shrink goes with --seed or --schedule')
})
