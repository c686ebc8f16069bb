/** What every verb is given: its surroundings, where the daemon's socket is, and how to say something. */
import type { Command } from 'commander'
import { type Client, connectTo } from '../host/api/client.ts'
import type { Io } from './io.ts'
import { jsonText, plain } from './plain.ts'
import { type Terminal, terminalOf } from './terminal.ts'

export interface Context {
  readonly io: Io
  readonly version: string
  /** Of stdout. */
  readonly terminal: Terminal
  /** The verb's result, on stdout. */
  print(text: string): void
  /** The one document of `--json`, on stdout. */
  printJson(document: unknown): void
  /** A remark for people, on stderr, made plain. */
  remark(text: string): void
  /** For a verb that ends otherwise than fine without an error of its own. */
  end(exitCode: number): void
  /** The daemon's API. */
  connect(options: SocketOption): Client
}

export interface SocketOption {
  readonly socket?: string
}

export interface JsonOption {
  readonly json?: true
}

export const DEFAULT_SOCKET = '/run/muster.sock'

export function contextOf(io: Io, version: string, end: Context['end']): Context {
  return {
    io,
    version,
    end,
    terminal: terminalOf(io.stdout, io.env),
    print: (text) => void io.stdout.write(`${text}\n`),
    printJson: (document) => void io.stdout.write(`${jsonText(document)}\n`),
    remark: (text) => void io.stderr.write(`${plain(text)}\n`),
    connect: ({ socket }) => connectTo(socket ?? (io.env.MUSTER_SOCKET || DEFAULT_SOCKET)),
  }
}

export const withSocket = (command: Command): Command =>
  command.option('--socket <path>', `the daemon's socket (default: $MUSTER_SOCKET, else ${DEFAULT_SOCKET})`)

export const withJson = (command: Command): Command =>
  command.option('--json', 'print one JSON document on stdout')

/** `--config FILE`, any number of times. */
export const withConfig = (command: Command): Command =>
  command.option(
    '--config <file>',
    'a configuration file, any number of times (default: $MUSTER_CONFIG, else /etc/muster/*.yaml and cloud-config)',
    collect,
  )

/** For an option that may be given any number of times. */
export const collect = (value: string, values: readonly string[] = []): readonly string[] => [
  ...values,
  value,
]

export interface ConfigOption {
  readonly config?: readonly string[]
}
