import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, loadOrCreateIdentity } from '../../src/host/identity.ts'
import { openStore, type Store } from '../../src/host/store.ts'

const format = { version: 1, parse: (value: unknown) => value }
let directory: string
let store: Store<unknown>

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-identity-'))
  store = await openStore(directory, format)
})
afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

async function restart(): Promise<void> {
  await store.close()
  store = await openStore(directory, format)
}

const secretsOf = (identity: Identity): Uint8Array[] => [
  identity.privateKeyProtobuf.reveal(),
  identity.sealKey.privateKey.reveal(),
  identity.wireguard.privateKey.reveal(),
]

describe('an identity', () => {
  it('is made once and is the same at every start', async () => {
    const first = await loadOrCreateIdentity(store)
    await store.save({ some: 'state' })
    await restart()
    const second = await loadOrCreateIdentity(store)
    expect(second.id).toBe(first.id)
    expect(secretsOf(second)).toEqual(secretsOf(first))
    expect(second.sealKey.publicKey).toEqual(first.sealKey.publicKey)
    expect(second.wireguard.publicKey).toEqual(first.wireguard.publicKey)
  })

  it('survives a crash between its making and the first save', async () => {
    const first = await loadOrCreateIdentity(store)
    await restart()
    expect(store.load().kind).toBe('fresh')
    expect((await loadOrCreateIdentity(store)).id).toBe(first.id)
  })

  it('is an Ed25519 peer ID, whose key libp2p reads', async () => {
    const identity = await loadOrCreateIdentity(store)
    expect(identity.id).toMatch(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/)
    expect(privateKeyFromProtobuf(identity.privateKeyProtobuf.reveal()).type).toBe('Ed25519')
  })

  it('has the WireGuard public key that wg computes', async () => {
    const { wireguard } = await loadOrCreateIdentity(store)
    const input = Buffer.from(wireguard.privateKey.reveal()).toString('base64')
    const said = execFileSync('wg', ['pubkey'], { input, encoding: 'utf8' }).trim()
    expect(said).toBe(Buffer.from(wireguard.publicKey).toString('base64'))
  })

  it('is readable by its owner only', async () => {
    await loadOrCreateIdentity(store)
    expect(statSync(join(directory, 'identity')).mode & 0o777).toBe(0o600)
  })

  it('shows no secret however it is printed', async () => {
    const identity = await loadOrCreateIdentity(store)
    const lines: string[] = []
    pino({}, { write: (line: string) => lines.push(line) }).info({ identity })
    const printed = [
      JSON.stringify(identity),
      inspect(identity, { depth: 9, showHidden: true }),
      ...lines,
    ].join()
    expect(printed).toContain('[secret]')
    for (const secret of secretsOf(identity)) {
      for (const form of ['hex', 'base64', 'base64url'] as const) {
        expect(printed).not.toContain(Buffer.from(secret).toString(form).slice(0, 20))
      }
      expect(printed).not.toContain([...secret.slice(0, 6)].join(','))
    }
  })
})

describe('an identity that is not what it was', () => {
  it('is not made anew where a state is', async () => {
    await loadOrCreateIdentity(store)
    await store.save({ some: 'state' })
    await rm(join(directory, 'identity'))
    await restart()
    await expect(loadOrCreateIdentity(store)).rejects.toMatchObject({
      code: 'MUSTER_E_IDENTITY_DAMAGED',
      message: expect.stringContaining('missing'),
      hint: expect.stringContaining('muster reset'),
    })
  })

  it('is not made anew where it is cut off or changed, and the file stays as it is', async () => {
    await loadOrCreateIdentity(store)
    const path = join(directory, 'identity')
    const whole = readFileSync(path)
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length))
      await expect(loadOrCreateIdentity(store), `${length} bytes`).rejects.toMatchObject({
        code: 'MUSTER_E_IDENTITY_DAMAGED',
      })
      expect(readFileSync(path)).toHaveLength(length)
    }
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at & 7))
      writeFileSync(path, bytes)
      await expect(loadOrCreateIdentity(store), `byte ${at}`).rejects.toMatchObject({
        code: 'MUSTER_E_IDENTITY_DAMAGED',
      })
    }
  })
})
