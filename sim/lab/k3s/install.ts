/**
 * Puts the double on a disk as a program of one file. Copies of different versions differ in their first lines, and
 * so in their checksum, as builds of k3s do.
 */
import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

export interface K3sCopy {
  readonly version: string
  /** Factor of k3s' own intervals; default 0.1, ten times as fast as k3s. */
  readonly tempo?: number
}

let bundle: Promise<string> | null = null

/** Made once for all copies of a process. */
async function program(): Promise<string> {
  bundle ??= build({
    entryPoints: [join(import.meta.dirname, 'main.ts')],
    write: false,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    legalComments: 'none',
    logLevel: 'error',
  }).then(({ outputFiles: [file] }) => {
    if (file === undefined) throw new Error('esbuild made no file')
    return file.text
  })
  return bundle
}

/** @returns `path`; whoever runs it sees the old program or the new one, never half of it. */
export async function installK3s(path: string, { version, tempo = 0.1 }: K3sCopy): Promise<string> {
  const baked = JSON.stringify({ version, commit: commitOf(version), tempo })
  const text = `#!${process.execPath}\nconst K3S_DOUBLE = ${baked}\n${await program()}`
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, text, { mode: 0o755 })
  chmodSync(`${path}.new`, 0o755)
  renameSync(`${path}.new`, path)
  return path
}

const commitOf = (version: string): string => Buffer.from(version).toString('hex').slice(-8)
