/**
 * What a detached process says. It writes straight into a file, not through us, because it outlives the daemon; we
 * keep that file small and read its end.
 */
import { closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from 'node:fs'
import { LOG_MAX_BYTES, LOG_TAIL_BYTES } from './timing.ts'

export class OutputLog {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** A descriptor for a child's output. The caller closes it. */
  open(): number {
    // Append mode, so that after a truncation the child goes on at the new end.
    return openSync(this.path, 'a', 0o600)
  }

  /** Bytes now: where the output of what starts next begins. */
  size(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Keeps the file before this one, and empties it in place: the child holds it open. */
  rotate(maxBytes = LOG_MAX_BYTES): void {
    if (this.size() <= maxBytes) return
    copyFileSync(this.path, `${this.path}.1`)
    truncateSync(this.path)
  }

  /** What was said since `offset`, or at the end of it. */
  tail(offset: number): string {
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
