/**
 * What in src/core would make two runs of the same events differ. That no host is in sight there (clock, timers,
 * sockets, log, Node) is proven by the compiler, for src/core/tsconfig.json gives it none. Here is what the language
 * itself brings: its clock and its dice, the local time zone and language, promises, which leave the order of
 * things to the host, and state that survives a step.
 */
import { type CallExpression, type MemberExpression, type NewExpression, Visitor } from 'oxc-parser'
import { type Fault, faultAt, type Source } from './source.ts'

/** Of Math: exact in every engine. The rest may differ in the last bit. */
const EXACT = new Set(['abs', 'ceil', 'floor', 'max', 'min', 'round', 'sign', 'trunc', 'imul', 'clz32'])

const LOCAL_TIME =
  /^(get|set)(FullYear|Month|Date|Day|Hours|Minutes|Seconds|Milliseconds|TimezoneOffset)$|^to(Date|Time)String$/

/** The language's own globals that depend on more than their arguments. */
const IMPURE_GLOBALS = new Map([
  ['Intl', 'it depends on the machine’s language'],
  ['Promise', 'the host decides the order in which promises go on'],
  ['WeakRef', 'the garbage collector decides what it holds'],
  ['FinalizationRegistry', 'the garbage collector decides when it calls'],
  ['SharedArrayBuffer', 'others may write to it'],
  ['Atomics', 'it waits for others'],
  ['globalThis', 'it is a way to everything'],
  ['eval', 'nobody can check it'],
  ['Function', 'nobody can check it'],
])

/** Exported beside pure functions by packages that the core may import. */
const IMPURE_IMPORTS = new Set(['randomBytes', 'nextTick', 'asyncLoop'])

export function purityFaults(source: Source): Fault[] {
  const faults: Fault[] = []
  const add = ({ start }: { start: number }, message: string): void => {
    faults.push(faultAt(source, start, `the core must be pure: ${message}`))
  }

  for (const { entries, start } of source.module.staticImports) {
    for (const { importName } of entries) {
      if (importName.name !== null && IMPURE_IMPORTS.has(importName.name))
        add({ start }, `${importName.name} is not`)
    }
  }
  for (const statement of source.program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
    if (declaration?.type === 'VariableDeclaration' && declaration.kind !== 'const')
      add(declaration, 'a variable of the module outlives the step; state belongs in the state')
  }

  const isDate = (node: CallExpression | NewExpression): boolean =>
    node.callee.type === 'Identifier' && node.callee.name === 'Date'
  const asynchronous = (node: { start: number; async: boolean }): void => {
    if (node.async) add(node, 'the host decides when an async function goes on')
  }
  new Visitor({
    NewExpression(node) {
      if (isDate(node) && node.arguments.length === 0) add(node, 'new Date() reads the clock; take `now`')
    },
    CallExpression(node) {
      if (isDate(node)) add(node, 'Date() reads the clock; take `now`')
    },
    MemberExpression(node) {
      const name = memberName(node)
      const object = node.object.type === 'Identifier' ? node.object.name : null
      if (name === null) return
      if (object === 'Date' && name !== 'UTC') add(node, `Date.${name} reads the clock or the time zone`)
      if (object === 'Math' && name === 'random') add(node, 'Math.random() is a die; draw from the state')
      else if (object === 'Math' && !EXACT.has(name)) add(node, `Math.${name} may differ between engines`)
      if (name === 'localeCompare' || name.startsWith('toLocale'))
        add(node, `${name} depends on the machine’s language; compare with < or by code units`)
      if (LOCAL_TIME.test(name)) add(node, `${name} depends on the time zone; use its UTC form`)
    },
    ForInStatement(node) {
      add(node, 'for…in takes number-like keys first; use for…of over a collection with an order')
    },
    AwaitExpression(node) {
      add(node, 'the host decides when an await goes on')
    },
    FunctionDeclaration: asynchronous,
    FunctionExpression: asynchronous,
    ArrowFunctionExpression: asynchronous,
    Identifier(node) {
      const why = IMPURE_GLOBALS.get(node.name)
      if (why !== undefined) add(node, `${node.name}: ${why}`)
    },
  }).visit(source.program)
  return faults
}

function memberName({ computed, property }: MemberExpression): string | null {
  if (!computed) return property.type === 'Identifier' ? property.name : null
  return property.type === 'Literal' && typeof property.value === 'string' ? property.value : null
}
