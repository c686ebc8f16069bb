/**
 * The WireGuard mesh of this machine. Reads a MeshOrder, makes it true with the standard tools `ip` and `wg`,
 * and reports MeshFacts. One loop does one thing at a time: bring up what is ordered where that is not so, else
 * look at the paths now and then. What stands in the way is a problem in the facts and is tried again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogFields } from '../../core/events.ts'
import type { HostProblem, MeshFacts, MeshOrder } from '../../core/orders.ts'
import { isPresent, makeInterface, readDump, removeInterface } from './interface.ts'
import { keyText, wireguardPublicKey } from './keys.ts'
import { follow, type PathState } from './paths.ts'
import { type UsablePeer, usablePeers } from './peers.ts'
import { portTaken, problemOf, rangeOverlap, toolFailed } from './problems.ts'
import { hasAddress, type Link, linkChange, linkNamed, meshMtu, overlap, survey } from './routes.ts'
import {
  FAST_PHASE_MS,
  MISSING_PHASE_MS,
  OVERLAP_RETRY_MS,
  POLL_ABSENT_MS,
  POLL_FAST_MS,
  POLL_MISSING_MS,
  POLL_QUIET_MS,
  PRESENCE_MS,
  RETRY_MAX_MS,
  RETRY_MIN_MS,
  STABLE_MS,
} from './timing.ts'
import { type Outcome, runTool, type Tool } from './tool.ts'
import { changeOf, type Dump, type Wanted } from './wg.ts'

export const MESH_INTERFACE = 'muster0'
/** UDP. One beside WireGuard's usual 51820, which a person's own tunnel may have. */
export const MESH_PORT = 51_871

export interface Mesh {
  /** Takes the order and returns at once; the latest wins, and one that changes nothing starts nothing. */
  apply(order: MeshOrder): void
  facts(): MeshFacts
  /** Ends the work; `keep` leaves the interface, and a wireguard-go behind it, for the next run of the daemon. */
  stop(keep: boolean): Promise<void>
}

export interface MeshOptions {
  /** Interface name, 1…15 of letters, digits, `_`, `.` and `-`; usually {@link MESH_INTERFACE}. */
  readonly interfaceName: string
  /** UDP, 1…65535; usually {@link MESH_PORT}. */
  readonly listenPort: number
  /** WireGuard's, 32 bytes. Secret: goes to `wg` by standard input only. */
  readonly privateKey: Uint8Array
  /** Called whenever the facts changed, never from within `apply`. */
  onFacts(facts: MeshFacts): void
  log(level: 'debug' | 'info' | 'warn', event: string, fields: LogFields): void
  count(counter: string): void
}

/** @throws RangeError where the options themselves are wrong; everything else becomes a problem in the facts. */
export function startMesh(options: MeshOptions): Mesh {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(options.interfaceName)) {
    throw new RangeError(`${JSON.stringify(options.interfaceName)} cannot be the name of an interface`)
  }
  if (!Number.isInteger(options.listenPort) || options.listenPort < 1 || options.listenPort > 65_535) {
    throw new RangeError(`${options.listenPort} cannot be a UDP port`)
  }
  return new Reconciler(options)
}

class Reconciler implements Mesh {
  readonly #options: MeshOptions
  readonly #name: string
  readonly #ownKey: string
  readonly #loop: Promise<void>
  #order: MeshOrder | null = null
  /** The order that the interface was last brought in line with; null while it is not there. */
  #applied: MeshOrder | null = null
  #peers: readonly UsablePeer[] = []
  /** By public key. */
  #paths = new Map<string, PathState>()
  #direct: ReadonlySet<string> = new Set()
  #problem: HostProblem | null = null
  #facts: MeshFacts = { up: false, peers: [], problems: [] }
  /** When the interface was made or taken over, null before; milliseconds, monotonic, as all times here. */
  #madeAt: number | null = null
  /** When peers, endpoints or the interface last changed. */
  #changedAt = 0
  #pollAt = 0
  #retryAt = 0
  #failures = 0
  #stopped = false
  #wake = new AbortController()

  constructor(options: MeshOptions) {
    this.#options = options
    this.#name = options.interfaceName
    this.#ownKey = keyText(wireguardPublicKey(options.privateKey))
    this.#loop = this.#live()
  }

  apply(order: MeshOrder): void {
    if (this.#order !== null && essence(order) === essence(this.#order)) return
    this.#order = order
    this.#retryAt = 0
    this.#wake.abort()
  }

  facts(): MeshFacts {
    return this.#facts
  }

  async stop(keep: boolean): Promise<void> {
    this.#stopped = true
    this.#wake.abort()
    await this.#loop
    if (keep) return
    await removeInterface(this.#name).catch((error: unknown) => {
      const { code, message, hint } = problemOf(error)
      this.#options.log('warn', code, { message, hint })
    })
  }

  async #live(): Promise<void> {
    while (!this.#stopped) {
      this.#wake = new AbortController()
      const order = this.#order
      if (order !== null) {
        await this.#turn(order)
        this.#report(order)
      }
      if (this.#order !== order) continue
      await sleep(this.#restMs(), null, { signal: this.#wake.signal }).catch(() => undefined)
    }
  }

  #restMs(): number {
    const due = this.#applied === this.#order && this.#problem === null ? this.#pollAt : this.#retryAt
    return Math.min(Math.max(due - performance.now(), 0), PRESENCE_MS)
  }

  async #turn(order: MeshOrder): Promise<void> {
    const now = performance.now()
    const none = order.mode === 'none'
    if (this.#applied === order && !none && !isPresent(this.#name, order.address)) this.#lose(now)
    try {
      if (this.#applied !== order || this.#problem !== null) {
        if (now < this.#retryAt) return
        await (none ? this.#withdraw() : this.#bringUp(order))
        this.#applied = order
        this.#changedAt = performance.now()
        this.#pollAt = this.#changedAt + (none ? POLL_QUIET_MS : POLL_FAST_MS)
        this.#solve()
      } else if (now >= this.#pollAt) {
        this.#pollAt = now + POLL_QUIET_MS
        if (!none) await this.#poll()
      }
    } catch (error) {
      this.#fail(problemOf(error))
    }
  }

  /** Mode none: no interface, not even one that an earlier order or run left. */
  async #withdraw(): Promise<void> {
    this.#peers = []
    this.#paths.clear()
    this.#direct = new Set()
    // Where there is no `ip`, muster has made no interface either, and mode none needs no tools.
    await removeInterface(this.#name).catch((error: unknown) => {
      if (problemOf(error).code !== 'mesh.no-ip') throw error
    })
  }

  async #bringUp(order: MeshOrder): Promise<void> {
    const { cidr, address } = order
    const seen = await survey()
    const found = linkNamed(seen, this.#name)
    if (found === null || !hasAddress(found, address, cidr)) {
      const route = overlap(cidr, seen.routes, this.#name)
      if (route !== null) throw rangeOverlap(cidr, route.dst, route.dev ?? 'several interfaces')
    }
    this.#admit(order)
    const link = (await this.#make(found)) ? null : found
    await this.#poll()
    const endpoints = this.#peers.flatMap((peer) => peer.candidates)
    const lines = linkChange(this.#name, link, address, cidr, meshMtu(endpoints, seen, this.#name))
    if (lines.length === 0) return
    this.#expect('ip', await runTool('ip', ['-batch', '-'], { text: `${lines.join('\n')}\n` }))
  }

  /** Whether the interface is a new one. */
  async #make(link: Link | null): Promise<boolean> {
    const { kind, fresh } = await makeInterface(this.#name, link, () => this.#wake.abort())
    if (!fresh && this.#madeAt !== null) return false
    this.#madeAt = performance.now()
    if (fresh) this.#paths.clear()
    const event = fresh ? 'mesh.interface.made' : 'mesh.interface.adopted'
    this.#options.count(event)
    this.#options.log('info', event, { interface: this.#name, kind })
    return fresh
  }

  #admit(order: MeshOrder): void {
    const { peers, refused } = usablePeers(order, this.#ownKey)
    this.#peers = peers
    for (const { id, reason } of refused) {
      this.#options.count('mesh.peer.refused')
      this.#options.log('warn', 'mesh.peer.refused', { id, reason })
    }
  }

  /** Looks at what WireGuard does, and sets right what is not as ordered. */
  async #poll(): Promise<void> {
    const dump = await readDump(this.#name)
    if (dump === null) throw toolFailed(`wg show ${this.#name}`, 'no WireGuard answers under this name')
    const now = performance.now()
    const wall = Date.now()
    const steps = this.#peers.map((peer) => {
      const before = this.#paths.get(peer.publicKey) ?? null
      const actual = dump.peers.get(peer.publicKey) ?? null
      return { peer, actual, ...follow(before, peer.candidates, actual, now, wall) }
    })
    const wanted = steps.map(({ peer, endpoint }) => ({ ...peer, endpoint }))
    await this.#set({ publicKey: this.#ownKey, listenPort: this.#options.listenPort, peers: wanted }, dump)

    this.#paths = new Map(steps.map(({ peer, state }) => [peer.publicKey, state]))
    for (const { peer, direct, actual } of steps) {
      if (direct === this.#direct.has(peer.id)) continue
      const event = direct ? 'mesh.path.direct' : 'mesh.path.lost'
      this.#options.count(event)
      this.#options.log('info', event, { id: peer.id, endpoint: actual?.endpoint ?? null })
    }
    this.#direct = new Set(steps.filter(({ direct }) => direct).map(({ peer }) => peer.id))
    this.#pollAt = now + this.#pollMs(now)
    if (this.#madeAt !== null && now - this.#madeAt > STABLE_MS) this.#failures = 0
  }

  async #set(wanted: Wanted, dump: Dump): Promise<void> {
    const { args, needsKey } = changeOf(wanted, dump)
    if (args.length === 0) return
    this.#options.count('mesh.wg.set')
    const secret = { secret: `${keyText(this.#options.privateKey)}\n` }
    this.#expect('wg', await runTool('wg', ['set', this.#name, ...args], needsKey ? secret : undefined))
  }

  #pollMs(now: number): number {
    if (this.#direct.size === this.#peers.length) return POLL_QUIET_MS
    const since = now - this.#changedAt
    return since < FAST_PHASE_MS ? POLL_FAST_MS : since < MISSING_PHASE_MS ? POLL_MISSING_MS : POLL_ABSENT_MS
  }

  #expect(tool: Tool, outcome: Outcome): void {
    if (outcome.ok) return
    if (outcome.stderr.includes('Address already in use')) throw portTaken(this.#options.listenPort)
    throw toolFailed(tool, outcome.stderr)
  }

  /** The interface or its address is gone: the first time it is made again at once. */
  #lose(now: number): void {
    this.#applied = null
    this.#paths.clear()
    this.#direct = new Set()
    this.#options.count('mesh.interface.lost')
    this.#options.log('warn', 'mesh.interface.lost', { interface: this.#name })
    this.#retryAt = this.#failures === 0 ? now : now + this.#backOffMs()
    this.#failures += 1
  }

  #fail(problem: HostProblem): void {
    const pause = problem.code === 'mesh.range-overlap' ? OVERLAP_RETRY_MS : this.#backOffMs()
    this.#retryAt = performance.now() + pause
    this.#failures += 1
    if (this.#problem?.code !== problem.code) {
      this.#options.count('mesh.problem')
      this.#options.log('warn', problem.code, { message: problem.message, hint: problem.hint })
    }
    this.#problem = problem
  }

  #backOffMs(): number {
    return Math.min(RETRY_MIN_MS * 2 ** this.#failures, RETRY_MAX_MS)
  }

  #solve(): void {
    if (this.#problem === null) return
    this.#options.log('info', 'mesh.problem.solved', { code: this.#problem.code })
    this.#problem = null
  }

  #report(order: MeshOrder): void {
    const none = order.mode === 'none'
    const facts: MeshFacts = {
      up: none || this.#applied?.address === order.address,
      peers: order.peers.map(({ id }) => ({ id, path: none || this.#direct.has(id) ? 'direct' : 'none' })),
      problems: this.#problem === null ? [] : [this.#problem],
    }
    if (JSON.stringify(facts) === JSON.stringify(this.#facts)) return
    this.#facts = facts
    this.#options.onFacts(facts)
  }
}

/** Orders with the same text ask for the same mesh: names and the network are DNS's business. */
function essence({ mode, address, cidr, peers }: MeshOrder): string {
  return JSON.stringify([
    mode,
    address,
    cidr,
    peers.map((peer) => [peer.id, peer.address, keyText(peer.wireguardKey), peer.endpoints]),
  ])
}
