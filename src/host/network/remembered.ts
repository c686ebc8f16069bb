/**
 * Peers of former runs, on disk, so that a node finds its network again without mDNS or written addresses. Only
 * addresses: what is lost or wrong here costs a little time and nothing else.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeDurably } from '../durable-file.ts'
import type { Known } from './targets.ts'

const FILE = 'peers.json'
/** News is written this often at most: a lost minute of it is found again by the others' gossip. */
const WRITE_MS = 60_000
/** The first peers are worth more than later ones: without them a restart finds nobody. */
const FIRST_WRITE_MS = 5_000

const schema = z.array(
  z.strictObject({ id: z.string().max(128), addresses: z.array(z.string().max(256)).max(64) }),
)

/** The peers remembered in the state directory; none where the file is missing or not what muster writes. */
export async function readRemembered(directory: string): Promise<readonly Known[]> {
  try {
    return schema.parse(JSON.parse(await readFile(join(directory, FILE), 'utf8')))
  } catch {
    return []
  }
}

export interface Remembering {
  /** Writes what is known now, a last time. */
  stop(): Promise<void>
}

/** Keeps the file in step with what the network knows. A write that fails is repeated with the next. */
export function keepRemembered(directory: string, known: () => readonly Known[]): Remembering {
  let written = ''
  const write = async (): Promise<void> => {
    const text = JSON.stringify(known())
    if (text === written || text === '[]') return
    try {
      await writeDurably(join(directory, FILE), text)
      written = text
    } catch {
      // A full or failing disk is the store's to report.
    }
  }
  const first = setTimeout(() => void write(), FIRST_WRITE_MS)
  const timer = setInterval(() => void write(), WRITE_MS)
  return {
    stop: async () => {
      clearTimeout(first)
      clearInterval(timer)
      await write()
    },
  }
}
