import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }

const ROOT = join(import.meta.dirname, '../..')

/** A machine with nothing of Node in sight. */
const run = (file: string, args: readonly string[], cwd: string): string =>
  execFileSync(file, args, { cwd, env: { PATH: '/nowhere' }, encoding: 'utf8', stdio: 'pipe' })

describe('npm run build', () => {
  let prefix = ''

  beforeAll(() => {
    prefix = mkdtempSync(join(tmpdir(), 'muster-prefix-'))
    const said = execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, encoding: 'utf8' })
    const tarball = said.split('\n').find((line) => line.endsWith('.tar.gz'))
    execFileSync('tar', ['-xzf', tarball ?? '', '-C', prefix, '--strip-components=1'])
  }, 120_000)
  afterAll(() => rmSync(prefix, { recursive: true, force: true }))

  it('makes a tarball that runs below any prefix, without Node, npm or a PATH', () => {
    expect(run(join(prefix, 'bin/muster'), ['version'], '/')).toContain(packageJson.version)
  })

  it('whose command may be linked to', () => {
    mkdirSync(join(prefix, 'elsewhere'))
    symlinkSync('../bin/muster', join(prefix, 'elsewhere/muster'))
    expect(run(join(prefix, 'elsewhere/muster'), ['version'], '/')).toContain(packageJson.version)
  })

  it('whose bundle is one file that needs no other', () => {
    const token = run(
      join(prefix, 'bin/muster'),
      ['token', 'new', '--expect', '3', '--network', 'shop-12'],
      '/',
    )
    expect(token).toMatch(/^muster1\w+$/m)
    expect(readdirSync(join(prefix, 'lib/muster')).sort()).toEqual(['muster.mjs', 'node'])
  })

  it('with units, examples and the licence of everything in it', () => {
    const file = (path: string): string => readFileSync(join(prefix, path), 'utf8')
    expect(file('lib/systemd/system/muster.service')).toContain('ExecStart=/usr/local/bin/muster up')
    expect(file('share/muster/muster.initd')).toContain('/usr/local/bin/muster')
    expect(readdirSync(join(prefix, 'share/doc/muster/examples'))).toContain('minimal.yaml')
    const licences = file('share/doc/muster/THIRD-PARTY-LICENCES.txt')
    for (const name of ['libp2p', 'zod', 'pino', '@peculiar/x509', 'hono', 'yaml'])
      expect(licences).toMatch(new RegExp(`^${name} \\d`, 'm'))
  })

  it('and has no entry for a directory, whose mode would become that of /usr/local', () => {
    const tarball = join(ROOT, `dist/muster-${packageJson.version}-linux-${process.arch}.tar.gz`)
    const entries = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n')
    expect(entries.filter((entry) => entry.endsWith('/'))).toEqual([])
    expect(entries.length).toBeGreaterThan(10)
  })
})
