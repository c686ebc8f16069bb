/** The `muster:` blocks of all files as one: a later file wins, except where that would choose another cluster. */
import { dirname, resolve } from 'node:path'
import { type ConfigFault, NOWHERE, type Place, placeText } from './faults.ts'
import type { MusterBlock } from './muster-block.ts'
import { type Muster, overlay } from './schema.ts'

/**
 * These say which cluster a machine belongs to. Which of two files counts must not hang on their names: a file
 * that was left over would lead a machine astray without a word.
 */
const SAME_EVERYWHERE = ['token', 'token_file', 'expect'] as const

export interface Merged {
  readonly values: Muster
  /** Where the value in effect stands; nowhere for what no file says. */
  place(key: string): Place
  /** Some file says it, rightly or wrongly. */
  isNamed(key: string): boolean
  /** Said wrongly, or in a file that could not be read: a fault is known already. */
  mayBeMeant(key: string): boolean
}

/** @param isPartial a file could not be read, or says something outside of the block: what is missing may be there. */
export function mergeBlocks(
  blocks: readonly MusterBlock[],
  isPartial: boolean,
  faults: ConfigFault[],
): Merged {
  for (const key of SAME_EVERYWHERE) {
    const [first, ...others] = blocks.filter(({ values }) => values[key] !== undefined)
    const other = others.find((block) => first !== undefined && said(block, key) !== said(first, key))
    if (first === undefined || other === undefined) continue
    faults.push({
      ...other.place(key),
      message: `differs from ${placeText(first.place(key))}`,
      hint: 'keep one of the two: they lead to different clusters',
    })
  }
  const last = (key: string): MusterBlock | undefined =>
    blocks.findLast(({ values }) => at(values, key) !== undefined)
  const isWrong = (key: string): boolean =>
    blocks.some(({ faulty }) =>
      faulty.some((path) => path === '' || path === key || key.startsWith(`${path}.`)),
    )
  return {
    values: blocks.reduce<Muster>((under, { values }) => overlay(under, values), {}),
    place: (key) => last(key)?.place(key) ?? NOWHERE,
    isNamed: (key) => last(key) !== undefined || isWrong(key),
    mayBeMeant: (key) => isPartial || isWrong(key),
  }
}

/** The value as it can be compared between files. */
function said({ values, document }: MusterBlock, key: (typeof SAME_EVERYWHERE)[number]): unknown {
  const value = values[key]
  return key === 'token_file' && typeof value === 'string' ? resolve(dirname(document.file), value) : value
}

function at(values: unknown, key: string): unknown {
  let value = values
  for (const step of key.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Object.entries(value).find(([name]) => name === step)?.[1]
  }
  return value
}
