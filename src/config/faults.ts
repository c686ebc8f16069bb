/** What can be wrong with a configuration: every fault with its file, line and key, and what to do about it. */

export interface ConfigFault {
  /** Null where no file is at fault: a flag, the environment, or something that no file says. */
  readonly file: string | null
  /** From 1. */
  readonly line: number | null
  /** Dotted path, such as `muster.vpn.cidr`. */
  readonly key: string | null
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

/** `file:line: key: message` and the hint below it. */
export function faultText({ file, line, key, message, hint }: ConfigFault): string {
  const place = file === null ? '' : line === null ? `${file}: ` : `${file}:${line}: `
  return `${place}${key === null ? '' : `${key}: `}${message}\n  ${hint}`
}
