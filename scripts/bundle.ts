/**
 * `npm run bundle`: src/main.ts and all that it needs as one file, dist/muster.mjs. An installed package cannot
 * rely on type stripping, and one file starts faster and holds less memory than a thousand.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, type Metafile } from 'esbuild'

export const ROOT = join(import.meta.dirname, '..')
export const BUNDLE = join(ROOT, 'dist/muster.mjs')

/** @returns what went into it, by file below the root. */
export async function bundle(): Promise<Metafile['inputs']> {
  const { metafile, outputFiles } = await build({
    entryPoints: [join(ROOT, 'src/main.ts')],
    outfile: BUNDLE,
    write: false,
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // A package's ES module, where it has one beside CommonJS: less goes in.
    mainFields: ['module', 'main'],
    metafile: true,
    legalComments: 'none',
    // Names stay, and lines stay short: stack traces from the field are read by people.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    // CommonJS packages within call require() for Node's own modules.
    banner: {
      js: [
        '#!/usr/bin/env node',
        "import { createRequire as musterCreateRequire } from 'node:module'",
        'const require = musterCreateRequire(import.meta.url)',
      ].join('\n'),
    },
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  const [output] = outputFiles
  if (output === undefined) throw new Error('esbuild made no file')
  replaceFile(BUNDLE, (file) => writeFileSync(file, output.contents, { mode: 0o755 }))
  return metafile.inputs
}

/** Whoever reads `path` sees the old file or the new one, never half of it: labs copy it while others build. */
export function replaceFile(path: string, write: (file: string) => void): void {
  mkdirSync(dirname(path), { recursive: true })
  const next = `${path}.${process.pid}`
  write(next)
  renameSync(next, path)
}

if (import.meta.main) {
  // esbuild has said what is wrong.
  await bundle().catch(() => process.exit(1))
}
