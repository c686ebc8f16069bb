/** Waiting for conditions, never for time: the only way in which the lab and its tests pass time. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface UntilOptions {
  /** Gives up after this long, milliseconds. */
  readonly timeoutMs?: number
  /** Pause between two looks, milliseconds. */
  readonly everyMs?: number
  /** What to say of the last look when giving up. */
  readonly describe?: () => string | Promise<string>
  readonly signal?: AbortSignal
}

/** Thrown when a condition did not come true in time; the message says what was waited for and what was seen. */
export class NotInTime extends Error {
  override readonly name = 'NotInTime'
}

/**
 * Looks until `look` answers something other than null, undefined or false, and returns that. A look that
 * throws counts as "not yet"; its error is told when time is up.
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, null | undefined | false>> {
  const { timeoutMs = 30_000, everyMs = 100, signal } = options
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  for (;;) {
    signal?.throwIfAborted()
    try {
      const seen = await look()
      if (seen !== null && seen !== undefined && seen !== false) {
        return seen as Exclude<T, null | undefined | false>
      }
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    if (performance.now() >= deadline) break
    await sleep(everyMs, undefined, signal === undefined ? {} : { signal })
  }
  const seen = options.describe === undefined ? '' : `\nlast seen: ${await options.describe()}`
  const cause = lastError instanceof Error ? `\nlast error: ${lastError.message}` : ''
  throw new NotInTime(`not within ${timeoutMs} ms: ${what}${cause}${seen}`)
}
