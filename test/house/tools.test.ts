import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }

const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, 'node_modules/.bin')
const run = promisify(execFile)

/** A violation in a file of its own, and words that the tool says of it. */
interface Plant {
  readonly tool: string
  readonly path: string
  readonly text: string
  readonly said: RegExp
}

const TYPES = 'tsc --noEmit'
const CORE = 'tsc --noEmit -p src/core'
const LINT = 'biome ci'
const UNUSED = 'knip'

const plants: readonly Plant[] = [
  ...Object.entries({
    'a wrong type': ['export const a: string = 1', /TS2322/],
    'an implicit any': ['export const a = (b) => b', /TS7006/],
    'an element that may be missing': [
      'export const a = (b: readonly number[]): number => b[0]',
      /TS2322.*undefined/,
    ],
    'an optional that is given as undefined': [
      'export const a: { b?: number } = { b: undefined }',
      /exactOptional/,
    ],
    'an enum': ['export enum A {}', /TS1294/],
    'a namespace': ['export namespace a { export const b = 1 }', /TS1294/],
    'a parameter property': ['export class A { constructor(readonly b: number) {} }', /TS1294/],
    'a type imported as a value': ["import { Log } from '../log.ts'\nexport type A = Log", /TS1484/],
    'a file that is not there': ["export { a } from './not-there.ts'", /TS2307/],
  } as const).map(([what, [text, said]]) => plant(TYPES, what, 'src/host', text, said)),
  ...Object.entries({
    'a clock': ['export const a = performance.now()', /'performance'/],
    'a timer': ['setTimeout(() => undefined, 1)', /'setTimeout'/],
    'a process': ['export const a = process.pid', /'process'/],
    'a socket': ["export const a = fetch('http://a.example')", /'fetch'/],
    dice: ['export const a = crypto.randomUUID()', /'crypto'/],
    'a log': ["console.log('a')", /'console'/],
    'a buffer of Node': ["export const a = Buffer.from('a')", /'Buffer'/],
  } as const).map(([what, [text, said]]) => plant(CORE, what, 'src/core', text, said)),
  ...Object.entries({
    'a default export': ['export default 1', /noDefaultExport/],
    any: ['export const a: any = 1', /noExplicitAny/],
    'an assertion that it is not null': ['export const a = (b: number | null) => b!', /noNonNullAssertion/],
    'a module of Node without node:': ["import 'fs'", /useNodejsImportProtocol/],
    'half a cycle': ["import { b } from './its-other-half.ts'\nexport const a = b", /noImportCycles/],
    'its other half': ["import { a } from './half-a-cycle.ts'\nexport const b = a", /noImportCycles/],
    'a format': ['export const a = "b";', /format/],
  } as const).map(([what, [text, said]]) => plant(LINT, what, 'src/host', text, said)),
  plant(
    UNUSED,
    'a file that nobody imports',
    'src/host',
    'export const a = 1',
    /a-file-that-nobody-imports\.ts/,
  ),
]

/** One more in the knip's way: these need a file that is there, or the manifest. */
const UNUSED_EXPORT = 'export const plantedExport = 1\n'
const UNUSED_PACKAGE = 'planted-package'

function plant(tool: string, what: string, room: string, text: string, said: RegExp): Plant {
  const path = `${room}/planted/${what.replaceAll(/[^a-z]+/gi, '-').toLowerCase()}.ts`
  return { tool, path, text, said }
}

describe('npm run check', () => {
  let tree = ''
  const output = new Map<string, string>()

  beforeAll(async () => {
    tree = mkdtempSync(join(tmpdir(), 'muster-house-'))
    for (const name of ['src', 'test', 'sim', 'scripts', 'biome.json', 'knip.json', 'tsconfig.json']) {
      cpSync(join(ROOT, name), join(tree, name), { recursive: true })
    }
    cpSync(join(ROOT, 'vitest.config.ts'), join(tree, 'vitest.config.ts'))
    symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
    for (const { path, text } of plants) {
      mkdirSync(dirname(join(tree, path)), { recursive: true })
      writeFileSync(join(tree, path), `/** Planted. */\n${text}\n`)
    }
    writeFileSync(
      join(tree, 'src/core/ids.ts'),
      readFileSync(join(ROOT, 'src/core/ids.ts'), 'utf8') + UNUSED_EXPORT,
    )
    const dependencies = { ...packageJson.dependencies, [UNUSED_PACKAGE]: '1.0.0' }
    writeFileSync(join(tree, 'package.json'), JSON.stringify({ ...packageJson, dependencies }))

    const env = { ...process.env, PATH: `${BIN}:${process.env.PATH}`, NO_COLOR: '1' }
    for (const tool of [TYPES, CORE, `${LINT} --max-diagnostics=none`, UNUSED]) {
      const [file = '', ...args] = tool.split(' ')
      const options = { cwd: tree, env, maxBuffer: 64 << 20 }
      const { stdout, stderr } = await run(file, args, options).then(
        () => ({ stdout: '', stderr: '' }),
        (error: unknown) => error as { stdout: string; stderr: string },
      )
      output.set(tool.replace(/ --max.*/, ''), stdout + stderr)
    }
  }, 120_000)
  afterAll(() => rmSync(tree, { recursive: true, force: true }))

  it('runs these tools, and these tests', () => {
    const stages = packageJson.scripts.check.split(' && ')
    expect(stages).toEqual(
      expect.arrayContaining([TYPES, CORE, LINT, UNUSED, 'exec env vitest run test/house']),
    )
  })

  it.for(plants)('$tool finds $path', ({ tool, path, said }) => {
    const lines = (output.get(tool) ?? '').split('\n').filter((line) => line.includes(path))
    expect(lines.join('\n')).toMatch(said)
  })

  it('knip finds an export that nobody imports, and a package likewise', () => {
    expect(output.get(UNUSED)).toContain('plantedExport')
    expect(output.get(UNUSED)).toContain(UNUSED_PACKAGE)
  })

  it('the linter and the compiler see the whole tree', async () => {
    const checked = /Checked (\d+) files/.exec(output.get(LINT) ?? '')?.[1]
    expect(Number(checked)).toBeGreaterThan(200)
    const { stdout } = await run(join(BIN, 'tsc'), ['--noEmit', '--listFilesOnly'], { cwd: ROOT })
    expect(stdout.split('\n').filter((line) => !line.includes('node_modules')).length).toBeGreaterThan(200)
  })
})
