import { describe, expect, test } from 'vitest'
import { scheduleOf } from '../../sim/scenario.ts'
import { runSchedule } from '../../sim/world.ts'

const COUNT = 100

describe('a crowd', () => {
  test('joins three founders one by one, and nobody’s work grows with the square of it', async () => {
    const machines = Array.from({ length: COUNT }, (_, i) => (i < 3 ? {} : { startAt: 2_000 + i * 20 }))
    const story = scheduleOf({ expect: 3, machines, distribution: 'none', calmAt: 2_000 + COUNT * 20 })
    const result = await runSchedule({ ...story, cluster: { ...story.cluster, maxNodes: 2 * COUNT } })
    expect(result.violation).toBeNull()
    expect(result.readyAt).not.toBeNull()
    expect(result.counts.get('newcomers')).toBe(COUNT - 3)
    // Each plan is certified on every member: an entry for each newcomer would be ten times as many.
    expect(result.counts.get('plans certified')).toBeLessThan(40 * COUNT)
    expect(result.counts.get('messages')).toBeLessThan(1_200 * COUNT)
  }, 120_000)
})
