/** A stage whose machines have a k3s that does at once what it is ordered, unless a test holds it up. */
import type { K3sSettings } from '../../src/core/k3s.ts'
import { plainK3s } from '../../src/core/k3s.ts'
import type { DistributionFacts, DistributionOrder } from '../../src/core/orders.ts'
import { type Actor, type Cast, type Casting, formed, NO_DATASTORE, planIn } from './cast.ts'

export type K3sOrder = Extract<DistributionOrder, { kind: 'k3s' }>
export const CLUSTER_ID = 'c'.repeat(64)

export const orderOf = (actor: Actor): K3sOrder => {
  if (actor.order?.kind !== 'k3s') throw new Error(`${actor.name} has no order of k3s`)
  return actor.order
}

/** What a driver says that did all of its order. */
export function factsOf(
  stage: Cast,
  actor: Actor,
  changes: Partial<DistributionFacts> = {},
): DistributionFacts {
  const order = orderOf(actor)
  const { plan } = planIn(actor)
  const runs = order.action !== 'stop'
  const isServer = order.role === 'server'
  const servers = new Set([...plan.datastore.members, ...(runs && isServer ? [actor.id] : [])])
  return {
    ...NO_DATASTORE,
    version: order.version ?? 'v1.30.0+k3s1',
    prepared: order.prepare.revision,
    snapshot: order.snapshot,
    running: runs,
    healthy: runs,
    voter: runs && isServer,
    ready: runs,
    revision: runs ? order.revision : null,
    dataPresent: runs && isServer,
    dataEpoch: runs && isServer ? order.epoch : null,
    dataGenesis: runs && isServer ? order.genesis : null,
    clusterId: runs ? CLUSTER_ID : null,
    members:
      runs && isServer
        ? plan.members
            .filter(({ id }) => servers.has(id))
            .map(({ id, name }) => ({
              name,
              voter: true,
              healthy: stage.actors.some((other) => other.id === id && other.isOn),
            }))
        : [],
    ...changes,
  }
}

/** Every machine that is on does what it was told last; `except` tells of them what it wants. */
export function work(
  stage: Cast,
  except: (actor: Actor) => Partial<DistributionFacts> | null = () => ({}),
): void {
  for (const actor of stage.actors) {
    if (!actor.isOn || actor.order?.kind !== 'k3s') continue
    const changes = except(actor)
    if (changes !== null) stage.tell(actor, { kind: 'distribution', facts: factsOf(stage, actor, changes) })
  }
}

export function workUntil(stage: Cast, isTrue: () => boolean, except?: Parameters<typeof work>[1]): void {
  stage.until(() => {
    work(stage, except)
    return isTrue()
  })
}

/** Everybody is in, and k3s works everywhere. */
export async function running(
  casting: Casting,
  k3s: Partial<K3sSettings> = { version: 'v1.30.0+k3s1' },
): Promise<Cast> {
  const cluster = { distribution: 'k3s', k3s: { ...plainK3s(), ...k3s } } as const
  const stage = await formed({ ...casting, cluster: { ...cluster, ...casting.cluster } })
  workUntil(stage, () => {
    const { plan } = planIn(stage.actor(0))
    const servers = plan.members.filter(({ role }) => role === 'server')
    return (
      plan.act === null &&
      plan.datastore.members.length === servers.length &&
      stage.actors.every((actor) => !actor.isOn || actor.state.distribution.ready)
    )
  })
  return stage
}

export const serversOf = (stage: Cast): Actor[] =>
  stage.actors.filter(({ id }) => planIn(stage.actor(0)).plan.voters.includes(id))
export const agentsOf = (stage: Cast): Actor[] =>
  stage.actors.filter((actor) => actor.isOn && !serversOf(stage).includes(actor))

/** A person changes settings of k3s at a server's socket. */
export function configure(stage: Cast, k3s: Partial<K3sSettings>, acceptDowntime = false): void {
  const [server] = serversOf(stage).filter(({ isOn }) => isOn)
  const settings = server === undefined ? null : planIn(server).plan.settings.k3s
  if (server === undefined || settings === null) throw new Error('no server of k3s')
  stage.tell(server, {
    kind: 'command',
    request: `configure ${stage.now}`,
    command: { verb: 'config', settings: { k3s: { ...settings, ...k3s } }, acceptDowntime },
    who: 'root',
    why: null,
    operator: null,
  })
  stage.pass(2_000)
}
