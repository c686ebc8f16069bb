/** The known key that an unknown one was probably meant to be. */
import { closest, distance } from 'fastest-levenshtein'

/** What a person may have meant by an unknown key: the same word at another place, else the nearest here. */
export function suggestion(path: readonly string[], known: readonly string[], block: string): string {
  const name = path.at(-1) ?? ''
  const prefix = path.length > 1 ? `${path.slice(0, -1).join('.')}.` : ''
  const elsewhere = known.find((key) => key.split('.').at(-1) === name)
  if (elsewhere !== undefined) return `did you mean ${block}.${elsewhere}?`
  const here = known
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length).split('.')[0] ?? '')
  const siblings = [...new Set(here)]
  const nearest = (words: readonly string[]): string | null => {
    if (words.length === 0 || name.length > 64) return null
    const word = closest(name, words)
    return distance(name, word) <= Math.max(2, Math.floor(word.length / 3)) ? word : null
  }
  const sibling = nearest(siblings)
  if (sibling !== null) return `did you mean ${block}.${prefix}${sibling}?`
  const distant = nearest(known.map((key) => key.split('.').at(-1) ?? ''))
  const whole = known.find((key) => key.split('.').at(-1) === distant)
  return distant === null || whole === undefined
    ? `known here: ${siblings.join(', ')}`
    : `did you mean ${block}.${whole}?`
}
