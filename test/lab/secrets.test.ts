/**
 * The token and every key made from it or beside it are seen by nobody: looked for, in each form in which bytes
 * are written, in whatever three real daemons and what they started say and show.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base58btc } from 'multiformats/bases/base58'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askText } from '../../sim/lab/api.ts'
import { configuration, newToken } from '../../sim/lab/configuration.ts'
import type { Host } from '../../sim/lab/host.ts'
import { createLab, type Lab } from '../../sim/lab/lab.ts'
import { findProgram } from '../../sim/lab/program.ts'
import { deriveKeys, parseToken } from '../../src/core/token.ts'
import { loadOrCreateIdentity } from '../../src/host/identity.ts'
import { openStore } from '../../src/host/store.ts'

/** Where a machine's daemon keeps what must not survive a reboot. */
const RUN_DIRECTORY = '/run/muster.run'

let lab: Lab
/** Texts that must be nowhere, by what they are. */
const forbidden = new Map<string, string>()

beforeAll(async () => {
  const program = await findProgram()
  const token = await newToken(program, 3)
  const config = configuration({ token, distribution: 'etcd', more: { settle: '2s' } })
  lab = await createLab({ name: 'secrets', hosts: 3, config, program })
  for (const host of lab.hosts) await host.startDaemon()
  for (const host of lab.hosts) {
    await host.untilStatus('it is ready', ({ self }) => self.stage === 'ready', 120_000)
    await host.untilStatus('three voters', ({ distribution }) => distribution.members.length === 3, 120_000)
  }
  forbidden.set('the token', token)
  const parsed = parseToken(token)
  forbid('the secret of the token', parsed.secret.reveal())
  forbid('the key of the network', deriveKeys(parsed).psk.reveal())
  for (const host of lab.hosts) await forbidKeysOf(host)
}, 300_000)
afterAll(() => lab.destroy())

function forbid(what: string, secret: Uint8Array): void {
  const bytes = Buffer.from(secret)
  for (const form of ['hex', 'base64', 'base64url'] as const) {
    forbidden.set(`${what}, ${form}`, bytes.toString(form).replace(/=+$/, ''))
  }
  forbidden.set(`${what}, base58`, base58btc.baseEncode(bytes))
  forbidden.set(`${what}, numbers`, bytes.join(','))
}

/** Reads the identity from a copy: a state directory has one owner. */
async function forbidKeysOf(host: Host): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'muster-secrets-'))
  try {
    for (const file of ['state', 'identity']) cpSync(join(host.place.stateDirectory, file), join(copy, file))
    const store = await openStore(copy, { version: 1, parse: (value) => value })
    const identity = await loadOrCreateIdentity(store)
    await store.close()
    forbid(`the identity of ${host.name}`, identity.privateKeyProtobuf.reveal())
    forbid(`the identity's seed of ${host.name}`, identity.privateKeyProtobuf.reveal().slice(4, 36))
    forbid(`the sealing key of ${host.name}`, identity.sealKey.privateKey.reveal())
    forbid(`the WireGuard key of ${host.name}`, identity.wireguard.privateKey.reveal())
  } finally {
    rmSync(copy, { recursive: true })
  }
  for (const name of ['server.pem', 'peer.pem', 'client.pem']) {
    const { stdout } = await host.exec(['cat', `${RUN_DIRECTORY}/etcd/${name}`])
    const [, key = ''] = stdout.split('-----BEGIN PRIVATE KEY-----')
    const [line = ''] = key.split('\n').filter((text) => text.length > 40)
    forbidden.set(`${name} of ${host.name}`, line)
  }
}

/** Processes of the machine, as the real host numbers them. */
function processesOf(host: Host): string[] {
  const table = readlinkSync(`/proc/${host.daemonPid}/ns/pid`)
  return readdirSync('/proc').filter((entry) => {
    try {
      return /^\d+$/.test(entry) && readlinkSync(`/proc/${entry}/ns/pid`) === table
    } catch {
      return false
    }
  })
}

function expectNothingIn(where: string, text: string): void {
  expect(text.length, where).toBeGreaterThan(0)
  for (const [what, secret] of forbidden) {
    expect(secret.length, what).toBeGreaterThan(20)
    expect(text.includes(secret), `${what} is in ${where}`).toBe(false)
  }
}

describe('secrets', () => {
  it('are found by these means where they are', () => {
    const config = readFileSync(join(lab.directory, 'shared/muster.yaml'), 'utf8')
    expect(config).toContain(forbidden.get('the token'))
    expect(forbidden.size).toBe(1 + 2 * 5 + 3 * (4 * 5 + 3))
  })

  it('are in no argument and no environment of any process', () => {
    for (const host of lab.hosts) {
      const shown = processesOf(host).map((pid) =>
        ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8')).join('\n'),
      )
      const text = shown.join('\n')
      for (const program of ['muster', '--data-dir=', 'wireguard-go']) expect(text).toContain(program)
      expectNothingIn(`the processes of ${host.name}`, text)
    }
  })

  it('are in no log', () => {
    for (const host of lab.hosts) {
      expectNothingIn(`the log of ${host.name}`, host.log())
      const etcd = readFileSync(join(host.place.stateDirectory, 'etcd/etcd.log'), 'utf8')
      expectNothingIn(`etcd's log of ${host.name}`, etcd)
    }
  })

  it.each(['/v1/status', '/v1/history', '/metrics'])('are not told by %s', async (path) => {
    for (const host of lab.hosts) {
      expectNothingIn(`${path} of ${host.name}`, await askText(host.place.socket(), path))
    }
  })

  it('are not printed by any verb', async () => {
    const [host] = lab.hosts
    if (host === undefined) throw new Error('the lab has three hosts')
    const config = '/run/lab/shared/muster.yaml'
    for (const verb of [
      ['status'],
      ['status', '--json'],
      ['history'],
      ['config', 'print', '--config', config],
    ]) {
      const { stdout, stderr } = await host.muster(verb)
      expectNothingIn(`muster ${verb.join(' ')}`, stdout + stderr)
    }
  })

  it('lie in files that only root can read', async () => {
    for (const host of lab.hosts) {
      expect(statSync(host.place.stateDirectory).mode & 0o777).toBe(0o700)
      for (const directory of [RUN_DIRECTORY, '/run/lab/disk/state']) {
        const { stdout } = await host.exec(['find', directory, '-type', 'f', '-perm', '/077'])
        const open = stdout.split('\n').filter((path) => path !== '')
        const { stdout: shown } = await host.exec(['cat', '/dev/null', ...open])
        for (const [what, secret] of forbidden) {
          expect(shown.includes(secret), `${what} is in one of ${open.join(', ')}`).toBe(false)
        }
      }
      const { stdout: keys } = await host.exec(['stat', '-c', '%a', '-L', `${RUN_DIRECTORY}/etcd`])
      expect(keys).toBe('700')
    }
  })
})
