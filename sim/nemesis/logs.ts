/** Reads what daemons log while they log it: each look answers the whole lines that are new since the last. */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Host } from '../lab/host.ts'
import type { Logged } from './witness.ts'

/** More than a daemon logs between two looks. */
const CHUNK_BYTES = 256 * 1024

export class LogTail {
  readonly #host: Host
  #offset = 0
  #rest = Buffer.alloc(0)

  constructor(host: Host) {
    this.#host = host
  }

  news(): Logged[] {
    const found: Logged[] = []
    for (;;) {
      const chunk = this.#read()
      if (chunk.length === 0) return found
      const text = Buffer.concat([this.#rest, chunk])
      const end = text.lastIndexOf('\n') + 1
      this.#rest = text.subarray(end)
      for (const line of text.subarray(0, end).toString('utf8').split('\n')) {
        const parsed = parseLine(line)
        if (parsed !== null) found.push(parsed)
      }
    }
  }

  #read(): Buffer {
    let file: number
    try {
      file = openSync(this.#host.place.logFile, 'r')
    } catch {
      return Buffer.alloc(0)
    }
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES)
      const length = readSync(file, chunk, 0, chunk.length, this.#offset)
      this.#offset += length
      return chunk.subarray(0, length)
    } finally {
      closeSync(file)
    }
  }
}

/** Null for what is no event: words of programs, and a line that a SIGKILL cut. */
function parseLine(line: string): Logged | null {
  if (!line.startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(line)
    return isLogged(value) ? value : null
  } catch {
    return null
  }
}

const isLogged = (value: unknown): value is Logged =>
  typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string'
