/**
 * What k3s was last started with, written before each start and kept across reboots: whoever finds it running
 * later knows whether it runs with what is wanted now. k3s itself hides its command line.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { writeDurably } from '../../durable-file.ts'

const startedSchema = z.strictObject({
  version: z.literal(1),
  role: z.enum(['server', 'agent']),
  revision: z.number().int().min(0),
  /** Hash of what k3s is restarted over when it changes. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** As the program said itself. */
  k3s: z.string().max(128),
  /** Server that it went through. */
  target: z.string().max(64).nullable(),
})
export type Started = Omit<z.infer<typeof startedSchema>, 'version'>

export function readStarted(state: string): Started | null {
  try {
    const { version: _, ...started } = startedSchema.parse(JSON.parse(readFileSync(pathIn(state), 'utf8')))
    return started
  } catch {
    return null
  }
}

export const writeStarted = (state: string, started: Started): Promise<void> =>
  writeDurably(pathIn(state), `${JSON.stringify({ version: 1, ...started })}\n`)

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

const pathIn = (state: string): string => join(state, 'started.json')

const snapshotSchema = z.strictObject({ version: z.literal(1), name: z.string(), file: z.string() })

/** Name of the snapshot that was ordered last, as long as its file is there. */
export function readSnapshot(state: string): string | null {
  try {
    const { name, file } = snapshotSchema.parse(
      JSON.parse(readFileSync(join(state, 'snapshot.json'), 'utf8')),
    )
    return existsSync(file) ? name : null
  } catch {
    return null
  }
}

export const writeSnapshot = (state: string, name: string, file: string): Promise<void> =>
  writeDurably(join(state, 'snapshot.json'), `${JSON.stringify({ version: 1, name, file })}\n`)
