/** What can be wrong with a configuration: every fault with its file, line and key, and what to do about it. */
import { mayBeSecret } from './secrecy.ts'

/** Where something was said. */
export interface Place {
  /** Null where no file says it: a flag, the environment, or nothing at all. */
  readonly file: string | null
  /** From 1. */
  readonly line: number | null
  /** Dotted path such as `muster.vpn.cidr`, the name of a variable, or a flag. */
  readonly key: string | null
}

export interface ConfigFault extends Place {
  readonly message: string
  /** What a person can do. */
  readonly hint: string
}

/** Holds all the faults that were found, not only the first. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'MUSTER_E_CONFIG'
  readonly faults: readonly ConfigFault[]
  /** Of the first fault; the message names every fault's own. */
  readonly hint: string

  constructor(faults: readonly ConfigFault[]) {
    super(faults.map(faultText).join('\n'))
    this.faults = faults
    this.hint = faults[0]?.hint ?? ''
  }
}

export const NOWHERE: Place = { file: null, line: null, key: null }

/** `file:line: key`, as far as it is known. */
export function placeText({ file, line, key }: Place): string {
  const where = file === null ? null : line === null ? file : `${file}:${line}`
  return [where, key].filter((part) => part !== null).join(': ')
}

/** `file:line: key: message`, and the hint below it. */
export function faultText(fault: ConfigFault): string {
  const place = placeText(fault)
  return `${place}${place === '' ? '' : ': '}${fault.message}\n  hint: ${fault.hint}`
}

/**
 * A value as a message may repeat it. A secret may stand under any key by mistake, so that long texts and what
 * begins like a token are described only.
 */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') {
    return mayBeSecret(value) ? `a text of ${value.length} characters` : JSON.stringify(value)
  }
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'a map' : String(value)
}

/** A path as a message may repeat it: whoever forgets a colon's left side makes a key of a secret. */
export function keyText(path: readonly PropertyKey[]): string {
  return path
    .map(String)
    .map((part) => (mayBeSecret(part) ? '…' : part))
    .join('.')
}
