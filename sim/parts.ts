/** The parts of a machine that carry out orders, and the mesh among them: an interface, and paths to peers. */
import type { Effect } from '../src/core/events.ts'
import type { MeshFacts, MeshOrder, MeshPeer } from '../src/core/orders.ts'
import type { Machine } from './machine.ts'
import type { World } from './world.ts'

export interface Part {
  /** The daemon started: it asks its part what is true. */
  started(): void
  /** The daemon ended; with `power` the whole machine did. */
  stopped(power: boolean): void
  wiped(): void
  /** Fails from now on, or works again. */
  hang(hangs: boolean): void
  /** Does what it is told and says nothing of it, or speaks again. */
  mute(isMute: boolean): void
  muted(): boolean
}

export interface MeshPart extends Part {
  order(effect: Extract<Effect, { kind: 'mesh' }>): void
  /** Address of its interface; null while there is none. */
  address(): string | null
  /** Whether the interface is up and has this peer. */
  has(peer: string): boolean
  /** Whether it knows where this machine is found now. */
  knowsEndpoint(peer: Machine): boolean
}

const INTERFACE_MS = [20, 60, 60, 400] as const
const LOOK_MS = 1_000

/** Kernel WireGuard: the interface outlives the daemon, not the machine. */
export function createMeshPart(world: World, machine: Machine): MeshPart {
  let order: MeshOrder | null = null
  let isUp = false
  let hangs = false
  let mute = false
  let looking = false
  let told: MeshFacts | null = null
  let peers: ReadonlyMap<string, MeshPeer> = new Map()

  const knowsEndpoint = ({ keys, lanAddress }: Machine): boolean =>
    peers.get(keys.id)?.endpoints.includes(`${lanAddress}:51820`) ?? false

  const pathTo = (id: string): 'direct' | 'none' => {
    const other = world.machineOf(id)
    if (other === undefined || !world.network.passes(machine.index, other.index)) return 'none'
    // One side that knows where the other is found is enough: the other answers.
    const isFound = knowsEndpoint(other) || other.mesh.knowsEndpoint(machine)
    return isFound && other.mesh.has(machine.keys.id) ? 'direct' : 'none'
  }

  const look = (): void => {
    if (order === null || machine.state === null || mute) return
    const paths = order.peers.map(({ id }) => ({ id, path: isUp ? pathTo(id) : ('none' as const) }))
    if (told?.up === isUp && samePaths(told.peers, paths)) return
    told = { up: isUp, peers: paths, problems: [] }
    machine.handle({ kind: 'mesh', facts: told })
  }

  const lookAgain = (): void => {
    if (looking) return
    looking = true
    world.at(world.now + LOOK_MS, () => {
      looking = false
      if (order === null || machine.state === null) return
      look()
      lookAgain()
    })
  }

  const raise = (): void => {
    world.at(world.now + world.random.pick(INTERFACE_MS), () => {
      if (order === null || hangs || machine.state === null) return
      isUp = true
      look()
    })
  }

  return {
    started: () => undefined,
    stopped: (power) => {
      if (power) isUp = false
      order = null
      peers = new Map()
      told = null
    },
    wiped: () => {
      isUp = false
    },
    hang: (now) => {
      hangs = now
      if (now) isUp = false
      else raise()
      look()
    },
    mute: (now) => {
      mute = now
      if (!now) look()
    },
    muted: () => mute,
    order: (effect) => {
      order = effect.order
      peers = new Map(order.peers.map((peer) => [peer.id, peer]))
      raise()
      lookAgain()
    },
    address: () => (isUp ? (order?.address ?? null) : null),
    has: (peer) => isUp && peers.has(peer),
    knowsEndpoint,
  }
}

const samePaths = (a: MeshFacts['peers'], b: MeshFacts['peers']): boolean =>
  a.length === b.length && a.every(({ id, path }, i) => id === b[i]?.id && path === b[i]?.path)
