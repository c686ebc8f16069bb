/**
 * The only reader of files and environment for settings. Decides which files count, in which order they are
 * merged, and what they mean; emits one complete NodeConfig or all faults at once.
 */

import { ConfigError } from './config/faults.ts'
import type { HostProblem } from './core/orders.ts'
import type { Settings } from './core/settings.ts'
import type { Token } from './core/token.ts'

export { ConfigError, type ConfigFault } from './config/faults.ts'

export interface NodeConfig {
  readonly token: Token
  /** Complete: what the core is told. */
  readonly settings: Settings
  /** Absolute. */
  readonly stateDirectory: string
  /** Absolute. */
  readonly socketPath: string
  readonly interfaceName: string
  /** As people write them, checked. */
  readonly listen: readonly string[]
  /** UDP. */
  readonly meshPort: number
  readonly discovery: {
    readonly mdns: boolean
    readonly dht: boolean
    /** As people write them, checked. */
    readonly peers: readonly string[]
  }
  /** What was read and means nothing here, and what is unwise: for status and `config check`. */
  readonly warnings: readonly HostProblem[]
  /** Files that were read, in the order in which they were merged. */
  readonly sources: readonly string[]
}

export interface ConfigInputs {
  /** From --config. None: those of MUSTER_CONFIG, else the default places. */
  readonly files: readonly string[]
  /** MUSTER_CONFIG, MUSTER_TOKEN_FILE, MUSTER_STATE, MUSTER_SOCKET. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly flags: {
    readonly state?: string
    readonly socket?: string
    readonly interfaceName?: string
    readonly listen?: readonly string[]
  }
  /** Prefix of the default places; for tests. */
  readonly root?: string
}

/** @throws ConfigError with all faults that were found. */
export function readConfig(_inputs: ConfigInputs): NodeConfig {
  throw new ConfigError([
    { file: null, line: null, key: null, message: 'no configuration', hint: 'the reader is being written' },
  ])
}

/** YAML of all settings in effect, without the token and other secrets. */
export function printableConfig(config: NodeConfig): string {
  return `# ${config.sources.join(', ')}\n`
}
