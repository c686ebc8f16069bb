/** Numbers that look like chance and are not: one stream for each seed and purpose, in whole numbers only. */

export interface Random {
  /** 0 … 2^32-1. */
  word(): number
  /** 0 … bound-1; 0 for a bound below 1. */
  below(bound: number): number
  /** low … high, both included. */
  between(low: number, high: number): number
  /** True in `of` out of a thousand draws. */
  perMille(of: number): boolean
  pick<T>(items: readonly T[]): T
  shuffled<T>(items: readonly T[]): T[]
}

/**
 * The stream of a seed for a purpose. Each fault and each link has its own, so that taking one fault out of
 * a schedule leaves the dice of all others as they were: else nothing could be shrunk.
 */
export function randomFrom(seed: number, purpose: string): Random {
  // sfc32 (Chris Doty-Humphrey, PractRand), seeded by FNV-1a over the purpose.
  let a = seed >>> 0
  let b = Math.floor(seed / 2 ** 32) ^ 0x9e3779b9
  let c = 0x811c9dc5
  let counter = 1
  for (let i = 0; i < purpose.length; i++) c = Math.imul(c ^ purpose.charCodeAt(i), 0x01000193)
  const word = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) word()
  const below = (bound: number): number => (bound < 1 ? 0 : word() % bound)
  return {
    word,
    below,
    between: (low, high) => low + below(high - low + 1),
    perMille: (of) => of > 0 && below(1_000) < of,
    pick: (items) => {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('nothing to pick from')
      return item
    },
    shuffled: (items) => {
      const left = [...items]
      const result: typeof left = []
      while (left.length > 0) result.push(...left.splice(below(left.length), 1))
      return result
    },
  }
}
