import { expect, it } from 'vitest'
import { historyOfThree } from '../host/api/fixtures.ts'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()
const history = (...options: string[]): string[] => ['history', '--socket', lab().socket, ...options]

it('shows what the plan went through, oldest first', async () => {
  await lab().start()
  const { code, stdout, stderr } = await run(history())
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toBe(`plan  term  when                  what
0     0     -                     founded by rack-1, rack-2, rack-3
1     1     2026-01-02 03:04:05Z  rack-1 initialises
2     1     2026-01-02 03:04:09Z  rack-2 joined
`)
})

it('has the document of the API', async () => {
  await lab().start()
  expect(documentOf(await run(history('--json')))).toEqual({
    apiVersion: 'muster/v1',
    history: historyOfThree(),
  })
})

it('says where there is none yet', async () => {
  await lab().start()
  lab().daemon.history = () => []
  expect((await run(history())).stdout).toBe('no cluster yet\n')
})

it('ends with 3 without a daemon, with 2 for what it does not know', async () => {
  expect((await run(history())).code).toBe(3)
  expect((await run(history('--since', '1h'))).code).toBe(2)
})
