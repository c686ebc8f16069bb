/** The same seed gives the same run; and a core that throws dice of its own is caught. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { drawSchedule } from '../../sim/schedule.ts'
import { runSchedule } from '../../sim/world.ts'

const fileOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

describe('one seed', () => {
  test('means one schedule', () => {
    for (let seed = 0; seed < 200; seed++) expect(drawSchedule(seed)).toEqual(drawSchedule(seed))
    expect(drawSchedule(1)).not.toEqual(drawSchedule(2))
  })

  test.each([3, 17, 64, 101, 256, 4_096])('%i ends twice with the same digest', async (seed) => {
    const schedule = drawSchedule(seed)
    const [one, two] = [await runSchedule(schedule), await runSchedule(schedule)]
    expect(two).toEqual(one)
    expect(one.digest).toMatch(/^[0-9a-f]{16}-[0-9a-f]{8}$/)
  })

  test('ends with another digest than its neighbour', async () => {
    const digests = new Set<string>()
    for (let seed = 20; seed < 30; seed++) digests.add((await runSchedule(drawSchedule(seed))).digest)
    expect(digests.size).toBe(10)
  })

  test('ends in another process as in this one', async () => {
    const { digest } = await runSchedule(drawSchedule(17))
    const { stdout } = spawnSync(process.execPath, [fileOf('sim/run.ts'), '--seed', '17'], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    })
    expect(stdout).toContain(`digest ${digest}`)
  })
})

describe('the canary', () => {
  test('a core that uses Math.random is caught', () => {
    const hook = new URL('../../sim/mutants/hook.ts', import.meta.url).href
    const { stdout, status } = spawnSync(
      process.execPath,
      ['--import', hook, fileOf('sim/run.ts'), '--seeds', '50', '--first', '--json'],
      {
        encoding: 'utf8',
        env: { ...process.env, MUSTER_MUTANT: 'determinism: the canary sings' },
        maxBuffer: 1 << 26,
      },
    )
    expect(status).toBe(1)
    expect(JSON.parse(stdout).violations[0]).toContain('two runs differ')
  })
})
