/** The exhaustive models: what they see, that they see all of it, and that a planted bug does not get past them. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { planModel } from '../../sim/explore/beginnings.ts'
import { castOf, createCores } from '../../sim/explore/cores.ts'
import { foundingModel } from '../../sim/explore/founding.ts'
import { copyOf, textOf } from '../../sim/explore/plain.ts'
import { search } from '../../sim/explore/search.ts'

function explore(mutant: string | null, ...args: readonly string[]) {
  const file = fileURLToPath(new URL('../../sim/explore.ts', import.meta.url))
  const hook = new URL('../../sim/mutants/hook.ts', import.meta.url).href
  const planted = mutant === null ? [] : ['--import', hook]
  return spawnSync(process.execPath, [...planted, file, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...(mutant === null ? {} : { MUSTER_MUTANT: mutant }) },
    maxBuffer: 1 << 26,
  })
}

describe('the models of the core as it is', () => {
  test.each([
    [2, 1, 2],
    [3, 1, 2],
    [3, 2, 0],
  ])(
    'founding with expect %i, terms up to %i and %i crashes: all is seen, nothing breaks',
    async (expected, terms, crashes) => {
      const model = foundingModel(3, expected, { terms, crashes })
      const outcome = search(model, createCores(model, await castOf(3)), 1_000_000)
      expect(outcome.found).toBeNull()
      expect(outcome.exhausted).toBe(true)
      expect(outcome.states).toBeGreaterThan(300)
    },
  )

  test('a plan with a crash: all is seen, nothing breaks, and a plan is certified on the way', async () => {
    const cast = await castOf(4)
    const model = planModel(cast, { terms: 1, crashes: 1 })
    const cores = createCores(model, cast)
    const outcome = search(model, cores, 1_000_000)
    expect(outcome.found).toBeNull()
    expect(outcome.exhausted).toBe(true)
    const admitted = cores.locals.filter(({ disk }) => disk.certified?.plan.members.length === 4)
    expect(new Set(admitted.map(({ machine }) => machine)).size).toBe(3)
  })

  test('a letter that still matters is not taken out', async () => {
    const model = { ...foundingModel(3, 2, { terms: 1, crashes: 0 }), isOver: () => true }
    const cores = createCores(model, await castOf(3))
    expect(() => search(model, cores, 1_000)).toThrow('a letter that was taken for over is not: prepare')
  })

  test('what does not fit is not called exhausted', async () => {
    const model = foundingModel(3, 2, { terms: 1, crashes: 0 })
    const outcome = search(model, createCores(model, await castOf(3)), 100)
    expect(outcome).toMatchObject({ exhausted: false, found: null })
  })
})

describe('a planted bug', () => {
  test.each([
    ['founding: the quorum is one too small', 'founding', '1'],
    ['founding: a candidate ignores what was accepted', 'founding', '2'],
    ['founding: a promise is not persisted', 'founding', '1'],
    ['founding: a value is accepted after a higher promise', 'founding', '2'],
    ['replication: less than a majority', 'plan', '1'],
    ['replication: a new leader issues at an index that it signed', 'plan', '2'],
  ])('%s: is found', (mutant, only, terms) => {
    const { status, stdout } = explore(mutant, '--only', only, '--terms', terms, '--crashes', '0')
    expect(status).toBe(1)
    expect(stdout).toMatch(/rule \d+ broke: .*The shortest way there:\n {2}[abc] {2}stands/)
  })
})

test('wrong flags give the usage and exit code 2', () => {
  for (const args of [
    ['--only', 'no such model'],
    ['--terms', '0'],
    ['--crashes', 'two'],
  ]) {
    const { status, stderr } = explore(null, ...args)
    expect(status).toBe(2)
    expect(stderr).toContain('usage: node sim/explore.ts')
  }
})

describe('a state as a value', () => {
  const value = { b: new Map([['y', [1]]]), a: new Set([2, 1]), bytes: new Uint8Array([7]), none: null }

  test('has a copy that shares nothing which is changed in place', () => {
    const copy = copyOf(value)
    expect(copy).toEqual(value)
    copy.b.get('y')?.push(2)
    copy.a.add(3)
    expect(value.b.get('y')).toEqual([1])
    expect(value.a.size).toBe(2)
  })

  test('has one text, whatever the order it was made in; and another where anything differs', () => {
    expect(textOf({ none: null, a: new Set([1, 2]), b: value.b, bytes: value.bytes })).toBe(textOf(value))
    expect(textOf({ ...value, bytes: new Uint8Array([8]) })).not.toBe(textOf(value))
    expect(textOf({ ...value, b: new Map([['y', ['1']]]) })).not.toBe(textOf(value))
  })
})
