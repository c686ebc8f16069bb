/** What a status says that is not so is found, and nothing where all is so. */
import { expect, test } from 'vitest'
import { createCounters } from '../../sim/counters.ts'
import type { Machine } from '../../sim/machine.ts'
import { createOracles } from '../../sim/oracles.ts'
import type { World } from '../../sim/world.ts'
import { term } from '../../src/core/ids.ts'
import type { CertifiedPlan } from '../../src/core/plan.ts'
import type { Durable } from '../../src/core/state.ts'
import { type Actor, followersOf, formed, leaderOf } from '../core/cast.ts'

/** A follower, and an oracle that saw the whole formation; `read` tells which rules its status breaks. */
async function story(): Promise<{ readonly actor: Actor; readonly read: () => string[] }> {
  const stage = await formed({ count: 3 })
  const found: string[] = []
  const world = {
    now: 0,
    machines: [],
    network: { peersOf: () => [] },
    counters: createCounters(),
  } as unknown as World
  const oracles = createOracles(
    (rule, message) => found.push(`rule ${rule}: ${message}`),
    new Set(),
    3,
    () => world,
  )
  const leader = leaderOf(stage).id
  for (const { id, disk } of stage.actors) {
    const durable = diskOf(disk)
    const voted = { ...durable, voting: { ...durable.voting, vote: leader } }
    const before = { ...durable, voting: { ...durable.voting, vote: null } }
    for (const written of [{ ...before, genesis: null, certified: null }, before, voted]) {
      oracles.persisted(id, written)
    }
  }
  const actor = followersOf(stage)[0] ?? stage.actor(0)
  const machine = {
    keys: actor.keys,
    name: actor.name,
    index: 0,
    paused: false,
    awakeSince: 0,
    disk: { durable: actor.disk },
    state: actor.state,
    datastore: { muted: () => true },
    mesh: { muted: () => true },
    clock: () => stage.now,
  } as unknown as Machine
  const read = (): string[] => {
    found.length = 0
    // It reads one now and then: this is often enough.
    for (let i = 0; i < 200; i++) oracles.settled(machine)
    return found
  }
  expect(read()).toEqual([])
  return { actor, read }
}

const diskOf = (disk: Durable | null): Durable => {
  if (disk === null) throw new Error('nothing was written')
  return disk
}
const certifiedOf = (actor: Actor): CertifiedPlan => {
  const { certified } = diskOf(actor.disk)
  if (certified === null) throw new Error('no plan')
  return certified
}
const shows = ({ state }: Actor, certified: CertifiedPlan): void => {
  state.durable = { ...state.durable, certified }
}

test('a leader that nobody elected is found', async () => {
  const { actor, read } = await story()
  actor.state.replication.leader = actor.id
  expect(read().join()).toContain('who was never elected in it')
})

test('a term that nobody led is found', async () => {
  const { actor, read } = await story()
  actor.state.replication.leader = null
  actor.state.replication.leaderTerm = term(77)
  expect(read().join()).toContain('which nobody ever led')
})

test('a plan that is not on the disk is found', async () => {
  const { actor, read } = await story()
  const certified = certifiedOf(actor)
  shows(actor, { ...certified, index: certified.index + 1 })
  expect(read().join()).toContain(`and its disk has ${certified.index}`)
})

test('an address that is another’s is found', async () => {
  const { actor, read } = await story()
  const certified = certifiedOf(actor)
  const [one, two, ...rest] = certified.plan.members
  if (one === undefined || two === undefined) throw new Error('no members')
  const members = [{ ...one, address: two.address }, { ...two, address: one.address }, ...rest]
  shows(actor, { ...certified, plan: { ...certified.plan, members } })
  expect(read().join()).toContain(`rule 5: ${actor.id}'s status gives ${two.address} to ${one.id}`)
})
