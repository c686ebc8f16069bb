import { expect, it } from 'vitest'
import { useLab } from './daemon.ts'
import { documentOf, run } from './run.ts'

const lab = useLab()

const TEXT = 'apiVersion: v1\nkind: Config\n'

it('prints what the daemon gives, as it is', async () => {
  await lab().start()
  lab().daemon.kubeconfigAnswer = { ok: true, kubeconfig: TEXT }
  const argv = ['kubeconfig', '--socket', lab().socket]
  expect(await run(argv)).toEqual({ code: 0, stdout: TEXT, stderr: '' })
  expect(documentOf(await run([...argv, '--json']))).toEqual({ kubeconfig: TEXT })
})

it.each([
  [[], 'lan'],
  [['--address', 'mesh'], 'mesh'],
  [['--address', 'api.shop-12.example:8443/&x=1'], 'api.shop-12.example:8443/&x=1'],
])('%j asks for the address %s', async (words, address) => {
  await lab().start()
  lab().daemon.kubeconfigAnswer = { ok: true, kubeconfig: TEXT }
  await run(['kubeconfig', ...words, '--socket', lab().socket])
  expect(lab().daemon.addresses).toEqual([address])
})

it('ends with 1 and says what to do where there is none, with 3 where there is no daemon', async () => {
  const argv = ['kubeconfig', '--socket', lab().socket]
  expect((await run(argv)).code).toBe(3)
  await lab().start()
  lab().daemon.kubeconfigAnswer = { ok: false, message: 'only a server has it', hint: 'ask on a server' }
  const { code, stdout, stderr } = await run(argv)
  expect([code, stdout, stderr]).toEqual([1, '', 'muster: only a server has it\n  hint: ask on a server\n'])
})
