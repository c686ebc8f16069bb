/** The muster that a lab runs: the one-file bundle, made afresh where esbuild is, else the sources. */
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'

const ROOT = join(import.meta.dirname, '../..')

export interface Program {
  readonly kind: 'bundle' | 'source'
  /** Command line up to the verb. */
  readonly argv: readonly string[]
}

/**
 * The bundle starts three times faster and holds less memory than the sources (README, figures), so that
 * is what labs run. It is copied into `directory`, so that a build beside a running lab changes nothing.
 * MUSTER_LAB_PROGRAM=source runs the sources.
 */
export async function findProgram(directory: string): Promise<Program> {
  const source: Program = { kind: 'source', argv: [process.execPath, join(ROOT, 'src/main.ts')] }
  if (process.env.MUSTER_LAB_PROGRAM === 'source' || !existsSync(join(ROOT, 'node_modules/esbuild')))
    return source
  await execa('npm', ['run', '--silent', 'build'], { cwd: ROOT })
  const copy = join(directory, 'muster.mjs')
  copyFileSync(join(ROOT, 'dist/muster.mjs'), copy)
  return { kind: 'bundle', argv: [process.execPath, copy] }
}
