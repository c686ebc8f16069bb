import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Start } from '../../src/core/events.ts'
import { digest, type NodeId } from '../../src/core/ids.ts'
import { decodeMessage } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import { createCrypto } from '../../src/host/crypto.ts'
import { type Driver, type Machine, startDriver, startReporter } from '../../src/host/driver.ts'
import { type Identity, loadOrCreateIdentity } from '../../src/host/identity.ts'
import { openStore } from '../../src/host/store.ts'
import { CLUSTER, NO_DATASTORE } from '../core/cast.ts'

/** Two identities: the node's own and a peer's. */
async function makeIdentity(): Promise<Identity> {
  const directory = mkdtempSync(join(tmpdir(), 'muster-driver-'))
  const store = await openStore(directory, { version: 1, parse: (value) => value })
  try {
    return await loadOrCreateIdentity(store)
  } finally {
    await store.close()
    rmSync(directory, { recursive: true })
  }
}

const own = await makeIdentity()
const peer = (await makeIdentity()).id

const given = (changes: Partial<Start> = {}): Start => ({
  id: own.id,
  settings: {
    network: 'lab',
    networkId: digest('1'.repeat(64)),
    expect: 3,
    pin: null,
    settleMs: 3_000,
    founders: null,
    serverPreference: 'neutral',
    allowEphemeral: false,
    cluster: CLUSTER,
  },
  claim: {
    name: 'node-1',
    sealKey: own.sealKey.publicKey,
    wireguardKey: own.wireguard.publicKey,
    lanAddress: null,
    serverPreference: 'neutral',
    cpus: 2,
    memoryMiB: 1_024,
  },
  version: 'test',
  fingerprint: null,
  ephemeral: null,
  damaged: null,
  entropy: new Uint8Array(32).fill(7),
  wallMs: 1_700_000_000_000,
  durable: null,
  distribution: NO_DATASTORE,
  ...changes,
})

/** A machine that notes in order what it was told to do. `disk` decides how a save ends. */
class Notes implements Machine {
  readonly done: string[] = []
  readonly saved: Durable[] = []
  readonly counts: string[] = []
  readonly failures: unknown[] = []
  disk: () => Promise<void> = async () => undefined

  async save(durable: Durable): Promise<void> {
    await this.disk()
    this.saved.push(durable)
    this.done.push('saved')
  }
  send(to: NodeId, bytes: Uint8Array): void {
    this.done.push(`sent ${decodeMessage(bytes).kind} to ${to === peer ? 'peer' : to}`)
  }
  dial = (): void => undefined
  publish = (): void => undefined
  lookup = async (): Promise<Uint8Array[]> => []
  orderMesh = (): void => undefined
  orderDistribution = (): void => undefined
  shun = (): void => undefined
  problems = () => []
  log = (): void => undefined
  count(name: string): void {
    this.counts.push(name)
  }
  failed(error: unknown): void {
    this.failures.push(error)
  }
}

describe('the driver', () => {
  let machine: Notes
  let driver: Driver | null = null
  beforeEach(() => {
    machine = new Notes()
  })
  afterEach(async () => {
    await driver?.stop()
    driver = null
  })

  const run = (changes: Partial<Start> = {}): Driver => {
    driver = startDriver(createCrypto(own), machine, given(changes))
    return driver
  }
  const sent = (): string[] => machine.done.filter((what) => what.startsWith('sent'))

  it('says nothing before the state that it speaks of is on the disk', async () => {
    const writing = Promise.withResolvers<void>()
    machine.disk = () => writing.promise
    const node = run()
    node.handle({ kind: 'connected', peer })
    await vi.waitFor(() => expect(node.status().self.stage).toBe('discovering'))
    expect(sent()).toEqual([])
    writing.resolve()
    await vi.waitFor(() => expect(sent()).toContain('sent records to peer'))
    expect(machine.done[0]).toBe('saved')
  })

  it('gives the answer to a command to who gave it', async () => {
    const command = { verb: 'remove', node: 'node-2' } as const
    const answer = await run().command(command, { who: 'root', why: null, operator: null })
    expect(answer).toMatchObject({ ok: false, message: 'this node is in no cluster yet' })
  })

  it('is silent while the disk refuses, says so in status, and goes on by itself afterwards', async () => {
    machine.disk = async () => {
      throw Object.assign(new Error('no space left'), { hint: 'free some' })
    }
    const node = run()
    node.handle({ kind: 'connected', peer })
    await vi.waitFor(() => expect(node.status().problems.map(({ code }) => code)).toContain('store.failed'))
    expect(node.status().problems.find(({ code }) => code === 'store.failed')).toMatchObject({
      message: 'no space left',
      hint: 'free some',
    })
    expect(sent()).toEqual([])
    machine.disk = async () => undefined
    await vi.waitFor(() => expect(sent()).toContain('sent records to peer'), { timeout: 10_000 })
    expect(node.status().problems.map(({ code }) => code)).not.toContain('store.failed')
  })

  it('writes once for events that came together', async () => {
    const node = run()
    for (let i = 0; i < 100; i++) {
      node.handle({
        kind: 'addresses',
        addresses: [`/ip4/192.0.2.${i}/tcp/1`],
        endpoints: [],
        lanAddress: null,
      })
    }
    node.handle({ kind: 'connected', peer })
    await vi.waitFor(() => expect(sent()).toContain('sent records to peer'))
    expect(machine.saved.length).toBeLessThanOrEqual(3)
  })

  it('refuses whatever is no message, counts it, and lives', async () => {
    const node = run()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const before = machine.counts.length
        node.receive(peer, bytes)
        expect(machine.counts.slice(before)).toEqual(['message.refused'])
      }),
    )
    expect(node.status().self.id).toBe(own.id)
    expect(machine.failures).toEqual([])
  })

  it('hands a failure of the core to the daemon, which must end', async () => {
    const node = run()
    // Facts that no host reports.
    node.handle(Object.freeze({ kind: 'mesh', facts: null }) as never)
    await vi.waitFor(() => expect(machine.failures).toHaveLength(1))
    node.handle({ kind: 'connected', peer })
    await node.stop()
    expect(sent()).toEqual([])
  })

  it('sends nothing after it was stopped', async () => {
    const node = run()
    await vi.waitFor(() => expect(machine.saved).not.toEqual([]))
    await node.stop()
    const before = machine.done.length
    node.handle({ kind: 'connected', peer })
    expect(machine.done.slice(before)).toEqual([])
  })

  it('remembers at the next start what it saved', async () => {
    const node = run()
    await vi.waitFor(() => expect(machine.saved).not.toEqual([]))
    await node.stop()
    const durable = machine.saved.at(-1)
    if (durable === undefined) throw new Error('nothing saved')
    machine = new Notes()
    run({ durable })
    driver?.handle({ kind: 'connected', peer })
    await vi.waitFor(() => expect(machine.saved).not.toEqual([]))
    expect(machine.saved[0]?.seq).toBeGreaterThan(durable.seq)
  })
})

describe('a node that lost its state', () => {
  it('is blocked, says what became of it, and writes nothing', async () => {
    const damaged = { message: 'the state cannot be read', hint: 'reset' }
    const node = startReporter(createCrypto(own), given({ damaged }))
    node.handle({ kind: 'connected', peer })
    const status = node.status()
    expect(status.self.stage).toBe('blocked')
    expect(status.problems).toContainEqual(
      expect.objectContaining({ code: 'state.damaged', severity: 'error', ...damaged }),
    )
    expect(status.waitingFor[0]).toMatch(/a person/)
    await node.stop()
  })
})
