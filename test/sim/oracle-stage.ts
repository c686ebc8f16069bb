/** A stage on which tests of oracles plant what should be found: cores that did nothing wrong, and what is said of them. */
import { expect } from 'vitest'
import { createCounters } from '../../sim/counters.ts'
import type { Machine } from '../../sim/machine.ts'
import { createOracles, type Oracles } from '../../sim/oracles.ts'
import type { World } from '../../sim/world.ts'
import type { NodeId } from '../../src/core/ids.ts'
import type { CertifiedPlan, Plan } from '../../src/core/plan.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import { type Actor, type Cast, formed, planIn } from '../core/cast.ts'

export let found: { readonly rule: number; readonly message: string }[] = []
export let oracles: Oracles
let now = 0
/** What the oracles saw each machine write last. */
let disks = new Map<NodeId, Durable>()

/** Everything anew: call it before each test. */
export function begin(): void {
  disks = new Map()
  found = []
  now = 0
  oracles = fresh()
}

/** What was found so far is as it should be. */
export const forget = (): void => {
  found = []
}

export const setTime = (at: number): void => {
  now = at
}

/** Nobody lies, three machines are expected, and they have no network. */
export function fresh(liars: ReadonlySet<NodeId> = new Set()): Oracles {
  const world = {
    get now() {
      return now
    },
    machines: [],
    network: { peersOf: () => [] },
    counters: createCounters(),
  } as unknown as World
  return createOracles(
    (rule, message) => found.push({ rule, message }),
    liars,
    3,
    () => world,
  )
}

/** The machine of an actor, as far as an oracle looks at one. */
export const machineOf = (actor: Actor, durable: Durable | null = actor.disk): Machine =>
  ({
    keys: actor.keys,
    name: actor.name,
    index: 0,
    paused: false,
    awakeSince: 0,
    disk: { durable },
    state: actor.state,
    datastore: { data: null },
  }) as unknown as Machine

export const diskOf = (actor: Actor): Durable => {
  if (actor.disk === null) throw new Error(`${actor.name} has written nothing`)
  return actor.disk
}
export const written = (actor: Actor, changes: Partial<Durable>): void => {
  const durable = { ...(disks.get(actor.id) ?? diskOf(actor)), ...changes }
  disks.set(actor.id, durable)
  oracles.persisted(actor.id, durable)
}
export const say = (actor: Actor, to: Actor, message: Message, durable = diskOf(actor)): void =>
  oracles.sent(machineOf(actor, durable), to.id, message)
export const broken = (rule: number, words: string): void => {
  expect(found.map((each) => each.rule)).toContain(rule)
  expect(found.map((each) => each.message).join('\n')).toContain(words)
}

/** Who wrote what, in what order, so that the oracle knows a whole formation. */
export async function history(count = 3): Promise<Cast> {
  const stage = await formed({ count, cluster: { distribution: 'etcd' } })
  for (const actor of stage.actors) written(actor, { genesis: null, certified: null })
  return stage
}

/** A plan as certified, which its voters have on their disks as signed, beside their genesis. */
export function certify(
  stage: Cast,
  changes: Partial<CertifiedPlan> & { readonly plan: Plan },
): CertifiedPlan {
  const base = planIn(stage.actor(0))
  const certified: CertifiedPlan = { ...base, ...changes }
  for (const actor of stage.actors) {
    const { index, base: hash, plan } = certified
    written(actor, {
      genesis: diskOf(actor).genesis,
      voting: {
        ...diskOf(actor).voting,
        term: certified.term,
        vote: null,
        accepted: { term: certified.term, index, base: hash, plan, causes: [] },
      },
    })
  }
  found = []
  return {
    ...certified,
    signatures: stage.actors.map(({ id }) => ({ node: id, signature: new Uint8Array(16) })),
  }
}
