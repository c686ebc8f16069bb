/** A failing seed becomes a small schedule that fails for the same reason, and only with the bug. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawSchedule, type Schedule } from '../../sim/schedule.ts'
import { shrink } from '../../sim/shrink.ts'

const MUTANT = 'replication: a leader leads on in a higher term'
const directory = mkdtempSync(join(tmpdir(), 'muster-shrink-'))
const path = join(directory, 'small.json')
afterAll(() => rmSync(directory, { recursive: true }))

function run(isPlanted: boolean, ...args: readonly string[]) {
  const file = fileURLToPath(new URL('../../sim/run.ts', import.meta.url))
  const hook = new URL('../../sim/mutants/hook.ts', import.meta.url).href
  return spawnSync(process.execPath, [...(isPlanted ? ['--import', hook] : []), file, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...(isPlanted ? { MUSTER_MUTANT: MUTANT } : {}) },
    maxBuffer: 1 << 28,
  })
}

const weight = ({ machines, faults }: Schedule): number => machines.length + faults.length

describe('the first seed that a planted bug breaks', () => {
  let stdout = ''
  let status: number | null = null
  let small: { readonly found: string; readonly schedule: Schedule }

  beforeAll(() => {
    ;({ status, stdout } = run(true, '--seeds', '4000', '--first', '--out', path))
    small = JSON.parse(readFileSync(path, 'utf8'))
  }, 120_000)

  test('is shrunk and told without being asked', () => {
    expect(status).toBe(1)
    expect(stdout).toMatch(/shrunk in \d+ runs: .* → /)
    expect(stdout).toContain(`node sim/run.ts --schedule ${path}`)
    expect(stdout).toContain('on disk:')
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^seed \d+: rule \d+ broke after/)
  })

  test('becomes much smaller', () => {
    const before = drawSchedule(small.schedule.seed)
    expect(weight(small.schedule)).toBeLessThan(weight(before) / 2)
    expect(small.schedule.faults.length).toBeLessThan(before.faults.length)
  })

  test('still breaks the same rule with the bug', () => {
    const replayed = run(true, '--schedule', path)
    expect(replayed.status).toBe(1)
    expect(replayed.stdout).toContain(`${small.found.split(':')[0]} broke`)
  })

  test('breaks nothing without it', () => {
    const replayed = run(false, '--schedule', path)
    expect(replayed.status).toBe(0)
    expect(replayed.stdout).toMatch(/seed \d+: fine/)
  })
})

test('a seed that breaks nothing is not shrunk', async () => {
  expect(await shrink(drawSchedule(5), 10)).toBeNull()
  const { status, stdout } = run(false, '--seed', '5', '--shrink')
  expect(status).toBe(0)
  expect(stdout).toContain('breaks nothing')
})
