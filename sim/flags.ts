/** Flags of the simulator's commands: what is wrong with them is said with the usage, and exit code 2. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** @throws UsageError for an unknown flag, a missing value, or an argument that belongs to none. */
export function flagsOf<T extends ParseArgsOptionsConfig>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** A whole number of at least `least`; @throws UsageError for anything else. */
export function wholeNumber(flag: string, text: string, least: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isInteger(value) && value >= least) return value
  throw new UsageError(`--${flag} is ${JSON.stringify(text)}, not a whole number of at least ${least}`)
}

/** Runs a command; @returns its exit code. */
export async function runCommand(usage: string, run: () => Promise<number> | number): Promise<number> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${usage}`)
    return 2
  }
}
