import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { parseSource } from '../house/source.ts'

const SETUP = join(import.meta.dirname, '../../scripts/setup.mjs')

const LOCKED = {
  '': { name: 'planted' },
  'node_modules/needed': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/for-another-platform': { version: '1.0.0', integrity: 'sha512-b', optional: true },
}
const { 'node_modules/for-another-platform': _, ...INSTALLED } = LOCKED

/** Stands for npm: notes how it was called, chats on standard output, and does what WILL says. */
const NPM = `
  const { appendFileSync, readFileSync } = require('node:fs')
  appendFileSync('calls', process.argv.slice(2).join(' ') + '\\n')
  console.log('npm chats')
  eval(readFileSync('will', 'utf8'))
`
const INSTALLS = `
  const { cpSync, mkdirSync, writeFileSync } = require('node:fs')
  mkdirSync('node_modules/.bin', { recursive: true })
  cpSync('package-lock.json', 'node_modules/.package-lock.json')
  writeFileSync('node_modules/.bin/node', '')
`

describe('the set-up before every script', () => {
  let root = ''
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const writePackages = (path: string, packages: object): void => write(path, JSON.stringify({ packages }))
  const setUp = () =>
    spawnSync(process.execPath, [join(root, 'scripts/setup.mjs')], {
      encoding: 'utf8',
      env: { npm_execpath: join(root, 'npm.cjs') },
    })
  const calls = (): string =>
    existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8') : ''

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'muster-setup-'))
    cpSync(SETUP, join(root, 'scripts/setup.mjs'), { recursive: true })
    write('package.json', JSON.stringify({ devDependencies: { node: '24.0.0' } }))
    write('npm.cjs', NPM)
    write('will', INSTALLS)
    writePackages('package-lock.json', LOCKED)
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('installs in a fresh checkout, says so, and leaves standard output alone', () => {
    const { status, stdout, stderr } = setUp()
    expect(status).toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toContain('node_modules is missing: installing')
    expect(stderr).toContain('Node 24.0.0')
    expect(stderr).toContain('npm chats')
    expect(calls()).toMatch(/^ci /)
    expect(setUp()).toMatchObject({ status: 0, stdout: '', stderr: '' })
    expect(calls().split('\n')).toHaveLength(2)
  })

  it.for([
    ['another version', { ...INSTALLED, 'node_modules/needed': { version: '0.9.0', integrity: 'sha512-a' } }],
    ['other content', { ...INSTALLED, 'node_modules/needed': { version: '1.0.0', integrity: 'sha512-x' } }],
    ['a missing package', { '': {} }],
  ] as const)('installs again for %s', ([, packages]) => {
    writePackages('node_modules/.package-lock.json', packages)
    write('node_modules/.bin/node', '')
    expect(setUp().stderr).toContain('node_modules/needed is not what package-lock.json says')
    expect(calls()).toMatch(/^ci /)
  })

  it('does not miss what is for another platform', () => {
    writePackages('node_modules/.package-lock.json', INSTALLED)
    write('node_modules/.bin/node', '')
    expect(setUp()).toMatchObject({ status: 0, stderr: '' })
    expect(calls()).toBe('')
  })

  it('installs again where the pinned Node is missing', () => {
    writePackages('node_modules/.package-lock.json', INSTALLED)
    expect(setUp().stderr).toContain('.bin/node is missing: installing')
    expect(calls()).toMatch(/^ci /)
  })

  it('fails where npm fails, and where npm left out the pinned Node', () => {
    write('will', 'process.exit(7)')
    expect(setUp()).toMatchObject({ status: 1, stderr: expect.stringContaining('"npm ci" failed: code 7') })
    write('will', '')
    expect(setUp()).toMatchObject({ status: 1, stderr: expect.stringContaining('ignore install scripts') })
  })

  it('needs nothing but Node', () => {
    const { module } = parseSource('setup.mjs', readFileSync(SETUP, 'utf8'))
    const imported = module.staticImports.map(({ moduleRequest }) => moduleRequest.value)
    expect(imported.length).toBeGreaterThan(2)
    expect(imported.filter((name) => !name.startsWith('node:'))).toEqual([])
  })

  it('is the first word of every script, none of which then takes the Node that the shell remembers', () => {
    for (const [name, script] of Object.entries(packageJson.scripts)) {
      const [first, ...rest] = script.split(' && ')
      expect(first, name).toBe('node scripts/setup.mjs')
      expect(rest.length, name).toBeGreaterThan(0)
      expect(
        rest.filter((command) => command.startsWith('node ')),
        name,
      ).toEqual([])
    }
  })
})
