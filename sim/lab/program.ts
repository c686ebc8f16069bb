/** The muster that a lab runs: the one-file bundle, made afresh where esbuild is, else the sources. */
import { chmodSync, copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { execa } from 'execa'

const ROOT = join(import.meta.dirname, '../..')

export interface Program {
  /** Command line up to the verb. */
  readonly argv: readonly string[]
  /** The one file that is the program; null where it is more than one. */
  readonly bundle: string | null
}

/**
 * The bundle starts three times faster and holds less memory than the sources (README, figures), so that
 * is what labs run. MUSTER_LAB_PROGRAM=source runs the sources, MUSTER_LAB_PROGRAM=FILE a bundle made elsewhere.
 */
export async function findProgram(): Promise<Program> {
  const wanted = process.env.MUSTER_LAB_PROGRAM ?? ''
  const sources: Program = { argv: [process.execPath, join(ROOT, 'src/main.ts')], bundle: null }
  if (wanted === 'source') return sources
  if (wanted !== '') return { argv: [process.execPath, resolve(wanted)], bundle: resolve(wanted) }
  if (!existsSync(join(ROOT, 'node_modules/esbuild'))) return sources
  await execa('npm', ['run', '--silent', 'bundle'], { cwd: ROOT })
  const bundle = join(ROOT, 'dist/muster.mjs')
  return { argv: [process.execPath, bundle], bundle }
}

/**
 * A lab's own copy in `directory`, so that a build beside a running lab changes nothing there, and a command
 * `muster` for who enters a host. `seenAs` is the directory as the hosts see it.
 */
export function installProgram(program: Program, directory: string, seenAs: string): Program {
  let installed = program
  if (program.bundle !== null) {
    copyFileSync(program.bundle, join(directory, 'muster.mjs'))
    installed = { argv: [process.execPath, `${seenAs}/muster.mjs`], bundle: `${seenAs}/muster.mjs` }
  }
  const command = join(directory, 'muster')
  writeFileSync(command, `#!/bin/sh\nexec ${installed.argv.map((word) => `'${word}'`).join(' ')} "$@"\n`)
  chmodSync(command, 0o755)
  return installed
}
