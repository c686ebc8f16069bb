/**
 * `npm run build`: src/main.ts and all that it needs as one file, dist/muster.mjs. An installed package cannot
 * rely on type stripping, and one file starts faster and holds less memory than a thousand.
 */
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Metafile } from 'esbuild'
import packageJson from '../package.json' with { type: 'json' }

const ROOT = join(import.meta.dirname, '..')

export interface Bundle {
  readonly file: string
  /** What went in, by file below the root. */
  readonly inputs: Metafile['inputs']
}

/** Builds `entry`, a file below the root, into `outfile`. */
export async function bundle(entry: string, outfile: string): Promise<Bundle> {
  const { metafile } = await build({
    entryPoints: [join(ROOT, entry)],
    outfile,
    absWorkingDir: ROOT,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    metafile: true,
    logLevel: 'warning',
    legalComments: 'none',
    // Names stay: stack traces of a daemon in the field are read by people.
    minifyWhitespace: true,
    minifySyntax: true,
    // Below the entry's own #! line. CommonJS packages within call require() for Node's own modules.
    banner: {
      js: [
        `// muster ${packageJson.version}`,
        "import { createRequire as musterCreateRequire } from 'node:module'",
        'const require = musterCreateRequire(import.meta.url)',
      ].join('\n'),
    },
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  chmodSync(outfile, 0o755)
  return { file: outfile, inputs: metafile.inputs }
}

if (import.meta.main) await bundle('src/main.ts', join(ROOT, 'dist/muster.mjs'))
