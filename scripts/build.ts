/**
 * `npm run build`: the bundle, and with it a tarball that needs neither Node nor npm on the machine. It unpacks
 * below a prefix such as /usr/local:
 *
 *     bin/muster            what people start
 *     lib/muster/           the bundle and the Node that it was tested with
 *     lib/systemd/system/   the unit, where systemd looks below /usr/local, too
 *     share/muster/         the OpenRC service
 *     share/doc/muster/     example configurations, licences
 */
import { chmodSync, copyFileSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { execaSync } from 'execa'
import packageJson from '../package.json' with { type: 'json' }
import { BUNDLE, bundle, ROOT, replaceFile } from './bundle.ts'
import { licencesOf, nodeLicence } from './licences.ts'

const LAUNCHER = `#!/bin/sh
# Starts muster with the Node beside it, wherever this was unpacked and whatever links here.
self=$(command -p readlink -f -- "$0")
home=\${self%/bin/muster}/lib/muster
# One arena of the C library instead of one for each thread: 10 MiB less, and nothing here allocates much there.
export MALLOC_ARENA_MAX=1
exec "$home/node" "$home/muster.mjs" "$@"
`

const name = `muster-${packageJson.version}-${process.platform}-${process.arch}`
const tarball = join(ROOT, `dist/${name}.tar.gz`)

const inputs = await bundle()
const work = mkdtempSync(join(tmpdir(), 'muster-build-'))
try {
  const files = assemble(join(work, name), Object.keys(inputs))
  // Files alone: an entry for a directory would change the owner and mode of /usr/local/bin and its like.
  const paths = files.map((file) => `${name}/${file}`)
  const owner = ['--owner=root:0', '--group=root:0']
  replaceFile(tarball, (file) => execaSync('tar', ['-czf', file, ...owner, '-C', work, ...paths]))
} finally {
  rmSync(work, { recursive: true })
}
process.stdout.write(`${BUNDLE}\n${tarball}\n`)

/** @returns the files below `directory`, in order. */
function assemble(directory: string, inputs: readonly string[]): string[] {
  const files: string[] = []
  const place = (path: string, mode: number): string => {
    files.push(path)
    const file = join(directory, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, '')
    chmodSync(file, mode)
    return file
  }
  const copy = (from: string, to: string, mode = 0o644): void =>
    copyFileSync(join(ROOT, from), place(to, mode))
  const write = (text: string, to: string, mode = 0o644): void => writeFileSync(place(to, mode), text)

  write(LAUNCHER, 'bin/muster', 0o755)
  copyFileSync(BUNDLE, place('lib/muster/muster.mjs', 0o644))
  copyFileSync(process.execPath, place('lib/muster/node', 0o755))
  copy('config/muster.service', 'lib/systemd/system/muster.service')
  copy('config/muster.initd', 'share/muster/muster.initd', 0o755)
  for (const file of globSync('config/*.yaml', { cwd: ROOT }).sort())
    copy(file, `share/doc/muster/examples/${basename(file)}`)
  copy('README.md', 'share/doc/muster/README.md')
  write(licencesOf(ROOT, inputs), 'share/doc/muster/THIRD-PARTY-LICENCES.txt')
  write(nodeLicence(ROOT, process.versions.node), 'share/doc/muster/NODE-LICENCE.txt')
  return files
}
