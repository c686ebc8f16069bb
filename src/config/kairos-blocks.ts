/**
 * Kairos' blocks of all files together: reads each file's part of them, merges as Kairos does (a later file wins,
 * key by key), and goes through the table.
 */
import type { HostProblem } from '../core/orders.ts'
import type { ConfigDocument } from './document.ts'
import { type ConfigFault, keyText, type Place, placeText, shown } from './faults.ts'
import { asksForNothing, emptyDraft, KAIROS_BLOCKS, KAIROS_TABLE, type KairosDraft } from './kairos.ts'
import { suggestion } from './suggestion.ts'

interface Given {
  readonly value: unknown
  readonly place: Place
}

export interface KairosReading {
  readonly draft: KairosDraft
  readonly warnings: readonly HostProblem[]
  /** Keys that are given and ask for something, in the table's order. */
  readonly given: readonly string[]
  /** Where the key, such as `p2p.network_token`, stands. */
  place(key: string): Place
  /** It is given wrongly: a fault is known already. */
  isFaulty(key: string): boolean
}

/** @param named whether `muster:` says the same as an entry, so that the entry does not count. */
export function readKairosBlocks(
  documents: readonly ConfigDocument[],
  named: (musterKey: string) => boolean,
  faults: ConfigFault[],
): KairosReading {
  const warnings: HostProblem[] = []
  const warn = (place: Place, code: string, message: string, hint: string): void => {
    warnings.push({ code, severity: 'warning', message: `${placeText(place)}: ${message}`, hint })
  }
  const before = faults.length
  const given = new Map<string, Given>()
  let hasP2p = false
  // In a file of muster's own they stand by mistake, which is said already.
  for (const document of documents.filter(({ isCloudConfig }) => isCloudConfig)) {
    const blocks = document.topKeys().filter((key) => KAIROS_BLOCKS.includes(key))
    for (const block of new Set(blocks)) {
      hasP2p ||= block === 'p2p'
      const collect = new Collector(document, given, faults, warn)
      collect.section(document.block(block, faults), [block])
    }
  }
  const draft = emptyDraft()
  for (const { key, becomes, take } of KAIROS_TABLE) {
    const found = given.get(key)
    if (found === undefined && !(hasP2p && key.startsWith('p2p.'))) continue
    if (becomes !== null && named(becomes)) continue
    const place = found?.place ?? { file: null, line: null, key }
    take(found?.value, draft, (code, message, hint) => warn(place, code, message, hint))
  }
  return {
    draft,
    warnings,
    given: KAIROS_TABLE.map(({ key }) => key).filter((key) => !asksForNothing(given.get(key)?.value)),
    place: (key) => given.get(key)?.place ?? { file: null, line: null, key },
    isFaulty: (key) =>
      faults.slice(before).some((fault) => fault.key !== null && `${key}.`.startsWith(`${fault.key}.`)),
  }
}

/** Takes one file's values into those of all files. */
class Collector {
  readonly #document: ConfigDocument
  readonly #given: Map<string, Given>
  readonly #faults: ConfigFault[]
  readonly #warn: (place: Place, code: string, message: string, hint: string) => void

  constructor(
    document: ConfigDocument,
    given: Map<string, Given>,
    faults: ConfigFault[],
    warn: (place: Place, code: string, message: string, hint: string) => void,
  ) {
    this.#document = document
    this.#given = given
    this.#faults = faults
    this.#warn = warn
  }

  /** A map in which keys of the table, or maps with such, are looked for. */
  section(data: unknown, path: readonly string[]): void {
    if (data === undefined || data === null) return
    const place = this.#document.place(path)
    if (typeof data !== 'object' || Array.isArray(data)) {
      this.#faults.push({
        ...place,
        message: `must be a map of settings, not ${shown(data)}`,
        hint: 'see Kairos’ documentation of this block',
      })
      return
    }
    for (const [name, value] of Object.entries(data)) this.#key(value, [...path, name])
  }

  #key(value: unknown, path: readonly string[]): void {
    const key = path.join('.')
    const place = this.#document.place(path)
    const entry = KAIROS_TABLE.find((candidate) => candidate.key === key)
    if (entry === undefined) {
      if (KAIROS_TABLE.some((candidate) => candidate.key.startsWith(`${key}.`))) this.section(value, path)
      else this.#unknown(path, place)
      return
    }
    if (value === null) return
    const message = entry.fault(value)
    if (message === null) this.#given.set(key, { value, place })
    else this.#faults.push({ ...place, message, hint: 'see Kairos’ documentation of this key' })
  }

  /** Kairos looks at no key that it does not know; so the file works there, and must work here. */
  #unknown(path: readonly string[], place: Place): void {
    const [block = '', ...rest] = path
    const known = KAIROS_TABLE.filter(({ key }) => key.startsWith(`${block}.`)).map(({ key }) =>
      key.slice(block.length + 1),
    )
    const message = `${keyText(path.slice(-1))} is no key of Kairos' and is not looked at`
    this.#warn(place, 'config.ignored', message, suggestion(rest, known, block))
  }
}
