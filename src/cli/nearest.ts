/** Words that do not exist, and the one that was probably meant. */
import { distance } from 'fastest-levenshtein'

/** Names the nearest known word where it is near enough to be meant, and all of them. */
export function nearest(text: string, known: readonly string[], kind: string): string {
  const ranked = known
    .map((word) => ({ word, edits: distance(text.toLowerCase(), word) }))
    .sort((a, b) => a.edits - b.edits)
  const [best] = ranked
  const all = `the ${kind} are ${known.join(', ')}`
  return best !== undefined && best.edits <= Math.max(2, best.word.length / 2)
    ? `did you mean ${best.word}? (${all})`
    : all
}
