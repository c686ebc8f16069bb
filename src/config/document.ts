/**
 * One YAML file as data that knows its lines. Decides whose keys are whose: in a cloud-config (`#cloud-config`
 * in the first line) others' keys stand beside ours, in a file of muster's own they are mistakes.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { type ConfigFault, keyText, type Place } from './faults.ts'
import type { Source } from './files.ts'

/** cloud-init's header, and Kairos' own names for it. */
const CLOUD_HEADER = /^\uFEFF?#(cloud|kairos|node)-config\b/
/** An alias repeats what it names; more of them than this are an attack, or a mistake. */
const ALIASES_MAX = 100

/** Codes whose message in the library says the same for every file; others repeat parts of it. */
const QUOTABLE: ReadonlySet<string> = new Set([
  'BAD_INDENT',
  'BLOCK_AS_IMPLICIT_KEY',
  'BLOCK_IN_FLOW',
  'MULTILINE_IMPLICIT_KEY',
  'MISSING_CHAR',
  'TAB_AS_INDENT',
])

export class ConfigDocument {
  readonly file: string
  /** Holds other programs' keys too. */
  readonly isCloudConfig: boolean
  readonly isPublic: boolean
  readonly #document: Document
  readonly #lines: LineCounter

  private constructor(source: Source, isCloudConfig: boolean, document: Document, lines: LineCounter) {
    this.file = source.file
    this.isCloudConfig = isCloudConfig
    this.isPublic = source.isPublic
    this.#document = document
    this.#lines = lines
  }

  /** Null for what is none of muster's business, and, with a fault, for what cannot be read. */
  static parse(source: Source, ours: readonly string[], faults: ConfigFault[]): ConfigDocument | null {
    const isCloudConfig = CLOUD_HEADER.test(source.text)
    if (source.isFound && !(isCloudConfig && mentions(source.text, ours))) return null
    const refuse = (line: number | null, message: string, hint: string): null => {
      faults.push({ file: source.file, line, key: null, message, hint })
      return null
    }
    const lines = new LineCounter()
    let document: Document
    try {
      // Keys that stand twice are looked for by hand, in our part only.
      document = parseDocument(source.text, {
        lineCounter: lines,
        prettyErrors: false,
        uniqueKeys: false,
        // Not silent: then only the first of several documents would be looked at, without a word.
        logLevel: 'error',
      })
    } catch {
      return refuse(null, 'cannot be read as YAML', 'it is nested too deeply')
    }
    const error = document.errors[0]
    if (error !== undefined) {
      const line = lines.linePos(error.pos[0]).line
      if (error.code === 'MULTIPLE_DOCS') {
        return refuse(line, 'holds more than one YAML document', 'keep one, or make two files')
      }
      const why = QUOTABLE.has(error.code) ? ` (${error.message})` : ''
      return refuse(line, `is not YAML here${why}`, 'check indentation, quotes and brackets at this line')
    }
    const root = document.contents
    if (root === null || (isScalar(root) && root.value === null)) {
      return refuse(null, 'is empty', 'write a `muster:` block into it')
    }
    if (!isMap(root)) return refuse(1, 'is no map of settings', 'begin with `muster:`')
    return new ConfigDocument(source, isCloudConfig, document, lines)
  }

  /** The keys of the file itself. */
  topKeys(): string[] {
    return keysOf(this.#document.contents)
  }

  /**
   * The block as plain data; undefined where the file has none, or, with a fault, where it cannot be had. Looks
   * for keys that stand twice: which of the two counts differs from program to program.
   */
  block(key: string, faults: ConfigFault[]): unknown {
    const node = this.#nodeAt([key])
    if (node === undefined) return undefined
    try {
      const root = repeated(this.#document.contents, [], 1).filter(([name]) => name === key)
      const twice = [...root, ...repeated(node, [key], Number.MAX_SAFE_INTEGER)]
      for (const path of twice) {
        const message = 'stands twice in one map'
        faults.push({ ...this.place(path), message, hint: 'keep one of the two' })
      }
      return twice.length > 0 ? undefined : node.toJS(this.#document, { maxAliasCount: ALIASES_MAX })
    } catch {
      const message = 'cannot be read: too deep, or YAML aliases too many or undefined'
      faults.push({ ...this.place([key]), message, hint: 'write the values out' })
      return undefined
    }
  }

  /** The place of a value: the line of its key, or of the item of a list. */
  place(path: readonly PropertyKey[]): Place {
    return { file: this.file, line: this.#lineOf(path), key: keyText(path) }
  }

  #lineOf(path: readonly PropertyKey[]): number | null {
    let node: unknown = this.#document.contents
    let offset: number | undefined
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.#document)
      if (isMap(node)) {
        const pair = node.items.findLast((item) => keyName(item.key) === String(step))
        if (pair === undefined) break
        offset = offsetOf(pair.key) ?? offset
        node = pair.value
      } else if (isSeq(node)) {
        node = node.items[Number(step)]
        offset = offsetOf(node) ?? offset
      } else break
    }
    return offset === undefined ? null : this.#lines.linePos(offset).line
  }

  #nodeAt(path: readonly [string]): Node | undefined {
    const node: unknown = this.#document.getIn(path, true)
    return isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node : undefined
  }
}

/** Whether a text has one of the keys at the start of a line: a file that is not even YAML may be another's. */
function mentions(text: string, keys: readonly string[]): boolean {
  return text.split('\n').some((line) => {
    const name = /^["']?([A-Za-z0-9_-]+)["']?[ \t]*:/.exec(line)?.[1]
    return name !== undefined && keys.includes(name)
  })
}

const keyName = (key: unknown): string => (isScalar(key) ? String(key.value) : '')

const keysOf = (node: unknown): string[] => (isMap(node) ? node.items.map((pair) => keyName(pair.key)) : [])

function offsetOf(node: unknown): number | undefined {
  return isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range?.[0] : undefined
}

/** Paths of keys that stand twice in one map, as deep as `depth` maps and lists. */
function repeated(node: unknown, path: readonly PropertyKey[], depth: number): PropertyKey[][] {
  if (depth === 0) return []
  if (isSeq(node)) return node.items.flatMap((item, index) => repeated(item, [...path, index], depth - 1))
  if (!isMap(node)) return []
  const seen = new Set<string>()
  return node.items.flatMap((pair) => {
    const name = keyName(pair.key)
    const isSecond = seen.has(name)
    seen.add(name)
    return [...(isSecond ? [[...path, name]] : []), ...repeated(pair.value, [...path, name], depth - 1)]
  })
}
