/** The simulator's commands as a person or a script meets them. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { wholeNumber } from '../../sim/flags.ts'
import { mutants } from '../../sim/mutants/list.ts'
import { patchesOf } from '../../sim/mutants/mutant.ts'

function run(command: 'run' | 'mutants', ...args: readonly string[]) {
  const file = fileURLToPath(new URL(`../../sim/${command}.ts`, import.meta.url))
  return spawnSync(process.execPath, [file, ...args], { encoding: 'utf8', maxBuffer: 1 << 26 })
}

describe('wrong flags', () => {
  test.each([
    ['run', '--sed', '3'],
    ['run', '--seed', 'three'],
    ['run', '--seed', '-1'],
    ['run', '--seeds', '0'],
    ['run', '--seed', '1', '--seeds', '2'],
    ['run', 'seed'],
    ['run', '--seed'],
    ['run', '--schedule', '/nowhere.json'],
    ['mutants', '--only', 'no such bug'],
    ['mutants', '--share', '3/2'],
    ['mutants', '--seeds', 'many'],
  ] as const)('%s %s %s give the usage and exit code 2', (command, ...args) => {
    const { status, stderr, stdout } = run(command, ...args)
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('usage: node sim/')
    expect(stderr).not.toContain('    at ')
  })

  test('of numbers are those that are no whole numbers, or too small', () => {
    expect(wholeNumber('seeds', '7', 1)).toBe(7)
    for (const text of ['', '1.5', '1e3', ' 1', '0x10', '9'.repeat(20), '0']) {
      expect(() => wholeNumber('seeds', text, 1)).toThrow('--seeds')
    }
  })
})

describe('a run', () => {
  test('prints schedules, counters and violations; as one document where a script asks', () => {
    const { status, stdout } = run('run', '--seeds', '20')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^20 schedules, /)
    expect(stdout).toMatch(/foundings +\d+/)
    expect(stdout).toContain('no violation')
    const document = JSON.parse(run('run', '--seeds', '20', '--json').stdout)
    expect(document).toMatchObject({ schedules: 20, violations: [] })
  })

  test('of one seed is a play that a person can follow', () => {
    const { status, stdout } = run('run', '--seed', '5')
    expect(status).toBe(0)
    for (const words of ['starts with an empty disk', 'on disk:', 'will you promise me term', 'sign plan'])
      expect(stdout).toContain(words)
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^seed 5: fine.*digest/)
  })
})

describe('the list of planted bugs', () => {
  const core = new URL('../../src/core/', import.meta.url)

  test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
    '%s: is planted in one place',
    (_name, mutant) => {
      for (const { file, from, to } of patchesOf(mutant)) {
        expect(readFileSync(new URL(file, core), 'utf8').split(from)).toHaveLength(2)
        expect(to).not.toBe(from)
      }
    },
  )

  test('has fifty, and no name twice', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(50)
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
  })
})
