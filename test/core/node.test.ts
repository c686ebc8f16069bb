import { describe, expect, test } from 'vitest'
import { obstacle } from '../../src/core/founding.ts'
import { maySign } from '../../src/core/gossip.ts'
import { millis } from '../../src/core/ids.ts'
import { stageOf, start } from '../../src/core/node.ts'
import { RECALL_MS } from '../../src/core/timing.ts'
import { type Actor, type Cast, cast, formed, NO_DATASTORE, sent, statusIn } from './cast.ts'

/** Starts a machine's disk in another machine. */
function startElsewhere(stage: Cast, actor: Actor, fingerprint: string | null) {
  return start(actor.keys.crypto, stage.now, {
    id: actor.id,
    settings: actor.settings,
    claim: actor.claim,
    version: 'test',
    fingerprint: fingerprint === null ? null : actor.keys.crypto.hash(new TextEncoder().encode(fingerprint)),
    ephemeral: null,
    damaged: null,
    entropy: new Uint8Array(32),
    wallMs: 0,
    durable: actor.disk,
    distribution: NO_DATASTORE,
  }).state
}

describe('a node', () => {
  test('goes through its stages in order', async () => {
    const stage = await cast({ count: 3, off: () => true })
    const seen: string[] = []
    const look = (): void => {
      const now = stageOf(stage.actor(0).state, stage.now)
      if (seen.at(-1) !== now) seen.push(now)
    }
    stage.switchOn(stage.actor(0))
    look()
    stage.drop = (_from, _to, message) => message.kind === 'prepare'
    stage.switchOn(stage.actor(1))
    stage.switchOn(stage.actor(2))
    look()
    stage.drop = () => false
    stage.until(() => {
      look()
      return seen.at(-1) === 'ready'
    })
    expect(seen).toEqual(['discovering', 'founding', 'ready'])
  })

  test('writes before it says anything that depends on it', async () => {
    const stage = await formed({ count: 3 })
    for (const actor of stage.actors) {
      expect(actor.disk).toEqual(actor.state.durable)
      expect(actor.said.length).toBeGreaterThan(0)
    }
  })

  test('is itself after a restart: same plan, address and genesis, no second founding', async () => {
    const stage = await formed({ count: 3 })
    const [a] = stage.actors
    if (a === undefined) throw new Error()
    const before = statusIn(stage, a)
    stage.switchOff(a)
    stage.switchOn(a)
    stage.pass(5_000)
    expect(statusIn(stage, a).self).toMatchObject({ id: before.self.id, address: before.self.address })
    expect(statusIn(stage, a).cluster.id).toBe(before.cluster.id)
  })

  test('of a cluster that lost power as a whole is back without a founding', async () => {
    const stage = await formed({ count: 3 })
    const before = stage.actors.map(({ state }) => state.genesisId)
    for (const actor of stage.actors) stage.switchOff(actor)
    stage.pass(60_000)
    const promises = stage.actors.map((actor) => sent(actor, 'promise').length)
    for (const actor of stage.actors) stage.switchOn(actor)
    stage.pass(10_000)
    expect(stage.actors.map(({ state }) => state.genesisId)).toEqual(before)
    expect(stage.actors.map((actor) => sent(actor, 'promise').length)).toEqual(promises)
    for (const actor of stage.actors) expect(statusIn(stage, actor).self.stage).toBe('ready')
  })

  test('meshes on without a peer that never answers, after its patience', async () => {
    const stage = await formed({ count: 3 })
    const [a, b] = stage.actors
    if (a === undefined || b === undefined) throw new Error()
    stage.switchOff(a)
    stage.switchOn(a)
    const peers = stage.actors
      .filter((actor) => actor !== a)
      .map(({ id }) => ({ id, path: id === b.id ? ('none' as const) : ('direct' as const) }))
    a.state.meshed = false
    stage.tell(a, { kind: 'mesh', facts: { up: true, peers, problems: [] } })
    stage.pass(5_000)
    expect(statusIn(stage, a).self.stage).toBe('meshing')
    stage.pass(20_000)
    expect(statusIn(stage, a).self.stage).toBe('ready')
    expect(statusIn(stage, a).problems.map(({ code }) => code)).toContain('mesh.unreachable')
  })
})

describe('a node whose state does not last', () => {
  test('neither founds, promises nor joins; it reports', async () => {
    const stage = await cast({ count: 3, expect: 3, ephemeral: (i) => (i === 2 ? 'a live system' : null) })
    stage.pass(60_000)
    const [a, , c] = stage.actors
    if (a === undefined || c === undefined) throw new Error()
    expect(a.state.genesisId).toBeNull()
    expect(sent(c, 'promise')).toEqual([])
    expect(statusIn(stage, a).nodes.map(({ name }) => name)).toContain('host-2')
    const joined = await formed({
      count: 4,
      expect: 3,
      off: (i) => i === 3,
      ephemeral: (i) => (i === 3 ? 'x' : null),
    })
    joined.switchOn(joined.actor(3))
    joined.pass(10_000)
    expect(joined.actor(3).state.genesisId).toBeNull()
  })

  test('takes part where a lab allows it', async () => {
    const stage = await cast({
      count: 3,
      ephemeral: () => 'tmpfs',
      settings: () => ({ allowEphemeral: true }),
    })
    stage.pass(5_000)
    expect(new Set(stage.actors.map(({ state }) => state.genesisId)).size).toBe(1)
    expect(stage.actor(0).state.genesisId).not.toBeNull()
  })
})

describe('a disk in another machine', () => {
  test('is a question for a person; `adopt` answers it', async () => {
    const stage = await formed({ count: 3 })
    const a = stage.actor(0)
    stage.isolate(a)
    a.state = startElsewhere(stage, a, 'another machine')
    expect(a.state.blocked?.code).toBe('state.other-machine')
    expect(a.state.replication.role).toBe('idle')
    stage.tell(a, { kind: 'adopt' })
    expect(a.state.blocked).toBeNull()
    expect(a.disk?.fingerprint).toBe(a.state.fingerprint)
    expect(a.state.replication.role).toBe('idle')
    stage.pass(RECALL_MS)
    expect(a.state.replication.role).not.toBe('idle')
  })

  test('is not noticed where a machine has no ID, and status says that', async () => {
    const stage = await formed({ count: 3 })
    const a = stage.actor(0)
    a.state = startElsewhere(stage, a, null)
    expect(a.state.blocked).toBeNull()
    expect(statusIn(stage, a).problems.map(({ code }) => code)).toContain('state.no-fingerprint')
  })

  test('`adopt` changes nothing else: a clone stays a clone', async () => {
    const stage = await formed({ count: 3 })
    const a = stage.actor(0)
    a.state.blocked = { code: 'node.cloned', message: '', hint: '' }
    stage.tell(a, { kind: 'adopt' })
    expect(a.state.blocked?.code).toBe('node.cloned')
  })
})

describe('a damaged state', () => {
  test('never promises or votes again, for nobody knows what it promised', async () => {
    const stage = await cast({ count: 1, expect: 9 })
    const a = stage.actor(0)
    const first = start(a.keys.crypto, millis(0), {
      id: a.id,
      settings: a.settings,
      claim: a.claim,
      version: 'test',
      fingerprint: null,
      ephemeral: null,
      damaged: { message: 'torn', hint: 'reset' },
      entropy: new Uint8Array(32),
      wallMs: 0,
      durable: null,
      distribution: NO_DATASTORE,
    })
    expect(first.state.blocked).toMatchObject({ code: 'state.damaged', message: 'torn' })
    expect(maySign(first.state)).toBe(false)
    expect(obstacle(first.state, millis(0))).toBe('blocked')
  })
})
