/**
 * The golden transcripts: what a node says, writes and decides in five stories. A change of one is a change of
 * the protocol: look at it, then write it with MUSTER_WRITE_TRANSCRIPTS=1 and give the reason in the commit.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { scheduleOf } from '../../sim/scenario.ts'
import { createTrace } from '../../sim/trace.ts'
import { runSchedule } from '../../sim/world.ts'
import { stories } from './stories.ts'

const directory = fileURLToPath(new URL('../transcripts/', import.meta.url))
const isWriting = process.env.MUSTER_WRITE_TRANSCRIPTS === '1'

describe('golden transcripts', () => {
  test.each(stories)('$name', async ({ name, about, story }) => {
    const lines: string[] = []
    const trace = createTrace((line) => lines.push(line), { everything: false, hears: false })
    const result = await runSchedule(scheduleOf(story), trace)
    expect(result.violation).toBeNull()
    const text = `${about}\n\n${lines.join('\n')}\n`
    const file = `${directory}${name}.txt`
    if (isWriting) {
      mkdirSync(directory, { recursive: true })
      writeFileSync(file, text)
    }
    expect(text).toBe(readFileSync(file, 'utf8'))
  })
})
