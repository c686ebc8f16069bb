import { expect, it } from 'vitest'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()
const adopt = (...options: string[]): string[] => ['adopt', '--socket', lab().socket, ...options]

it('passes the word of a person on and says what came of it', async () => {
  await lab().start()
  lab().daemon.answer = { ok: true, message: 'this disk is of this machine now', hint: null }
  expect(await run(adopt())).toEqual({ code: 0, stdout: 'this disk is of this machine now\n', stderr: '' })
  expect(documentOf(await run(adopt('--json')))).toEqual({
    ok: true,
    message: 'this disk is of this machine now',
  })
  expect(lab().daemon.commands).toEqual(['adopt', 'adopt'])
})

it('ends with 1 where there is nothing to adopt', async () => {
  await lab().start()
  lab().daemon.answer = { ok: false, message: 'the disk is of this machine already', hint: null }
  const { code, stdout, stderr } = await run(adopt())
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^muster: the disk is of this machine already\n {2}hint: /)
})

it('ends with 3 without a daemon, with 2 for what it does not know', async () => {
  expect((await run(adopt())).code).toBe(3)
  expect((await run(adopt('--force'))).code).toBe(2)
})
