/** House rules that neither the compiler nor the linter knows. */
import { basename } from 'node:path'
import { Visitor } from 'oxc-parser'
import { z } from 'zod'
import { type Fault, faultAt, type Source } from './source.ts'

const LINES_MAX = 500

/** Files above LINES_MAX, each with its own bound and the reason why it is one room. */
const LONG_FILES: Readonly<Record<string, { readonly lines: number; readonly why: string }>> = {
  'src/core/replication.ts': { lines: 850, why: 'one protocol, read side by side with the paper' },
  'src/core/founding.ts': { lines: 600, why: 'one protocol: promise, propose, accept, certify' },
}

/** Names that say that a file has no concept yet. */
const NO_CONCEPT = /^(utils?|helpers?|common|misc|manager|shared|lib)$/

const UNFINISHED = /\b(TODO|FIXME|XXX|HACK)\b/
const SILENCED = /@ts-(ignore|expect-error|nocheck)|eslint-disable|biome-ignore-(all|start)/

/** Of a test or a suite: it would not run, or others would not. */
const LEFT_OUT = new Set(['skip', 'only', 'todo', 'skipIf', 'runIf', 'fails'])
const SUITES = new Set(['it', 'test', 'describe', 'bench'])

export function styleFaults(source: Source): Fault[] {
  const { path, text, comments, program } = source
  const faults: Fault[] = []
  const add = (offset: number, message: string): void => void faults.push(faultAt(source, offset, message))

  const lines = text.trimEnd().split('\n').length
  const bound = LONG_FILES[path]?.lines ?? LINES_MAX
  if (lines > bound) add(0, `${lines} lines, more than ${bound}: is it two rooms?`)

  const stem = basename(path).replace(/(\.test)?\.ts$/, '')
  if (NO_CONCEPT.test(stem)) add(0, `${stem} names no concept`)

  const opening = comments.find(({ start }) => /^(#!.*\n)?$/.test(text.slice(0, start)))
  const isTest = path.endsWith('.test.ts')
  if (!isTest && opening?.value.startsWith('*') !== true)
    add(0, 'a file begins with what it is for, as /** … */')

  for (const { start, value } of comments) {
    if (UNFINISHED.test(value)) add(start, `unfinished: ${value.trim()}`)
    if (SILENCED.test(value)) add(start, `silences a checker: ${value.trim()}`)
  }

  new Visitor({
    MemberExpression(node) {
      if (node.computed || node.property.type !== 'Identifier' || !LEFT_OUT.has(node.property.name)) return
      if (node.object.type === 'Identifier' && SUITES.has(node.object.name))
        add(node.start, `${node.object.name}.${node.property.name}: every test runs, everywhere`)
    },
  }).visit(program)
  return faults
}

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ resolved: z.string().optional(), integrity: z.string().optional() }),
  ),
})

/** Of package-lock.json: every package has its checksum, and no address, so that any registry serves. */
export function lockFaults(text: string): string[] {
  return Object.entries(Lock.parse(JSON.parse(text)).packages).flatMap(([path, { resolved, integrity }]) => [
    ...(resolved === undefined ? [] : [`${path} says where it comes from: ${resolved}`]),
    ...(path === '' || integrity !== undefined ? [] : [`${path} has no checksum`]),
  ])
}
