/** Schedules that once found something find nothing in the core as it is. */
import { describe, expect, test } from 'vitest'
import { readCorpus } from '../../sim/corpus.ts'
import { runSchedule } from '../../sim/world.ts'

const corpus = readCorpus()

describe('the corpus', () => {
  test('holds something', () => {
    expect(corpus.length).toBeGreaterThan(0)
  })

  test.each(corpus.map((entry) => [entry.name, entry] as const))('%s', async (_name, { found, schedule }) => {
    const { violation } = await runSchedule(schedule)
    expect(violation, `it once found ${found}`).toBeNull()
  })
})
