/** Lengths of time as people write them, 90s, 5m or 1h, and as they read them. */
import { UsageError } from './errors.ts'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
/** A week: whoever waits longer has mistyped. */
const DURATION_MAX_MS = 7 * 24 * 3_600_000

/** @throws UsageError for what is no duration. */
export function parseDuration(text: string): number {
  const [, number, unit] = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)$/.exec(text) ?? []
  const value = Number(number) * (UNITS[unit ?? ''] ?? Number.NaN)
  if (value > 0 && value <= DURATION_MAX_MS) return Math.max(1, Math.round(value))
  throw new UsageError(
    `${JSON.stringify(text)} is no duration up to a week`,
    'write a number and ms, s, m or h, such as 90s, 5m or 1h',
  )
}

/** Rounded down to what matters: `0.4 s`, `42 s`, `7 min`, `3 h 12 min`, `5 days`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds === 0 && ms >= 100) return `0.${Math.floor(ms / 100)} s`
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} days`
}
