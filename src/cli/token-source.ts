/** Where the verbs about a token take it from: an argument, a file, the standard input, or the configuration. */
import { ConfigError, type ConfigFault, NOWHERE, type Place } from '../config/faults.ts'
import { readToken, readTokenFile } from '../config/network-token.ts'
import { readConfig } from '../config.ts'
import type { HostProblem } from '../core/orders.ts'
import type { Token } from '../core/token.ts'
import type { Context } from './context.ts'
import { readLine } from './input.ts'

/** @throws ConfigError where it is no token. */
export function tokenOfArgument(text: string, context: Context): Token {
  return tokenOf(text, { ...NOWHERE, key: 'argument' }, context)
}

/** `-` is the standard input. @throws ConfigError where it cannot be read or holds no token. */
export async function tokenOfFile(file: string, context: Context): Promise<Token> {
  if (file === '-') {
    const text = await readLine(
      context.io.stdin,
      (line) => line.trim() !== '' && !line.trim().startsWith('#'),
    )
    return tokenOf(text, { ...NOWHERE, key: 'standard input' }, context)
  }
  const faults: ConfigFault[] = []
  const warnings: HostProblem[] = []
  const found = readTokenFile(file, NOWHERE, faults, warnings)
  warn(warnings, context)
  if (found === null) throw new ConfigError(faults)
  return tokenOf(found.text, found.place, context)
}

/** This machine's. @throws ConfigError with everything that is wrong with the configuration. */
export function configuredToken(files: readonly string[], { io }: Context): Token {
  return readConfig({ files, env: io.env, flags: {} }).token
}

function tokenOf(text: string, place: Place, context: Context): Token {
  const faults: ConfigFault[] = []
  const warnings: HostProblem[] = []
  const read = readToken({ text, place, isKairos: false }, null, faults, warnings)
  warn(warnings, context)
  if (read === null) throw new ConfigError(faults)
  return read.token
}

function warn(warnings: readonly HostProblem[], { remark }: Context): void {
  for (const { severity, message, hint } of warnings) remark(`${severity}: ${message} (${hint})`)
}
