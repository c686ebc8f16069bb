/**
 * GRUB's environment block: 1,024 bytes, a heading, lines of name=value, and # to the end. GRUB writes it in place,
 * and only into a file that already has this size (grub: util/grub-editenv.c, docs "Environment block").
 */
import { SlotError } from '../contract.ts'

export const ENV_BLOCK_BYTES = 1_024
const HEADING = '# GRUB Environment Block\n'
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/

export type Env = ReadonlyMap<string, string>

/** What GRUB makes of the bytes. Never throws: a block that GRUB cannot read has no variables. */
export function parseEnvBlock(bytes: Uint8Array): Env {
  const text = Buffer.from(bytes).toString('latin1')
  const env = new Map<string, string>()
  if (!text.startsWith(HEADING)) return env
  // A backslash quotes the next character, so that a value may hold a line's end.
  const lines = /((?:[^\\\n]|\\[\s\S])*)\n/g
  lines.lastIndex = HEADING.length
  for (let match = lines.exec(text); match !== null; match = lines.exec(text)) {
    const line = match[1] ?? ''
    if (line.startsWith('#')) continue
    const equals = line.indexOf('=')
    const name = line.slice(0, Math.max(0, equals))
    if (NAME.test(name)) env.set(name, line.slice(equals + 1).replaceAll(/\\([\s\S])/g, '$1'))
  }
  return env
}

/** @throws SlotError when the variables do not fit into a block. */
export function formatEnvBlock(env: Env): Uint8Array {
  const lines = [...env].map(([name, value]) => `${name}=${value.replaceAll(/[\\\n]/g, '\\$&')}\n`)
  const text = HEADING + lines.join('')
  const length = Buffer.byteLength(text, 'latin1')
  if (length > ENV_BLOCK_BYTES) {
    throw new SlotError(
      'MUSTER_E_SLOT_IO',
      `GRUB’s environment block has room for ${ENV_BLOCK_BYTES} bytes, not ${length}`,
      'remove variables that nobody needs: `grub-editenv FILE list`, `grub-editenv FILE unset NAME`',
    )
  }
  return Buffer.from(text.padEnd(ENV_BLOCK_BYTES, '#'), 'latin1')
}

/** The block with some variables changed (null removes one), the others as they were and in their order. */
export function changeEnvBlock(
  bytes: Uint8Array,
  changes: Readonly<Record<string, string | null>>,
): Uint8Array {
  const env = new Map(parseEnvBlock(bytes))
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) env.delete(name)
    else env.set(name, value)
  }
  return formatEnvBlock(env)
}
