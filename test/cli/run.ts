/** Runs command lines in this process, against whatever daemon is at the socket, and keeps what they say. */
import { runCommand } from '../../src/cli/command.ts'
import type { Input, Io, Output } from '../../src/cli/io.ts'
import type { ConfigInputs } from '../../src/config.ts'

export const NOW = new Date('2026-01-02T03:05:00.000Z')
export const VERSION = '7.8.9'

/** A place that text goes to. */
export class Screen implements Output {
  text = ''
  readonly isTTY: boolean
  readonly columns: number
  readonly rows: number

  constructor(isTTY = false, columns = 100, rows = 40) {
    this.isTTY = isTTY
    this.columns = columns
    this.rows = rows
  }

  write(text: string): boolean {
    this.text += text
    return true
  }
}

export interface Surroundings {
  readonly stdout?: Screen
  readonly stderr?: Screen
  /** What is typed or piped. */
  readonly stdin?: string
  readonly isInteractive?: boolean
  readonly env?: Readonly<Record<string, string>>
  readonly leaving?: AbortSignal
  /** Aborted when every time that is waited for is over; such tests decide themselves when that is. */
  readonly timeout?: AbortSignal
  readonly runDaemon?: (inputs: ConfigInputs, version: string) => Promise<number>
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function run(argv: readonly string[], surroundings: Surroundings = {}): Promise<Ran> {
  const { stdout = new Screen(), stderr = new Screen() } = surroundings
  const { stdin = '', isInteractive = false, env = {}, leaving, timeout, runDaemon } = surroundings
  const io: Io = {
    stdin: inputOf(stdin, isInteractive),
    stdout,
    stderr,
    env,
    now: () => NOW,
    timeout: () => timeout ?? new AbortController().signal,
    leaving: () => leaving ?? new AbortController().signal,
    runDaemon: runDaemon ?? (() => Promise.reject(new Error('no daemon was to be run'))),
  }
  const code = await runCommand(argv, VERSION, io)
  return { code, stdout: stdout.text, stderr: stderr.text }
}

function inputOf(text: string, isTTY: boolean): Input {
  return {
    isTTY,
    async *[Symbol.asyncIterator]() {
      // In pieces that fall into the middle of characters, as pipes may.
      for (const byte of new TextEncoder().encode(text)) yield Uint8Array.of(byte)
    },
  }
}

/** The one document on stdout; fails where there is anything else. */
export function documentOf({ stdout }: Ran): unknown {
  return JSON.parse(stdout)
}
