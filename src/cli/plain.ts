/**
 * Text of others made fit for a terminal. Names and messages come from peers, and a terminal obeys what it is
 * sent; so nothing that moves a cursor, colours, hides or reorders passes. Tokens do not either: a command line
 * that is wrong is quoted in its error.
 */
import { stripVTControlCharacters } from 'node:util'

const SPACE = /[\s\p{Zl}\p{Zp}]+/gu
/** Control characters, and format characters such as those that reverse the direction of writing. */
const UNSEEN = /[\p{Cc}\p{Cf}]/gu
const TOKEN = /muster1[1-9A-HJ-NP-Za-km-z]{20,}/g

/** One line without anything that a terminal would obey. */
export function plain(text: string): string {
  return stripVTControlCharacters(text.toWellFormed())
    .replace(SPACE, ' ')
    .replace(UNSEEN, '')
    .replace(TOKEN, '[secret]')
}

/** A document whose every text is plain. */
export function plainly<T>(value: T): T {
  return mapTexts(value) as T
}

function mapTexts(value: unknown): unknown {
  if (typeof value === 'string') return plain(value)
  if (Array.isArray(value)) return value.map(mapTexts)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item)]))
}

/** JSON that says the same and is harmless on a terminal: what JSON leaves unescaped beyond ASCII is escaped. */
export function jsonText(value: unknown): string {
  const escaped = (character: string): string =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join('')
  return JSON.stringify(value, null, 2).replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
}
