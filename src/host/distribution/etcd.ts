/**
 * A member of the datastore on this machine. Reads a DistributionOrder, compares it with the disk, the process
 * and the cluster, does the next step, and reports DistributionFacts. One loop does one thing at a time; every
 * step starts from what is true, so a daemon that dies anywhere goes on where it was:
 *
 *     data settled → ports free → credentials → entry in the cluster → etcd runs → learner → voter → healthy
 *
 * Never creates beside data of another, never starts what it was not told to, never deletes (DESIGN.md rules
 * 4 and 8).
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { LogFields } from '../../core/events.ts'
import type { DistributionFacts, DistributionOrder, HostProblem } from '../../core/orders.ts'
import { credentialPaths } from './credentials.ts'
import { dataDirectory, etcdDirectory, markerPath, probe, readData } from './data.ts'
import type { Distribution } from './distribution.ts'
import { connectEtcd, type EtcdApi } from './etcd-api.ts'
import { etcdArguments, isSameMember, urlOf } from './etcd-flags.ts'
import { EtcdLog } from './etcd-log.ts'
import { etcdVersion } from './etcd-process.ts'
import { supervisedEtcd } from './etcd-supervised.ts'
import { DatastoreFacts } from './facts.ts'
import { checkListening } from './listening.ts'
import { type Marker, moveAside, sameDatastore, writeMarker } from './marker.ts'
import { Evictor, enter, hostOf, type Joining, promote, removeGone } from './membership.ts'
import { type Observation, observe, SILENT, versionOf } from './observe.ts'
import { foreignData, memberRemoved, noData, noKubernetes, problemOf, wrongCluster } from './problems.ts'
import { Supervisor } from './supervisor.ts'
import {
  FAST_PHASE_MS,
  POLL_BLOCKED_MS,
  POLL_EVICT_MS,
  POLL_FAST_MS,
  POLL_HEALTHY_MS,
  POLL_IDLE_MS,
  POLL_UNHEALTHY_MS,
} from './timing.ts'

export interface EtcdOptions {
  readonly directory: string
  readonly runDirectory: string
  readonly etcdBinary: string
  readonly clientPort: number
  readonly peerPort: number
  onFacts(facts: DistributionFacts): void
  log(level: 'debug' | 'info' | 'warn', event: string, fields: LogFields): void
  count(counter: string): void
}

type EtcdOrder = Extract<DistributionOrder, { kind: 'etcd' }>

/** The order was replaced while it was being carried out: what it still wanted to do must not happen. */
class Superseded extends Error {}

export class EtcdDistribution implements Distribution {
  readonly #options: EtcdOptions
  readonly #log: EtcdLog
  readonly #supervisor: Supervisor
  readonly #evictor = new Evictor()
  readonly #facts: DatastoreFacts
  readonly #loop: Promise<void>
  #wake = new AbortController()
  #isStopped = false
  #order: DistributionOrder | null = null
  /** Open connections, and for whom they were made. */
  #link: { readonly api: EtcdApi; readonly self: EtcdOrder['self']; readonly secret: Uint8Array } | null =
    null
  #version: string | null = null
  #observed: Observation = SILENT
  #problems: HostProblem[] = []
  #wasHealthy = false
  /** When something was started or ordered last; monotonic milliseconds. */
  #changedAt = 0

  constructor(options: EtcdOptions) {
    this.#options = options
    this.#log = new EtcdLog(options.directory)
    this.#facts = new DatastoreFacts(options)
    this.#supervisor = new Supervisor(
      supervisedEtcd(
        { ...options, dataDirectory: etcdDirectory(options.directory), log: this.#log },
        {
          onExit: () => this.#wake.abort(),
          note: (level, event, fields) => {
            options.count(event)
            options.log(level, event, fields)
          },
        },
      ),
    )
    this.#loop = this.#live()
  }

  apply(order: DistributionOrder): void {
    const before = this.#order
    if (isDeepStrictEqual(order, before)) return
    this.#order = order
    this.#changedAt = performance.now()
    // News about the others is no reason to try sooner what keeps failing here.
    if (!isDeepStrictEqual(ownPart(order), before && ownPart(before))) this.#supervisor.forgive()
    this.#wake.abort()
  }

  facts(): DistributionFacts {
    return this.#facts.current
  }

  async kubeconfig(): Promise<string> {
    throw noKubernetes()
  }

  async stop(keep = false): Promise<void> {
    this.#isStopped = true
    this.#wake.abort()
    this.#unlink()
    await this.#loop
    if (!keep) await this.#supervisor.end('the daemon stops')
    this.#unlink()
  }

  async #live(): Promise<void> {
    // Not before the caller holds what it is constructing.
    await Promise.resolve()
    await this.#supervisor.adopt().catch((error: unknown) => this.#fail(error))
    while (!this.#isStopped) {
      this.#wake = new AbortController()
      const order = this.#order
      const restMs = await this.#turn(order)
      if (this.#isStopped) return
      this.#report(order)
      if (this.#order !== order) continue
      await sleep(restMs, null, { signal: this.#wake.signal }).catch(() => undefined)
    }
  }

  /** @returns how long nothing needs to be done, milliseconds */
  async #turn(order: DistributionOrder | null): Promise<number> {
    this.#observed = SILENT
    this.#problems = []
    try {
      if (this.#supervisor.notice(performance.now())) {
        this.#unlink()
        // Perhaps it ended because another version was installed.
        this.#version = null
      }
      if (order === null) return POLL_IDLE_MS
      if (order.kind !== 'etcd' || order.action === 'stop') {
        await this.#supervisor.end('it is not to run here')
        this.#unlink()
        return POLL_IDLE_MS
      }
      return await this.#carryOut(order)
    } catch (error) {
      if (error instanceof Superseded) return 0
      return this.#fail(error)
    }
  }

  #fail(error: unknown): number {
    const problem = problemOf(error, this.#options.directory)
    this.#problems = [...this.#problems.filter(({ code }) => code !== problem.code), problem]
    return PASSING.has(problem.code) ? this.#pollMs() : POLL_BLOCKED_MS
  }

  async #carryOut(order: EtcdOrder): Promise<number> {
    await this.#settleData(order)
    const args = this.#arguments(order, 'existing', [])
    const running = this.#supervisor.process
    if (running !== null && !isSameMember(running.args, args)) {
      await this.#supervisor.end('it runs with another name, address or port')
    }
    if (this.#supervisor.process === null) {
      const waitMs = this.#supervisor.restartAt - performance.now()
      if (this.#supervisor.failure !== null) this.#problems.push(this.#supervisor.failure)
      if (waitMs > 0) return waitMs
      await this.#launch(order)
      return POLL_FAST_MS
    }
    return this.#look(order, await this.#connect(order))
  }

  /** Makes sure that the data on the disk is the order's own, or that there is none and the marker is set. */
  async #settleData(order: EtcdOrder): Promise<void> {
    const { directory } = this.#options
    const path = dataDirectory(directory)
    const wanted: Marker = { genesis: order.genesis, epoch: order.epoch }
    const { isPresent, hasLog, marker } = readData(directory)
    const isOurs = sameDatastore(marker, wanted)
    // An older epoch of the same genesis: the plan has given that initialisation up, and says so by this order.
    const isGivenUp = marker !== null && marker.genesis === wanted.genesis && marker.epoch < wanted.epoch
    const isForeign = isPresent && !isOurs && (order.action === 'run' || !isGivenUp)
    if (isForeign) {
      await this.#supervisor.end('its data belongs to another datastore')
      throw foreignData(path, marker, wanted)
    }
    const { wasRemoved } = this.#supervisor
    if (wasRemoved && order.action !== 'join') throw memberRemoved(path)
    if (isPresent && (isGivenUp || wasRemoved)) await this.#setAside(order, marker?.epoch ?? wanted.epoch)
    if (order.action === 'run') {
      if (!hasLog) throw noData(path)
      return
    }
    if (sameDatastore(readData(directory).marker, wanted)) return
    this.#insist(order)
    await writeMarker(markerPath(directory), wanted)
  }

  async #setAside(order: EtcdOrder, epoch: number): Promise<void> {
    await this.#supervisor.end('its data is moved aside')
    this.#insist(order)
    const path = await moveAside(dataDirectory(this.#options.directory), epoch)
    this.#supervisor.forgive()
    this.#note('datastore.moved-aside', { path })
  }

  async #launch(order: EtcdOrder): Promise<void> {
    const { address } = order.self
    const { etcdBinary, clientPort, peerPort, directory } = this.#options
    // An earlier daemon may have died in the moment between making the process and its becoming etcd: not there
    // at our start, it is now, and has the ports.
    if (await this.#supervisor.adopt()) return
    this.#version ??= await etcdVersion(etcdBinary)
    await checkListening(address, peerPort)
    await checkListening(address, clientPort)
    const api = await this.#connect(order)
    const { hasLog } = readData(directory)
    const isNew = order.action === 'initialise' && !hasLog
    this.#insist(order)
    const others = order.action === 'join' && !hasLog ? await enter(api, this.#joining(order)) : []
    this.#insist(order)
    await this.#supervisor.start(this.#arguments(order, isNew ? 'new' : 'existing', others))
    this.#changedAt = performance.now()
  }

  async #look(order: EtcdOrder, api: EtcdApi): Promise<number> {
    const { clientPort } = this.#options
    const ownUrl = urlOf(order.self.address, clientPort)
    const joining = this.#joining(order)
    const observed = await observe(
      api,
      ownUrl,
      ({ peerUrls: [url] }) => (url === undefined ? null : urlOf(hostOf(url), clientPort)),
      joining.members.map((member) => member.clientUrl),
    )
    this.#observed = observed
    if (observed.answers) this.#version ??= await versionOf(api, ownUrl)
    if (observed.clusterId !== null && order.clusterId !== null && observed.clusterId !== order.clusterId) {
      throw wrongCluster(observed.clusterId, order.clusterId)
    }
    if (order.action === 'join' && observed.standing === 'learner' && observed.memberId !== null) {
      this.#insist(order)
      if (!(await promote(api, joining, observed.memberId))) return this.#pollMs()
      this.#note('datastore.promoted', { member: order.self.name })
      return 0
    }
    if (observed.standing !== 'voter' || !observed.reads) {
      if (this.#supervisor.failure !== null) this.#problems.push(this.#supervisor.failure)
      return this.#pollMs()
    }
    this.#log.rotate()
    if (order.action === 'run') {
      const known = [order.self, ...order.members]
      const now = performance.now()
      for (const member of await removeGone(api, ownUrl, observed, order.gone, known)) {
        this.#note('datastore.removed', { member })
      }
      for (const gone of await this.#evictor.evict(api, ownUrl, observed, order.evict, known, now)) {
        this.#note('datastore.evicted', { member: gone })
      }
      if (order.evict.length > 0 && observed.members.some((member) => member.isLearner)) return POLL_EVICT_MS
    }
    return POLL_HEALTHY_MS
  }

  /** Connections with credentials of this run; made anew for each etcd that is started. */
  async #connect(order: EtcdOrder): Promise<EtcdApi> {
    const { self, secret } = order
    if (this.#link !== null) {
      if (isDeepStrictEqual([this.#link.self, this.#link.secret], [self, secret])) return this.#link.api
      // etcd reads its CA only when it starts.
      if (!isDeepStrictEqual(this.#link.secret, secret)) await this.#supervisor.end('the secret has changed')
      this.#unlink()
    }
    const { issueCredentials } = await import('./pki.ts')
    const credentials = await issueCredentials(this.#keyDirectory(), secret, self)
    this.#insist(order)
    const api = connectEtcd(credentials)
    this.#link = { api, self, secret }
    return api
  }

  #unlink(): void {
    this.#link?.api.close()
    this.#link = null
  }

  #arguments(order: EtcdOrder, state: 'new' | 'existing', others: readonly string[]): string[] {
    const { clientPort, peerPort, directory } = this.#options
    const { name, address } = order.self
    const credentials = credentialPaths(this.#keyDirectory())
    const place = {
      name,
      address,
      clientPort,
      peerPort,
      dataDirectory: etcdDirectory(directory),
      credentials,
    }
    return etcdArguments(place, { state, others, token: `${order.genesis}.${order.epoch}` })
  }

  #joining(order: EtcdOrder): Joining {
    const { clientPort, peerPort } = this.#options
    return {
      name: order.self.name,
      peerUrl: urlOf(order.self.address, peerPort),
      clusterId: order.clusterId,
      members: order.members.map(({ name, address }) => ({ name, clientUrl: urlOf(address, clientPort) })),
    }
  }

  #keyDirectory(): string {
    return join(this.#options.runDirectory, 'etcd')
  }

  /** Before every step that cannot be taken back: it is still what is wanted. */
  #insist(order: DistributionOrder): void {
    if (this.#order !== order || this.#isStopped) throw new Superseded()
  }

  #pollMs(): number {
    return performance.now() - this.#changedAt < FAST_PHASE_MS ? POLL_FAST_MS : POLL_UNHEALTHY_MS
  }

  #report(order: DistributionOrder | null): void {
    const facts = this.#facts.update({
      disk: probe(this.#options.directory),
      process: this.#supervisor.process,
      version: this.#version,
      observed: this.#observed,
      order,
      problems: this.#problems,
    })
    if (facts === null) return
    if (facts.healthy !== this.#wasHealthy) {
      this.#wasHealthy = facts.healthy
      if (facts.healthy) this.#supervisor.forgive()
      this.#note(facts.healthy ? 'datastore.healthy' : 'datastore.unhealthy', {
        members: facts.members.length,
      })
    }
    this.#options.onFacts(facts)
  }

  #note(event: string, fields: Readonly<Record<string, string | number>>): void {
    this.#options.count(event)
    this.#options.log('info', event, fields)
  }
}

/** Obstacles that usually go by themselves within a moment. */
const PASSING: ReadonlySet<string> = new Set([
  'datastore.address-missing',
  'datastore.no-member-reachable',
  'datastore.change-refused',
])

function ownPart(order: DistributionOrder): unknown {
  if (order.kind !== 'etcd') return order
  const { kind, action, epoch, genesis, self } = order
  return { kind, action, epoch, genesis, self }
}
