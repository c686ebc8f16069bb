/**
 * What a value says, in 64 bits: two values have the same where their DAG-CBOR encodings are the same, and by
 * no accident else. Many times faster than encoding and hashing, not least because each object is looked at
 * once: nobody changes what was signed, sent or written. Nothing for who looks for collisions; here nobody does.
 */

export interface Content {
  readonly high: number
  readonly low: number
}

interface Sum {
  high: number
  low: number
}

const known = new WeakMap<object, Content>()
/** Of the names of properties: there are some hundred. */
const names = new Map<string, Content>()

/** Of a list, or of anything else that is no part of something larger. */
export function contentOf(value: unknown): Content {
  if (isPlain(value)) return contentOfObject(value)
  const sum: Sum = { high: 0x811c9dc5, low: 0x27d4eb2f }
  addValue(sum, value)
  return sum
}

/** Sixteen hexadecimal digits. */
export const hexOf = ({ high, low }: Content): string =>
  (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0')

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

/** The order of properties says nothing, so that their sums are added up. */
function contentOfObject(value: Readonly<Record<string, unknown>>): Content {
  const before = known.get(value)
  if (before !== undefined) return before
  let high = 0x9e3779b9
  let low = 0x85ebca77
  const sum: Sum = { high: 0, low: 0 }
  for (const name in value) {
    const content = contentOfName(name)
    sum.high = content.high
    sum.low = content.low
    addValue(sum, value[name])
    high = (high + scrambled(sum.high ^ Math.imul(sum.low, 0x9e3779b1))) | 0
    low = (low + scrambled(sum.low ^ Math.imul(sum.high, 0x85ebca6b))) | 0
  }
  const content = { high, low }
  known.set(value, content)
  return content
}

function contentOfName(name: string): Content {
  const before = names.get(name)
  if (before !== undefined) return before
  const sum: Sum = { high: 0x811c9dc5, low: 0x27d4eb2f }
  addText(sum, name)
  names.set(name, sum)
  return sum
}

/** A bijection of words in which every bit depends on all (Chris Wellons' lowbias32). */
export function scrambled(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return x ^ (x >>> 16)
}

/** FNV-1a in one word and Murmur3's round in the other, so that what meets in one does not in the other. */
function addWord(sum: Sum, word: number): void {
  const high = Math.imul(sum.high ^ word, 0x01000193)
  sum.high = high ^ (high >>> 15)
  const low = sum.low ^ Math.imul(word, 0xcc9e2d51)
  sum.low = (Math.imul((low << 13) | (low >>> 19), 5) + 0xe6546b64) | 0
}

function addText(sum: Sum, text: string): void {
  addWord(sum, text.length)
  for (let i = 0; i < text.length; i++) addWord(sum, text.charCodeAt(i))
}

const NUMBERS = new Float64Array(1)
const WORDS = new Int32Array(NUMBERS.buffer)

/** Begins with what kind of thing it is: no text is the number that it spells. */
function addValue(sum: Sum, value: unknown): void {
  switch (typeof value) {
    case 'string':
      addWord(sum, 1)
      addText(sum, value)
      return
    case 'number':
      addWord(sum, 2)
      NUMBERS[0] = value
      addWord(sum, WORDS[0] ?? 0)
      addWord(sum, WORDS[1] ?? 0)
      return
    case 'boolean':
      addWord(sum, value ? 3 : 4)
      return
    case 'object':
      addObject(sum, value)
      return
    default:
      throw new TypeError(`${typeof value} has no encoding`)
  }
}

function addObject(sum: Sum, value: object | null): void {
  if (value === null) addWord(sum, 5)
  else if (value instanceof Uint8Array) {
    addWord(sum, 6)
    addWord(sum, value.length)
    for (const byte of value) addWord(sum, byte)
  } else if (Array.isArray(value)) {
    addWord(sum, 7)
    addWord(sum, value.length)
    for (const item of value) addValue(sum, item)
  } else if (isPlain(value)) {
    const { high, low } = contentOfObject(value)
    addWord(sum, 8)
    addWord(sum, high)
    addWord(sum, low)
  }
}
