import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importFaults, ROOMS } from './imports.ts'
import { purityFaults } from './purity.ts'
import { readSources } from './source.ts'
import { lockFaults, styleFaults } from './style.ts'

const ROOT = join(import.meta.dirname, '../..')

describe('the tree', () => {
  const sources = readSources(ROOT, ['src', 'test', 'sim', 'scripts'])
  const core = sources.filter(({ path }) => path.startsWith('src/core/'))

  it('is seen whole: every room has files, and their imports and names are read', () => {
    for (const [name, { is }] of Object.entries(ROOMS))
      expect(
        sources.some(({ path }) => is.test(path)),
        name,
      ).toBe(true)
    expect(sources.length).toBeGreaterThan(200)
    expect(core.length).toBeGreaterThan(25)
    expect(sources.flatMap(({ module }) => module.staticImports).length).toBeGreaterThan(800)
  })

  it('imports along the arrows only', () => {
    expect(sources.flatMap(importFaults)).toEqual([])
  })

  it('has a pure core', () => {
    expect(core.flatMap(purityFaults)).toEqual([])
  })

  it('keeps the house rules', () => {
    expect(sources.flatMap(styleFaults)).toEqual([])
  })

  it('locks every package by its checksum and without an address', () => {
    const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8')
    expect(lockFaults(lock)).toEqual([])
    expect(lock.match(/"integrity"/g)?.length).toBeGreaterThan(200)
  })
})
