import { expect, it } from 'vitest'
import { ConfigError, NOWHERE } from '../../src/config/faults.ts'
import type { ConfigInputs } from '../../src/config.ts'
import { run, VERSION } from './run.ts'

it('hands files, environment and flags to the daemon, and its exit code to the caller', async () => {
  const started: [ConfigInputs, string][] = []
  const runDaemon = (inputs: ConfigInputs, version: string): Promise<number> => {
    started.push([inputs, version])
    return Promise.resolve(1)
  }
  const env = { MUSTER_STATE: '/var/state' }
  const { code } = await run(['up'], { env, runDaemon })
  expect(code).toBe(1)
  const flags = ['--state', '/s', '--socket', '/s.sock', '--interface', 'mesh1']
  const listen = ['--listen', '127.0.0.1', '--listen', '127.0.0.2:9']
  await run(['up', '--config', 'a.yaml', ...flags, ...listen, '--config', 'b.yaml'], { env, runDaemon })
  expect(started).toEqual([
    [{ files: [], env, flags: {} }, VERSION],
    [
      {
        files: ['a.yaml', 'b.yaml'],
        env,
        flags: {
          state: '/s',
          socket: '/s.sock',
          interfaceName: 'mesh1',
          listen: ['127.0.0.1', '127.0.0.2:9'],
        },
      },
      VERSION,
    ],
  ])
})

it('says what is wrong with the configuration where the daemon leaves that to it', async () => {
  const fault = { ...NOWHERE, file: '/etc/muster/a.yaml', line: 3, message: 'is odd', hint: 'make it even' }
  const { code, stderr } = await run(['up'], { runDaemon: () => Promise.reject(new ConfigError([fault])) })
  expect(code).toBe(2)
  expect(stderr).toBe('muster: /etc/muster/a.yaml:3: is odd\n  hint: make it even\n')
})

it('starts no daemon for a command line that is wrong', async () => {
  for (const argv of [
    ['up', '--role', 'server'],
    ['up', 'now'],
    ['up', '--state'],
    ['up', '--help'],
  ]) {
    const { code, stderr } = await run(argv)
    expect(code, argv.join(' ')).toBe(argv.includes('--help') ? 0 : 2)
    expect(stderr).not.toContain('no daemon was to be run')
  }
})
