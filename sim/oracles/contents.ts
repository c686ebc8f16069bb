/** Names for contents, made here and not by the core: two values are one when all that they say is. */
import { hexOf, contentOf as saidBy } from '../content.ts'

const known = new WeakMap<object, string>()

export function contentOf(value: object): string {
  const cached = known.get(value)
  if (cached !== undefined) return cached
  const name = hexOf(saidBy(value))
  known.set(value, name)
  return name
}

/** The first characters, for people. */
export const short = (text: string): string => text.slice(0, 8)
