/** What the command reads and writes, so that a test can stand in for the terminal and the process. */
import type { ConfigInputs } from '../config.ts'
import { EXIT } from './errors.ts'

export interface Output {
  /** True where a person looks at it. */
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

export interface Input extends AsyncIterable<string | Uint8Array> {
  readonly isTTY?: boolean
}

export interface Io {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** The wall clock, against which ages are counted. */
  readonly now: () => Date
  /** Aborted when so much time has passed. */
  readonly timeout: (ms: number) => AbortSignal
  /** Aborted when the user wants to go (Ctrl-C) or nobody reads stdout any more; asked for by verbs that stay. */
  readonly leaving: () => AbortSignal
  /** The daemon in the foreground; resolves with its exit code. */
  readonly runDaemon: (inputs: ConfigInputs, version: string) => Promise<number>
}

/** This process. The daemon is loaded when it is wanted: the other verbs start without libp2p. */
export function processIo(): Io {
  const closed = new AbortController()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // `muster … | head` has seen enough: that is not worth a word.
    if (error.code === 'EPIPE') return closed.abort()
    process.stderr.write(`muster: cannot write the result: ${error.message}\n`)
    process.exit(EXIT.failed)
  })
  // Nobody listens to what goes wrong: that must not stop the verb.
  process.stderr.on('error', () => undefined)
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    now: () => new Date(),
    timeout: (ms) => AbortSignal.timeout(ms),
    leaving() {
      const asked = new AbortController()
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        process.once(signal, () => asked.abort())
      }
      return AbortSignal.any([closed.signal, asked.signal])
    },
    async runDaemon(inputs, version) {
      const { runDaemon } = await import('../host/daemon.ts')
      return runDaemon(inputs, version)
    },
  }
}
