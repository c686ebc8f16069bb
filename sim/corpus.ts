/**
 * Schedules that once found something, kept whole: what a seed means changes with the function that draws it,
 * what a schedule means does not. Replayed by the tests and by `node sim/run.ts --corpus`, for ever.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Schedule } from './schedule.ts'

const entrySchema = z.strictObject({
  /** What was wrong when it was found, or which planted bug it finds; and the rule that broke. */
  found: z.string().min(1),
  schedule: z.custom<Schedule>((value) => typeof value === 'object' && value !== null && 'seed' in value),
})

export interface CorpusEntry extends z.infer<typeof entrySchema> {
  readonly name: string
}

const directory = fileURLToPath(new URL('./corpus/', import.meta.url))

export const readCorpus = (): CorpusEntry[] =>
  readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => readEntry(`${directory}${file}`, file.slice(0, -'.json'.length)))

export const readEntry = (path: string, name: string): CorpusEntry => ({
  name,
  ...entrySchema.parse(JSON.parse(readFileSync(path, 'utf8'))),
})
