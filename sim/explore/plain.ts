/**
 * A core's state as a value: copied, so that one state can be stepped in many ways, and written down, so that
 * two ways that lead to one state are seen to. Nothing is left out of the text: what a model wants forgotten
 * it sets to a constant before, in the state itself.
 */
import { contentOf } from '../oracles/contents.ts'

/** Never changed in place by the core, so that copies share them. */
const SHARED: ReadonlySet<string> = new Set([
  'durable',
  'settings',
  'claim',
  'signed',
  'entry',
  'certified',
  'proposal',
])

export function copyOf<T>(value: T): T
export function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, copyOf(item)]))
  if (value instanceof Set) return new Set(value)
  if (Array.isArray(value)) return value.map((item) => copyOf(item))
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, SHARED.has(key) ? item : copyOf(item)]),
  )
}

/** Equal for equal values: keys, and what is in maps and sets, in order. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('base64')}`
  if (value instanceof Map) {
    return `m${listed([...value].map(([key, item]) => `${textOf(key)}:${textOf(item)}`).sort())}`
  }
  if (value instanceof Set) return `s${listed([...value].map((item) => textOf(item)).sort())}`
  if (Array.isArray(value)) return `a${listed(value.map((item) => textOf(item)))}`
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `o${listed(entries.map(([key, item]) => `${key}:${SHARED.has(key) ? sharedText(item) : textOf(item)}`))}`
}

const listed = (parts: readonly string[]): string => `(${parts.join()})`

/** What is never changed in place is written down once. */
const sharedText = (value: unknown): string =>
  typeof value === 'object' && value !== null ? contentOf(value) : textOf(value)
