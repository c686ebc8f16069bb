/** What etcd says, and from it for a person why it ended. */
import { join } from 'node:path'
import { z } from 'zod'
import { OutputLog } from './output-log.ts'

/** Why etcd ended, as far as its last words tell. */
export interface LastWords {
  readonly cause: 'removed' | 'port-taken' | 'address-missing' | 'no-space' | 'other'
  /** One line, at most 300 characters. */
  readonly text: string
}

export class EtcdLog extends OutputLog {
  constructor(directory: string) {
    super(join(directory, 'etcd.log'))
  }

  /** What was said since `offset`, or at the end of it. */
  lastWords(offset: number): LastWords {
    return explain(this.tail(offset))
  }
}

const lineSchema = z.object({ level: z.string(), msg: z.string(), error: z.string().optional() })

/** Reads output of etcd 3.4 (zap, one JSON object per line; a panic is plain text). */
export function explain(output: string): LastWords {
  let last = 'nothing'
  let gravest: string | null = null
  for (const line of output.split('\n').filter((text) => text.trim() !== '')) {
    const said = parseLine(line)
    const text = said === null ? line : said.error === undefined ? said.msg : `${said.msg}: ${said.error}`
    // etcd says this of itself alone, when it sees its own removal or is told of it by its peers.
    if (said?.msg === 'server error' && said.error?.includes('permanently removed from the cluster')) {
      return { cause: 'removed', text: shortened(text) }
    }
    if (/address already in use/.test(text)) return { cause: 'port-taken', text: shortened(text) }
    if (/cannot assign requested address/.test(text))
      return { cause: 'address-missing', text: shortened(text) }
    if (/no space left on device|disk quota exceeded/.test(text))
      return { cause: 'no-space', text: shortened(text) }
    const isGrave =
      said === null ? text.startsWith('panic: ') : /^(error|dpanic|panic|fatal)$/.test(said.level)
    if (isGrave || said?.msg === 'failed to start etcd') gravest = text
    // Stack traces say nothing to a person.
    if (said !== null) last = text
  }
  return { cause: 'other', text: shortened(gravest ?? last) }
}

function parseLine(line: string): z.infer<typeof lineSchema> | null {
  if (!line.startsWith('{')) return null
  try {
    return lineSchema.parse(JSON.parse(line))
  } catch {
    return null
  }
}

const shortened = (text: string): string => (text.length > 300 ? `${text.slice(0, 299)}…` : text)
