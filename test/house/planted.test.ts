import { describe, expect, it } from 'vitest'
import { importFaults } from './imports.ts'
import { purityFaults } from './purity.ts'
import { type Fault, parseSource, type Source } from './source.ts'
import { lockFaults, styleFaults } from './style.ts'

/** The faults of a file with this text; its second line is the first of `text`. */
const faultsOf = (rule: (source: Source) => Fault[], path: string, text: string): Fault[] =>
  rule(parseSource(path, `/** Planted. */\n${text}\n`))

describe('an import against the arrows is found', () => {
  it.for([
    ['src/core/planted.ts', "import { readFileSync } from 'node:fs'", 'core must not import node:fs'],
    ['src/core/planted.ts', "import 'execa'", 'core must not import execa'],
    [
      'src/core/planted.ts',
      "import type { Log } from '../host/log.ts'",
      'core must not import src/host/log.ts',
    ],
    [
      'src/core/planted.ts',
      "export { createLog } from '../host/log.ts'",
      'core must not import src/host/log.ts',
    ],
    ['src/core/planted.ts', "export * from '../host/log.ts'", 'core must not import src/host/log.ts'],
    ['src/core/planted.ts', "export const a = import('node:fs')", 'core must not import node:fs'],
    ['src/core/a/planted.ts', "import '../../config.ts'", 'core must not import src/config.ts'],
    ['src/host/planted.ts', "import '../cli/command.ts'", 'host must not import src/cli/command.ts'],
    ['src/host/mesh/planted.ts', "import '../../config.ts'", 'host must not import src/config.ts'],
    ['src/host/planted.ts', "import '../main.ts'", 'host must not import src/main.ts'],
    ['src/host/planted.ts', "import '../../sim/random.ts'", 'host must not import sim/random.ts'],
    ['src/config/planted.ts', "import '../host/log.ts'", 'config must not import src/host/log.ts'],
    ['src/cli/planted.ts', "import '../host/mesh/mesh.ts'", 'cli must not import src/host/mesh/mesh.ts'],
    ['src/cli/planted.ts', "import '../host/driver.ts'", 'cli must not import src/host/driver.ts'],
    ['src/main.ts', "import '../test/lab/lab.ts'", 'main must not import test/lab/lab.ts'],
    ['sim/planted.ts', "import '../test/core/stories.ts'", 'sim must not import test/core/stories.ts'],
    ['scripts/planted.ts', "import '../src/main.ts'", 'scripts must not import src/main.ts'],
    ['src/host/planted.ts', 'export const a = (b: string) => import(b)', 'no tool can follow it'],
    ['src/planted/planted.ts', 'export const a = 1', 'in no room'],
  ] as const)('%s: %s', ([path, text, message]) => {
    const faults = faultsOf(importFaults, path, text)
    expect(faults).toHaveLength(1)
    expect(faults[0]?.message).toContain(message)
  })

  it('and one along them is none', () => {
    const core = "import { z } from 'zod'\nimport { sha256 } from '@noble/hashes/sha2.js'\nimport './ids.ts'"
    expect(faultsOf(importFaults, 'src/core/planted.ts', core)).toEqual([])
    expect(faultsOf(importFaults, 'src/host/mesh/planted.ts', "import '../../core/ids.ts'")).toEqual([])
    expect(faultsOf(importFaults, 'src/cli/planted.ts', "import '../host/api/client.ts'")).toEqual([])
    expect(faultsOf(importFaults, 'src/host/daemon.ts', "import '../config.ts'")).toEqual([])
  })
})

describe('what makes two runs of the core differ is found', () => {
  it.for([
    ['export const a = Date.now()', 'Date.now reads the clock'],
    ['export const a = new Date()', 'new Date() reads the clock'],
    ['export const a = Date()', 'Date() reads the clock'],
    ["export const a = Date.parse('2026-01-01')", 'Date.parse reads the clock or the time zone'],
    ['export const a = new Date(0).getHours()', 'getHours depends on the time zone'],
    ['export const a = Math.random()', 'Math.random() is a die'],
    ["export const a = Math['random']()", 'Math.random() is a die'],
    ['export const a = Math.exp(1)', 'Math.exp may differ'],
    ["export const a = 'a'.localeCompare('b')", 'localeCompare depends'],
    ['export const a = (1).toLocaleString()', 'toLocaleString depends'],
    ['export const a = new Intl.Collator()', 'Intl: '],
    ['export const a = async () => 1', 'async function'],
    ['export const a = Promise.resolve(1)', 'Promise: '],
    ['export const a = new WeakRef({})', 'WeakRef: '],
    ["export const a = globalThis['process']", 'globalThis: '],
    ['export let a = 1', 'outlives the step'],
    ['let a = 1\nexport const b = () => a++', 'outlives the step'],
    ['export const a = (b: object) => { for (const c in b) return c }', 'for…in'],
    [
      "import { randomBytes } from '@noble/hashes/utils.js'\nexport const a = randomBytes",
      'randomBytes is not',
    ],
    [
      "import { randomBytes as hash } from '@noble/hashes/utils.js'\nexport const a = hash",
      'randomBytes is not',
    ],
  ] as const)('%s', ([text, message]) => {
    const faults = faultsOf(purityFaults, 'src/core/planted.ts', text)
    expect(faults.map((fault) => fault.message).join('\n')).toContain(message)
    expect(faults[0]?.at).toBe('src/core/planted.ts:2')
  })

  it('and what does not is none', () => {
    const text = `
      export const a = (now: number) => new Date(now).toISOString()
      export const b = Math.max(1, Math.floor(2.5))
      export const c = Date.UTC(2026, 0)
      export const d = ['b', 'a'].sort()
      export function* e() { let f = 1; yield f++ }`
    expect(faultsOf(purityFaults, 'src/core/planted.ts', text)).toEqual([])
  })
})

describe('what the house does not want is found', () => {
  it.for([
    ['src/core/planted.ts', `${'\n'.repeat(500)}export {}`, 'more than 500'],
    ['src/core/utils.ts', 'export {}', 'names no concept'],
    ['src/core/planted.ts', `// ${'TO' + 'DO'}: later`, 'unfinished'],
    ['src/core/planted.ts', `// @ts-${'expect-error'}`, 'silences a checker'],
    ['test/planted.test.ts', "it.skip('a', () => undefined)", 'it.skip: every test runs'],
    ['test/planted.test.ts', "describe.only('a', () => undefined)", 'describe.only: every test runs'],
    ['test/planted.test.ts', "it.skipIf(true)('a', () => undefined)", 'it.skipIf: every test runs'],
    ['test/planted.test.ts', "test.todo('a')", 'test.todo: every test runs'],
  ] as const)('%s: %s', ([path, text, message]) => {
    expect(faultsOf(styleFaults, path, text).map((fault) => fault.message)).toEqual([
      expect.stringContaining(message),
    ])
  })

  it('as is a file that does not say what it is for', () => {
    expect(styleFaults(parseSource('src/core/planted.ts', 'export {}\n'))).toHaveLength(1)
    expect(styleFaults(parseSource('src/core/planted.ts', '// a\n/** b */\nexport {}\n'))).toHaveLength(1)
    expect(styleFaults(parseSource('src/main.ts', '#!/usr/bin/env node\n/** The program. */\n'))).toEqual([])
  })

  it('as is an address or a missing checksum in the lock file', () => {
    const lock = { packages: { '': {}, 'node_modules/a': { resolved: 'https://a.example/a.tgz' } } }
    expect(lockFaults(JSON.stringify(lock))).toEqual([
      'node_modules/a says where it comes from: https://a.example/a.tgz',
      'node_modules/a has no checksum',
    ])
  })
})

describe('a file that the checker cannot read', () => {
  it('is no file without faults', () => {
    expect(() => parseSource('src/core/planted.ts', 'export const = 1')).toThrow('src/core/planted.ts')
  })
})
