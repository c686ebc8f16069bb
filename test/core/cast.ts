/**
 * A handful of real cores on a stage, for tests: what one says the others hear at once, in order, unless the
 * test drops it; time passes only when the test lets it; a machine that is switched off keeps its disk.
 */
import { type Keys, randomBytes, sha256, symbolicKeymaker } from '../../sim/crypto.ts'
import { randomFrom } from '../../sim/random.ts'
import type { Effect, Event } from '../../src/core/events.ts'
import { type Millis, millis, type NodeId } from '../../src/core/ids.ts'
import { nextDeadline, start, step } from '../../src/core/node.ts'
import type { DistributionFacts, DistributionOrder } from '../../src/core/orders.ts'
import type { Message, MessageOf } from '../../src/core/protocol.ts'
import type { Claim } from '../../src/core/record.ts'
import { statusOf } from '../../src/core/report.ts'
import { type ClusterSettings, MEMBERSHIP_DEFAULTS, type Settings } from '../../src/core/settings.ts'
import type { Durable, NodeState } from '../../src/core/state.ts'
import type { StatusDocument } from '../../src/core/status.ts'

export const NO_DATASTORE: DistributionFacts = {
  version: null,
  dataPresent: false,
  dataEpoch: null,
  dataGenesis: null,
  running: false,
  healthy: false,
  voter: false,
  ready: false,
  clusterId: null,
  members: [],
  nodes: [],
  revision: null,
  prepared: null,
  snapshot: null,
  problems: [],
}

export const CLUSTER: ClusterSettings = {
  servers: 'auto',
  admission: 'open',
  maxNodes: 64,
  vpnMode: 'wireguard',
  vpnCidr: '10.86.0.0/16',
  distribution: 'none',
  k3s: null,
  ...MEMBERSHIP_DEFAULTS,
}

export interface Actor {
  readonly name: string
  readonly keys: Keys
  readonly id: NodeId
  readonly settings: Settings
  readonly claim: Claim
  /** The running core. Of a machine that is off: as it was when it went off. */
  state: NodeState
  isOn: boolean
  /** What a power cut leaves. */
  disk: Durable | null
  /** Everything that it ever sent, in order. */
  readonly said: { readonly to: NodeId; readonly message: Message }[]
  /** Everything else that it ever wanted done. */
  readonly effects: Effect[]
  /** The order that its driver has. */
  order: DistributionOrder | null
}

export interface Casting {
  readonly count: number
  readonly expect?: number
  readonly cluster?: Partial<ClusterSettings>
  readonly settings?: (index: number) => Partial<Settings>
  readonly claim?: (index: number) => Partial<Claim>
  readonly ephemeral?: (index: number) => string | null
  readonly distribution?: (index: number) => DistributionFacts
  /** Not switched on yet. */
  readonly off?: (index: number) => boolean
}

export interface Cast {
  readonly actors: readonly Actor[]
  now: Millis
  /** Messages that get lost. */
  drop: (from: Actor, to: Actor, message: Message) => boolean
  actor(index: number): Actor
  tell(actor: Actor, event: Event): void
  /** As if `from`, who may be nobody on the stage, had sent it. */
  hear(actor: Actor, from: NodeId, message: Message): void
  pass(ms: number): void
  /** Lets time pass until it is true; a test that waits for ever fails. */
  until(isTrue: () => boolean): void
  switchOff(actor: Actor): void
  switchOn(actor: Actor): void
  isolate(actor: Actor): void
  rejoin(actor: Actor): void
}

export async function cast(casting: Casting): Promise<Cast> {
  const { count, expect = count } = casting
  const keymaker = symbolicKeymaker()
  const queue: { readonly from: Actor; readonly to: NodeId; readonly message: Message }[] = []
  const actors: Actor[] = []
  const cut = new Set<Actor>()
  const ephemeral = (index: number): string | null => casting.ephemeral?.(index) ?? null

  const boot = (actor: Actor): void => {
    const index = actors.indexOf(actor)
    const first = start(actor.keys.crypto, stage.now, {
      id: actor.id,
      settings: actor.settings,
      claim: actor.claim,
      version: 'test',
      fingerprint: sha256(new TextEncoder().encode(`machine ${index}`)),
      ephemeral: ephemeral(index),
      damaged: null,
      entropy: randomBytes(randomFrom(stage.now, `entropy ${index}`), 32),
      wallMs: 1_700_000_000_000 + stage.now,
      durable: actor.disk,
      distribution: casting.distribution?.(index) ?? NO_DATASTORE,
    })
    actor.state = first.state
    actor.isOn = true
    carryOut(actor, first.effects)
    for (const other of actors) if (other !== actor) connect(actor, other)
  }

  const connect = (a: Actor, b: Actor): void => {
    if (!a.isOn || !b.isOn || cut.has(a) || cut.has(b)) return
    stage.tell(a, { kind: 'connected', peer: b.id })
    stage.tell(b, { kind: 'connected', peer: a.id })
  }

  const part = (actor: Actor): void => {
    for (const other of actors) {
      if (other === actor || !other.state.links.has(actor.id)) continue
      if (other.isOn) stage.tell(other, { kind: 'disconnected', peer: actor.id })
      if (actor.isOn) stage.tell(actor, { kind: 'disconnected', peer: other.id })
    }
  }

  const carryOut = (actor: Actor, effects: readonly Effect[]): void => {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'persist':
          actor.disk = effect.durable
          break
        case 'send':
          actor.said.push({ to: effect.to, message: effect.message })
          queue.push({ from: actor, to: effect.to, message: effect.message })
          break
        case 'mesh': {
          const peers = effect.order.peers.map(({ id }) => ({ id, path: 'direct' as const }))
          stage.tell(actor, { kind: 'mesh', facts: { up: true, peers, problems: [] } })
          break
        }
        case 'distribution':
          actor.order = effect.order
          break
        default:
          actor.effects.push(effect)
      }
    }
  }

  let isDelivering = false
  const deliver = (): void => {
    if (isDelivering) return
    isDelivering = true
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { from, to: id, message } = next
      const to = actors.find((actor) => actor.id === id)
      if (to === undefined || !to.isOn || cut.has(from) || cut.has(to)) continue
      if (!from.state.links.has(id) || stage.drop(from, to, message)) continue
      takeStep(to, { kind: 'message', from: from.id, message })
    }
    isDelivering = false
  }

  const takeStep = (actor: Actor, event: Event): void =>
    carryOut(actor, step(actor.keys.crypto, actor.state, stage.now, event))

  const stage: Cast = {
    actors,
    now: millis(0),
    drop: () => false,
    actor: (index) => {
      const actor = actors[index]
      if (actor === undefined) throw new RangeError(`there is no actor ${index}`)
      return actor
    },
    tell: (actor, event) => {
      takeStep(actor, event)
      deliver()
    },
    hear: (actor, from, message) => stage.tell(actor, { kind: 'message', from, message }),
    pass: (ms) => {
      const end = stage.now + ms
      for (let wakes = 0; ; wakes++) {
        if (wakes > 1_000_000) throw new Error('the cores are busy without end')
        const due = actors
          .filter((actor) => actor.isOn)
          .map((actor) => ({ actor, at: nextDeadline(actor.state, stage.now).at }))
          .reduce<{ actor: Actor; at: number } | null>((a, b) => (a === null || b.at < a.at ? b : a), null)
        if (due === null || due.at > end) break
        stage.now = millis(Math.max(stage.now, due.at))
        stage.tell(due.actor, { kind: 'timer' })
      }
      stage.now = millis(end)
    },
    until: (isTrue) => {
      for (let i = 0; !isTrue(); i++) {
        if (i > 6_000) throw new Error('waited ten minutes in vain')
        stage.pass(100)
      }
    },
    switchOff: (actor) => {
      part(actor)
      actor.isOn = false
    },
    switchOn: boot,
    isolate: (actor) => {
      part(actor)
      cut.add(actor)
    },
    rejoin: (actor) => {
      cut.delete(actor)
      for (const other of actors) if (other !== actor) connect(actor, other)
    },
  }

  for (let i = 0; i < count; i++) {
    const name = String.fromCharCode(97 + i)
    const keys = await keymaker(name, randomFrom(1, `keys ${i}`))
    const claim: Claim = {
      name: `host-${i}`,
      sealKey: keys.sealKey,
      wireguardKey: keys.wireguardKey,
      lanAddress: `192.168.0.${i + 1}`,
      serverPreference: 'neutral',
      cpus: 2,
      memoryMiB: 2_048,
      ...casting.claim?.(i),
    }
    const settings: Settings = {
      network: 'stage',
      networkId: sha256(new TextEncoder().encode('stage')),
      expect,
      pin: null,
      settleMs: 3_000,
      founders: null,
      serverPreference: 'neutral',
      allowEphemeral: false,
      cluster: { ...CLUSTER, ...casting.cluster },
      ...casting.settings?.(i),
    }
    // Its real state is made when it is switched on; until then nothing looks at it.
    const actor: Actor = {
      name,
      keys,
      id: keys.id,
      settings,
      claim,
      state: unborn(keys, settings, claim),
      isOn: false,
      disk: null,
      said: [],
      effects: [],
      order: null,
    }
    actors.push(actor)
  }
  for (const [i, actor] of actors.entries()) if (casting.off?.(i) !== true) boot(actor)
  return stage
}

function unborn(keys: Keys, settings: Settings, claim: Claim): NodeState {
  return start(keys.crypto, millis(0), {
    id: keys.id,
    settings,
    claim,
    version: 'test',
    fingerprint: null,
    ephemeral: null,
    damaged: null,
    entropy: new Uint8Array(32),
    wallMs: 0,
    durable: null,
    distribution: NO_DATASTORE,
  }).state
}

/** A stage on which everybody who is on has the genesis and follows one leader. */
export async function formed(casting: Casting): Promise<Cast> {
  const stage = await cast(casting)
  stage.until(() => isFormed(stage))
  return stage
}

export const isFormed = ({ actors }: Cast): boolean =>
  actors
    .filter((actor) => actor.isOn)
    .every(({ state }) => state.durable.certified !== null && state.replication.leader !== null)

export const leaderOf = ({ actors }: Cast): Actor => {
  const leader = actors.find((actor) => actor.isOn && actor.state.replication.leadership !== null)
  if (leader === undefined) throw new Error('nobody leads')
  return leader
}

/** Voters that do not lead. */
export const followersOf = (stage: Cast): Actor[] => {
  const voters = leaderOf(stage).state.durable.certified?.plan.voters ?? []
  const leader = leaderOf(stage)
  return stage.actors.filter((actor) => actor.isOn && actor !== leader && voters.includes(actor.id))
}

export const planIn = (actor: Actor) => {
  const certified = actor.state.durable.certified
  if (certified === null) throw new Error(`${actor.name} has no plan`)
  return certified
}

export const genesisIn = (actor: Actor) => {
  const { genesis } = actor.state.durable
  if (genesis === null || actor.state.genesisId === null) throw new Error(`${actor.name} has no genesis`)
  return { ...genesis, id: actor.state.genesisId }
}

/** Messages of a kind that the actor sent. */
export const sent = <K extends Message['kind']>(actor: Actor, kind: K): MessageOf<K>[] =>
  actor.said.map(({ message }) => message).filter((message): message is MessageOf<K> => message.kind === kind)

export const logged = (actor: Actor, event: string): Extract<Effect, { kind: 'log' }>[] =>
  actor.effects.filter((effect) => effect.kind === 'log').filter((effect) => effect.event === event)

export const statusIn = (stage: Cast, actor: Actor): StatusDocument => statusOf(actor.state, stage.now)
