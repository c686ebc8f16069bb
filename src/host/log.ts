/**
 * What the daemon says on stderr: one event per line, with a stable name and fields. JSON for machines, one
 * readable line for people. Secrets are typed as Secret and print as `[secret]`; names and shapes that secrets
 * are known by are struck out as well, for the day on which somebody forgets the type.
 */
import { pino } from 'pino'
import type { LogFields } from '../core/events.ts'
import { Secret } from '../core/secret.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogEvent {
  /** RFC 3339, this machine's wall clock. */
  readonly at: string
  readonly level: LogLevel
  /** Stable, dotted, lower case: `plan.committed`. */
  readonly event: string
  readonly fields: LogFields
}

export interface LogOptions {
  readonly format: 'json' | 'text'
  /** The least level that is written; subscribers get the same. */
  readonly level: LogLevel
}

export interface Log {
  /** Writes one event. Never throws, and the line has left the process when it returns. */
  write(
    level: LogLevel,
    event: string,
    fields?: Readonly<Record<string, LogFields[string] | Secret<unknown>>>,
  ): void
  /** Hands every event written from now on to `listener`, secrets struck out; the answer ends that. */
  subscribe(listener: (event: LogEvent) => void): () => void
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/**
 * The meaning of MUSTER_LOG: words from json, text, debug, info, warn, error, separated by commas. What is not
 * said follows from where stderr goes; unknown words are left out, because logging must not stop a daemon.
 */
export function logOptions(setting: string | undefined, isTerminal: boolean): LogOptions {
  const words = (setting ?? '').split(',').map((word) => word.trim().toLowerCase())
  const format = words.includes('json') ? 'json' : words.includes('text') || isTerminal ? 'text' : 'json'
  return { format, level: LEVELS.find((level) => words.includes(level)) ?? 'info' }
}

/** A log to stderr, or line by line (with its line feed) to `sink`. */
export function createLog(options: LogOptions, sink: (line: string) => void = stderrSink()): Log {
  const listeners = new Set<(event: LogEvent) => void>()
  const least = LEVELS.indexOf(options.level)
  const json = pino(
    {
      level: options.level,
      base: null,
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: sink },
  )
  return {
    write(level, event, fields = {}) {
      if (LEVELS.indexOf(level) < least) return
      const entry: LogEvent = { at: new Date().toISOString(), level, event, fields: withoutSecrets(fields) }
      if (options.format === 'json') json[level]({ at: entry.at, event, ...entry.fields })
      else sink(readable(entry))
      for (const listener of listeners) listener(entry)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** Written at once, so that the last line before a crash is there; a closed stderr is nobody's problem. */
function stderrSink(): (line: string) => void {
  const destination = pino.destination({ dest: 2, sync: true })
  destination.on('error', () => undefined)
  return (line) => {
    destination.write(line)
  }
}

const HIDDEN = '[secret]'
const SECRET_NAME = /token|secret|passw|psk|private|seed|entropy/i
/** Tokens of muster, swarm keys, PEM private keys. */
const SECRET_SHAPE =
  /muster1[1-9A-HJ-NP-Za-km-z]{20,}|\/key\/swarm\/psk\S*[\s\S]*|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*/g
/** A field's longest text: what others say is repeated in part, not in full. */
const TEXT_MAX = 1_024

function withoutSecrets(fields: Readonly<Record<string, LogFields[string] | Secret<unknown>>>): LogFields {
  const shown: Record<string, LogFields[string]> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Secret) shown[name] = HIDDEN
    else if (typeof value !== 'string') shown[name] = value
    else if (SECRET_NAME.test(name)) shown[name] = HIDDEN
    else shown[name] = clipped(value.replace(SECRET_SHAPE, HIDDEN))
  }
  return shown
}

const clipped = (text: string): string => (text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}…`)

function readable(entry: LogEvent): string {
  const time = entry.at.slice(11, 23)
  const fields = Object.entries(entry.fields).map(([name, value]) => ` ${name}=${fieldText(value)}`)
  return `${time} ${entry.level.padEnd(5)} ${entry.event}${fields.join('')}\n`
}

/** Bare where that is clear; quoted where it has spaces or anything that could pass for a line of its own. */
const fieldText = (value: LogFields[string]): string =>
  typeof value === 'string' && !/^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(value)
    ? JSON.stringify(value)
    : String(value)
