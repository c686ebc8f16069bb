/** Pieces that the schema is made of: what a value must be, and in which words a wrong one is told. */
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { shown } from './faults.ts'
import { holdsToken } from './secrecy.ts'

/** The message for every way in which a value can be wrong. */
export const wants = (what: string) => ({
  error: (issue: { readonly input?: unknown }) =>
    issue.input === null ? `has no value: it must be ${what}` : `must be ${what}, not ${shown(issue.input)}`,
})

const TOKEN_ASTRAY = 'is a network token: only `token` may hold it'
export const text = (what: string) =>
  z
    .string(wants(what))
    .min(1, wants(what))
    .refine((value) => !holdsToken(value), { error: TOKEN_ASTRAY, abort: true })
export const trueOrFalse = z.boolean(wants('true or false'))
export const whole = (min: number, max: number) => {
  const error = wants(`a whole number from ${min} to ${max}`)
  return z.int(error).min(min, error).max(max, error)
}
/** A text that a function finds fault with, or not. */
export const checked = (what: string, faultOf: (value: string) => string | null) =>
  text(what).superRefine((value, context) => {
    const message = faultOf(value)
    if (message !== null) context.addIssue({ code: 'custom', message })
  })
export const absolutePath = checked('a path', (path) =>
  isAbsolute(path) ? null : 'must be an absolute path',
)

const isNoMap = (issue: { readonly code?: string; readonly input?: unknown }): string | undefined =>
  issue.code === 'invalid_type' ? `must be a map of settings, not ${shown(issue.input)}` : undefined

/** A section that is there without content, because all of it is commented out, is no mistake. */
export const section = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess((value) => value ?? {}, z.strictObject(shape, { error: isNoMap }).partial())

/** One item of a list of maps. */
export const item = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape, { error: isNoMap }).partial()

/** A map of names to texts; numbers and truth values are taken for the words that they are written with. */
export const texts = (what: string, nameFault: (name: string) => string | null) =>
  z
    .record(
      z.string(),
      z.union([text(what), z.literal(''), z.number(), z.boolean()], wants(what)).transform(String),
      {
        error: isNoMap,
      },
    )
    .superRefine((map, context) => {
      for (const name of Object.keys(map)) {
        const message = nameFault(name)
        if (message !== null) context.addIssue({ code: 'custom', path: [name], message })
      }
    })

const DURATION = /^(\d{1,6})(ms|s|m|h)$/
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A time up to `maxMs`; `longest` is the same for people. */
export const duration = (maxMs: number, longest: string) =>
  checked('a time such as 10s, 500ms or 2m', (value) =>
    durationMs(value) > maxMs
      ? `must be a time from 0s to ${longest}, such as 10s or 2m, not ${shown(value)}`
      : null,
  ).transform(durationMs)

/** Infinite for what is none. */
function durationMs(value: string): number {
  const match = DURATION.exec(value)
  return match === null ? Number.POSITIVE_INFINITY : Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? 1)
}
