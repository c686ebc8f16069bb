/** What a copied disk excuses, and what it does not; and that what a node says and keeps is bounded. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Machine } from '../../sim/machine.ts'
import { createOracles, type Oracles } from '../../sim/oracles.ts'
import type { World } from '../../sim/world.ts'
import { type NodeId, term } from '../../src/core/ids.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import { type Actor, cast, formed, genesisIn } from '../core/cast.ts'

let found: { readonly rule: number; readonly message: string }[] = []
let oracles: Oracles
let now = 0
let disks = new Map<NodeId, Durable>()

beforeEach(() => {
  disks = new Map()
  found = []
  now = 0
  const world = {
    get now() {
      return now
    },
    machines: [],
    network: { peersOf: () => [] },
  } as unknown as World
  oracles = createOracles(
    (rule, message) => found.push({ rule, message }),
    new Set(),
    3,
    () => world,
  )
})

const diskOf = ({ disk, name }: Actor): Durable => {
  if (disk === null) throw new Error(`${name} has written nothing`)
  return disk
}
const machineOf = (actor: Actor, durable: Durable = diskOf(actor)): Machine =>
  ({ keys: actor.keys, name: actor.name, index: 0, awakeSince: 0, disk: { durable } }) as unknown as Machine
const written = (actor: Actor, changes: Partial<Durable>): void => {
  const durable = { ...(disks.get(actor.id) ?? diskOf(actor)), ...changes }
  disks.set(actor.id, durable)
  oracles.persisted(actor.id, durable)
}
const say = (actor: Actor, to: Actor, message: Message, durable: Durable): void =>
  oracles.sent(machineOf(actor, durable), to.id, message)
const broken = (rule: number, words: string): void => {
  expect(found.map((each) => each.rule)).toContain(rule)
  expect(found.map((each) => each.message).join('\n')).toContain(words)
}

describe('a copied disk', () => {
  test('is excused for what it says twice, and then nothing binds that rests on its word', async () => {
    const stage = await formed({ count: 3 })
    const [a, b, c] = [stage.actor(0), stage.actor(1), stage.actor(2)]
    const vote: Message = {
      kind: 'poll.answer',
      pre: false,
      era: genesisIn(a).id,
      term: term(7),
      granted: true,
      signature: new Uint8Array(16),
    }
    const held = (to: Actor) => ({ ...diskOf(a), voting: { term: term(7), vote: to.id, accepted: null } })
    written(a, held(b))
    say(a, b, vote, held(b))
    oracles.copied(a.id, 'restored', diskOf(a))
    expect(oracles.copies.excuse()).toBeNull()
    found = []
    say(a, c, vote, held(c))
    expect(found).toEqual([])
    expect(oracles.copies.excuse()).toContain('broke its word')
  })

  test('of another machine excuses nobody', async () => {
    const stage = await formed({ count: 3 })
    const [a, b] = [stage.actor(0), stage.actor(1)]
    oracles.copied(b.id, 'restored', diskOf(b))
    const { voting } = diskOf(a)
    written(a, { voting: { ...voting, term: term(8), vote: a.id } })
    written(a, { voting: { ...voting, term: term(7), vote: a.id } })
    broken(2, 'went back from term 8 to 7')
  })

  test('from before the genesis counts as one machine more that promised', async () => {
    const stage = await cast({ count: 4, expect: 9 })
    for (const actor of stage.actors) {
      written(actor, { founding: { term: term(1), candidate: stage.actor(0).id, accepted: null } })
    }
    expect(oracles.founding.excuse()).toBeNull()
    oracles.copied(stage.actor(1).id, 'restored', null)
    expect(oracles.founding.excuse()).toContain('1 more machines promised')
  })
})

describe('bounds', () => {
  test('on how much a node says are kept by time', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const a = machineOf(stage.actor(0))
    for (let i = 0; i < 500; i++) oracles.bounds.sent(a)
    now += 10_000
    for (let i = 0; i < 500; i++) oracles.bounds.sent(a)
    expect(found).toEqual([])
    oracles.bounds.sent(a)
    broken(11, 'more than 500 messages to each in 10 s')
  })

  test('on the size of a message, and of many, are kept', async () => {
    const stage = await cast({ count: 2, expect: 9 })
    const a = machineOf(stage.actor(0))
    oracles.bounds.carried(a, 16 * 1024)
    expect(found).toEqual([])
    oracles.bounds.carried(a, 16 * 1024 + 1)
    broken(11, 'a message of 16385 bytes')
    found = []
    for (let i = 0; i < 10; i++) oracles.bounds.carried(a, 10_000)
    broken(11, 'more than 100000 bytes')
  })
})
