/** Source files as the house rules see them: parsed once, with imports, comments and line numbers. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Comment, type EcmaScriptModule, type Program, parseSync } from 'oxc-parser'

export interface Source {
  /** Below the root. */
  readonly path: string
  readonly text: string
  readonly program: Program
  readonly module: EcmaScriptModule
  readonly comments: readonly Comment[]
}

export interface Fault {
  /** `file:line` */
  readonly at: string
  readonly message: string
}

/** @throws Error for what is no TypeScript: a checker that skips what it cannot read is silently green. */
export function parseSource(path: string, text: string): Source {
  const { program, module, comments, errors } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path}: ${error.message}`)
  return { path, text, program, module, comments }
}

/** Every TypeScript file in these rooms. */
export function readSources(root: string, rooms: readonly string[]): Source[] {
  return rooms
    .flatMap((room) => globSync(`${room}/**/*.ts`, { cwd: root }))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')))
}

export const faultAt = ({ path, text }: Source, offset: number, message: string): Fault => ({
  at: `${path}:${text.slice(0, offset).split('\n').length}`,
  message,
})
