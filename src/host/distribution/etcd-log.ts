/**
 * What etcd says. It writes straight into a file, not through us, because it outlives the daemon; we keep that
 * file small and read its end to tell a person why etcd ended.
 */
import { closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { LOG_MAX_BYTES, LOG_TAIL_BYTES } from './timing.ts'

/** Why etcd ended, as far as its last words tell. */
export interface LastWords {
  readonly cause: 'removed' | 'port-taken' | 'address-missing' | 'no-space' | 'other'
  /** One line, at most 300 characters. */
  readonly text: string
}

export class EtcdLog {
  readonly path: string

  constructor(directory: string) {
    this.path = join(directory, 'etcd.log')
  }

  /** A descriptor for a child's output. The caller closes it. */
  open(): number {
    // Append mode, so that after a truncation etcd goes on at the new end.
    return openSync(this.path, 'a', 0o600)
  }

  /** Bytes now: where the output of what starts next begins. */
  size(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Keeps the file before this one, and empties it in place: etcd holds it open. */
  rotate(maxBytes = LOG_MAX_BYTES): void {
    if (this.size() <= maxBytes) return
    copyFileSync(this.path, `${this.path}.1`)
    truncateSync(this.path)
  }

  /** What was said since `offset`, or at the end of it. */
  lastWords(offset: number): LastWords {
    return explain(this.#tail(offset))
  }

  #tail(offset: number): string {
    let file: number
    try {
      file = openSync(this.path, 'r')
    } catch {
      return ''
    }
    try {
      const { size } = fstatSync(file)
      const start = Math.max(offset <= size ? offset : 0, size - LOG_TAIL_BYTES)
      const bytes = Buffer.alloc(size - start)
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, start)).toString('utf8')
    } finally {
      closeSync(file)
    }
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
