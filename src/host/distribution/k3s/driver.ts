/**
 * k3s on this machine, server or agent. Reads a DistributionOrder, compares it with the disk, the process and the
 * cluster, does the next step, and reports DistributionFacts. One loop does one thing at a time; every step starts
 * from what is true, so a daemon that dies anywhere goes on where it was:
 *
 *     data settled → binary and images there → files written → ports free → k3s runs → learner → voter → ready
 *
 * Never creates beside data of another, never says `cluster-init` in a file that outlives a reboot, never starts
 * what it was not told to, never deletes (DESIGN.md rules 4 and 8). What runs is ended only when the order's role
 * or revision is another, so that who counts servers in the plan counts right (rule 6).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { LogFields } from '../../../core/events.ts'
import type { DistributionFacts, DistributionOrder, HostProblem } from '../../../core/orders.ts'
import type { Distribution } from '../distribution.ts'
import { urlOf } from '../etcd-flags.ts'
import { checkListening } from '../listening.ts'
import { type Marker, moveAside, sameDatastore, writeMarker } from '../marker.ts'
import { foreignData, memberRemoved, noData, problemOf } from '../problems.ts'
import {
  EVICT_AFTER_MS,
  FAST_PHASE_MS,
  K3S_POLL_FAST_MS,
  MEMBER_REMOVAL_MS,
  POLL_BLOCKED_MS,
  POLL_EVICT_MS,
  POLL_HEALTHY_MS,
  POLL_IDLE_MS,
  POLL_UNHEALTHY_MS,
} from '../timing.ts'
import { checkOrder } from './check.ts'
import type { K3sOrder } from './configuration.ts'
import { commandLine, configurationOf, environmentOf, ownPart, restartText } from './configuration.ts'
import { readData } from './data.ts'
import { Departed } from './departed.ts'
import { failureOf } from './exit.ts'
import { isHealthy, isReady, K3sFacts } from './facts.ts'
import type { Ensure } from './fetch.ts'
import { SeenFiles } from './fetch.ts'
import { foreignFiles, writeFiles } from './given-files.ts'
import { type Hooks, runHooks } from './hooks.ts'
import { kubeconfig } from './kubeconfig.ts'
import { Links } from './links.ts'
import { lookAtMachine, type Machine } from './machine.ts'
import { managedService } from './managed-service.ts'
import { keepMarks } from './marks.ts'
import { type Observation, SILENT } from './observe.ts'
import { openrc } from './openrc.ts'
import { ownService } from './own-service.ts'
import { API_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT, type Places, placesOf } from './places.ts'
import { Preparations, type Prepared } from './preparation.ts'
import { addressMissing, noTarget, notAServer, wrongCa } from './problems.ts'
import { fileIdentity, install, type Program } from './program.ts'
import { type Service, type ServiceManager, serviceManager } from './service.ts'
import { keepSnapshot } from './snapshot.ts'
import { digestOf, readStarted, type Started, writeStarted } from './started.ts'
import { systemd } from './systemd.ts'
import { Target } from './target.ts'

export interface K3sOptions {
  /** Durable, this machine's own: /var/lib/muster/k3s. */
  readonly directory: string
  /** Gone after a reboot: /run/muster.run. */
  readonly runDirectory: string
  /** Before the paths of configuration and units: `/` but in tests and labs. */
  readonly root: string
  /** k3s' own: /var/lib/rancher/k3s. */
  readonly dataDirectory: string
  /** k3s.bin of this machine's configuration; null: where installers put it. */
  readonly binary: string | null
  /** Where a fetched program is put; null: in the state directory, which is always writable. */
  readonly binDirectory: string | null
  /** ha.external_db of this machine's configuration. Secret. */
  readonly externalDatastore: string | null
  readonly hooks: Hooks
  /** How large files are had; null: only what is on this machine. */
  readonly ensure: Ensure | null
  /** Null: whichever runs this machine. */
  readonly serviceManager: ServiceManager | null
  /** What kubeconfigs call the cluster. */
  readonly clusterName: string
  onFacts(facts: DistributionFacts): void
  log(level: 'debug' | 'info' | 'warn', event: string, fields: LogFields): void
  count(counter: string): void
}

/** The order was replaced while it was being carried out: what it still wanted to do must not happen. */
class Superseded extends Error {}

/** Everything that this order makes of this machine. */
interface Wanted {
  readonly machine: Machine
  readonly target: string | null
  readonly environment: Readonly<Record<string, string>>
  readonly started: Omit<Started, 'k3s'>
}

/** Where the standard programs are that k3s calls. */
const PATH = process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export class K3sDistribution implements Distribution {
  readonly #options: K3sOptions
  readonly #places: Places
  readonly #service: Service
  readonly #preparations: Preparations
  readonly #departed = new Departed({ removalMs: MEMBER_REMOVAL_MS, evictMs: EVICT_AFTER_MS })
  readonly #target = new Target()
  readonly #facts: K3sFacts
  readonly #loop: Promise<void>
  #wake = new AbortController()
  #isStopped = false
  #order: DistributionOrder | null = null
  readonly #links: Links
  #observed: Observation = SILENT
  #prepared: number | null = null
  #problems: HostProblem[] = []
  #was = { healthy: false, ready: false }
  /** The unit was enabled since it was started. */
  #isEnabled = false
  /** When something was started or ordered last; monotonic milliseconds. */
  #changedAt = 0

  constructor(options: K3sOptions) {
    this.#options = options
    this.#places = placesOf(options)
    this.#facts = new K3sFacts(this.#places)
    this.#links = new Links(this.#places)
    const wake = (): void => this.#wake.abort()
    this.#preparations = new Preparations(
      {
        places: this.#places,
        local: options.binary,
        ensure: options.ensure,
        seen: new SeenFiles(),
        path: PATH,
      },
      wake,
    )
    this.#service = this.#keeper()
    this.#loop = this.#live()
  }

  apply(order: DistributionOrder): void {
    const before = this.#order
    if (isDeepStrictEqual(order, before)) return
    this.#order = order
    this.#changedAt = performance.now()
    // News about the others is no reason to try sooner what keeps failing here.
    if (!isDeepStrictEqual(ownPart(order), before && ownPart(before))) this.#service.forgive()
    this.#wake.abort()
  }

  facts(): DistributionFacts {
    return this.#facts.current
  }

  async kubeconfig(address: string): Promise<string> {
    const order = this.#order
    if (order?.kind !== 'k3s') throw notAServer()
    const machine = lookAtMachine(order.self.address)
    return kubeconfig(address, order, machine, this.#places, this.#options.clusterName)
  }

  async stop(keep = false): Promise<void> {
    this.#isStopped = true
    this.#wake.abort()
    this.#preparations.stop()
    this.#links.close()
    await this.#loop
    if (!keep) await this.#service.end('the daemon stops')
    this.#links.close()
  }

  #keeper(): Service {
    const { root, serviceManager: said } = this.#options
    const owner = {
      onExit: () => this.#wake.abort(),
      note: (level: 'info' | 'warn', event: string, fields: LogFields) => {
        this.#options.count(event)
        this.#options.log(level, event, fields)
      },
      failureOf: (words: Parameters<typeof failureOf>[0], how: string, failures: number) =>
        failureOf(words, how, failures, this.#k3sOrder(), this.#places),
    }
    switch (said ?? serviceManager(root)) {
      case 'systemd':
        return managedService(systemd(this.#places, root), this.#places.run, owner)
      case 'openrc':
        return managedService(openrc(this.#places, root), this.#places.run, owner)
      case 'own':
        return ownService(this.#places.log, owner)
    }
  }

  async #live(): Promise<void> {
    // Not before the caller holds what it is constructing.
    await Promise.resolve()
    await this.#service.adopt().catch((error: unknown) => this.#fail(error))
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
      if (await this.#service.notice(performance.now())) this.#links.close()
      if (order === null) return POLL_IDLE_MS
      if (order.kind !== 'k3s') {
        await this.#service.end('it is not to run here')
        this.#links.close()
        return POLL_IDLE_MS
      }
      const prepared = this.#prepare(order)
      if (order.action === 'stop') {
        await this.#service.end('it is not to run here')
        this.#links.close()
        return prepared.program === null ? POLL_BLOCKED_MS : POLL_IDLE_MS
      }
      return await this.#carryOut(order, prepared)
    } catch (error) {
      if (error instanceof Superseded) return 0
      return this.#fail(error)
    }
  }

  #fail(error: unknown): number {
    const problem = problemOf(error, this.#places.state)
    this.#problems = [...this.#problems.filter(({ code }) => code !== problem.code), problem]
    return PASSING.has(problem.code) ? this.#pollMs() : POLL_BLOCKED_MS
  }

  /** @returns what is there of what this node runs now */
  #prepare(order: K3sOrder): Prepared {
    const { prepare, settings } = order
    const [now, next] = this.#preparations.want([settings, prepare.settings], performance.now())
    this.#prepared = next?.program != null ? prepare.revision : null
    for (const problem of [now?.problem, next?.problem]) {
      if (problem != null && !this.#problems.some(({ code }) => code === problem.code))
        this.#problems.push(problem)
    }
    return now ?? { program: null, problem: null }
  }

  async #carryOut(order: K3sOrder, { program }: Prepared): Promise<number> {
    await this.#settleData(order)
    const wanted = await this.#wanted(order)
    this.#problems.push(...(await foreignFiles(this.#places)))
    if (this.#service.isRunning) {
      const why = this.#whyRestart(order, wanted, program)
      if (why === null) return this.#look(order, wanted, program)
      // A server is not taken down for what could not be started again.
      await checkOrder(order, wanted.machine, this.#places, this.#options.externalDatastore)
      this.#insist(order)
      await this.#service.end(why)
      this.#links.close()
    }
    const waitMs = this.#service.restartAt - performance.now()
    if (this.#service.failure !== null) this.#problems.push(this.#service.failure)
    if (waitMs > 0) return waitMs
    if (program === null) return POLL_BLOCKED_MS
    await this.#launch(order, wanted, program)
    return this.#pollMs()
  }

  /** Makes sure that the data on the disk is the order's own, or that there is none and the marker is set. */
  async #settleData(order: K3sOrder): Promise<void> {
    const { server, marker: markerPath } = this.#places
    const wanted: Marker = { genesis: order.genesis, epoch: order.epoch }
    const { isPresent, hasLog, marker, isTombstone } = readData(server)
    const isOurs = sameDatastore(marker, wanted)
    const isCluster = marker !== null && marker.genesis === wanted.genesis
    // An older epoch of the same genesis: the plan has given that initialisation up, and says so by this order.
    const isGivenUp = isCluster && marker.epoch < wanted.epoch
    const isAgent = order.role === 'agent'
    const isForeign = isPresent && (isAgent ? !isCluster : !isOurs && (order.action === 'run' || !isGivenUp))
    if (isForeign) {
      await this.#service.end('its data belongs to another datastore')
      throw foreignData(server, marker, wanted)
    }
    // Who was a server and is an agent by a certified plan is no member any more, and its data worthless.
    if (isAgent) {
      if (isPresent) await this.#setAside(order, marker?.epoch ?? wanted.epoch)
      return
    }
    const wasRemoved = this.#service.wasRemoved || (isPresent && isTombstone)
    if (wasRemoved && order.action !== 'join') {
      // k3s would move its data away and join again by itself.
      await this.#service.end('the datastore has removed its member')
      throw memberRemoved(server)
    }
    if (isPresent && (isGivenUp || wasRemoved)) await this.#setAside(order, marker?.epoch ?? wanted.epoch)
    if (order.action === 'run' && !order.settings.external) {
      if (!hasLog) throw noData(server)
      return
    }
    if (sameDatastore(readData(server).marker, wanted)) return
    this.#insist(order)
    await writeMarker(markerPath, wanted)
  }

  async #setAside(order: K3sOrder, epoch: number): Promise<void> {
    await this.#service.end('its data is moved aside')
    this.#links.close()
    this.#insist(order)
    const path = await moveAside(this.#places.server, epoch)
    this.#service.forgive()
    this.#note('datastore.moved-aside', { path })
  }

  async #wanted(order: K3sOrder): Promise<Wanted> {
    const machine = lookAtMachine(order.self.address)
    const last = readStarted(this.#places.state)?.target ?? null
    const target = await this.#target.choose(order, last, this.#was.ready, performance.now())
    const environment = environmentOf(order, PATH)
    const configuration = configurationOf(order, this.#surroundings(machine, target))
    const digest = digestOf(restartText(order, configuration, environment))
    return {
      machine,
      target,
      environment,
      started: { role: order.role, revision: order.revision, digest, target },
    }
  }

  #surroundings(machine: Machine, target: string | null): Parameters<typeof configurationOf>[1] {
    const { externalDatastore, root } = this.#options
    return { places: this.#places, machine, target, endpoint: externalDatastore, isRooted: root !== '/' }
  }

  /** Null where what runs is what is wanted, or may go on as it is. */
  #whyRestart(order: K3sOrder, { started: wanted, target }: Wanted, program: Program | null): string | null {
    const started = readStarted(this.#places.state)
    if (started !== null && started.role !== order.role) return 'its role has changed'
    if (program === null) return null
    const isStuck = order.role === 'agent' || !readData(this.#places.server).hasLog
    if (started?.revision === order.revision) {
      // Who has never got in goes through the one it was told at its start, and no other.
      const isElsewhere = target !== null && started.target !== target && this.#target.answers(target)
      return isElsewhere && isStuck && !this.#was.ready ? 'the server that it goes through has changed' : null
    }
    const isSame = started !== null && started.digest === wanted.digest && started.k3s === program.version
    return isSame ? null : 'its settings have changed'
  }

  async #launch(order: K3sOrder, wanted: Wanted, program: Program): Promise<void> {
    // An earlier daemon may have died in the moment between making the process and its becoming k3s: not there at
    // our start, it is now, and has the ports.
    if (await this.#service.adopt()) return
    if ((await fileIdentity(program.path)) !== program.identity) {
      this.#preparations.forget()
      return
    }
    const { machine, target, environment, started } = wanted
    await checkOrder(order, machine, this.#places, this.#options.externalDatastore)
    if (machine.interface === null) throw addressMissing(order.self.address)
    const { hasLog } = readData(this.#places.server)
    if (target === null && (order.role === 'agent' || order.action === 'join')) throw noTarget()
    await this.#checkPorts(order)
    await runHooks('before', this.#options.hooks, order, this.#places.state)
    this.#insist(order)
    await writeFiles(
      order,
      configurationOf(order, this.#surroundings(machine, target)),
      this.#places,
      machine,
    )
    const binary = await install(program, this.#places, null)
    const isNew = order.action === 'initialise' && !hasLog && !order.settings.external
    this.#insist(order)
    await writeStarted(this.#places.state, { ...started, k3s: program.version })
    this.#isEnabled = false
    await this.#service.start({
      role: order.role,
      binary,
      args: commandLine(order, this.#places, []),
      extra: isNew ? ['--cluster-init'] : [],
      environment,
    })
    this.#changedAt = performance.now()
  }

  async #checkPorts(order: K3sOrder): Promise<void> {
    if (order.role === 'agent') return
    await checkListening('0.0.0.0', API_PORT)
    if (order.settings.external) return
    await checkListening(order.self.address, ETCD_PEER_PORT)
    await checkListening(order.self.address, ETCD_CLIENT_PORT)
  }

  async #look(order: K3sOrder, wanted: Wanted, program: Program | null): Promise<number> {
    const observed = await this.#links.observe(order)
    this.#observed = observed
    const isWell = isHealthy(order, observed)
    const ready = isReady(order, observed)
    if (observed.clusterId !== null && order.clusterId !== null && observed.clusterId !== order.clusterId) {
      throw wrongCa(observed.clusterId, order.clusterId)
    }
    if (program !== null) await this.#follow(order, wanted, program)
    if (!ready && this.#service.failure !== null) this.#problems.push(this.#service.failure)
    if (order.action !== 'run' || !(order.role === 'agent' ? ready : isWell)) return this.#pollMs()
    this.#service.rotate()
    if (!this.#isEnabled) {
      this.#insist(order)
      await this.#service.enable(order.role)
      this.#isEnabled = true
    }
    if (ready) await runHooks('after', this.#options.hooks, order, this.#places.state)
    if (order.role === 'server' && observed.apiReady) await this.#tend(order, observed, program)
    if (!ready) return this.#pollMs()
    return order.evict.length > 0 || order.gone.length > 0 ? POLL_EVICT_MS : POLL_HEALTHY_MS
  }

  /** Files follow the cluster while k3s runs: they are for its next start, whenever and by whomever that is. */
  async #follow(order: K3sOrder, { machine, target, started }: Wanted, program: Program): Promise<void> {
    await writeFiles(
      order,
      configurationOf(order, this.#surroundings(machine, target)),
      this.#places,
      machine,
    )
    const last = readStarted(this.#places.state)
    if (last === null || last.revision === order.revision || last.k3s !== program.version) return
    // Other settings, but nothing in them that concerns this node.
    await writeStarted(this.#places.state, { ...last, revision: started.revision })
  }

  /** What servers do for the cluster. */
  async #tend(order: K3sOrder, observed: Observation, program: Program | null): Promise<void> {
    const { api, etcd } = this.#links.current ?? { api: null, etcd: null }
    if (api === null) return
    const now = performance.now()
    const own = etcd === null ? null : { client: etcd, url: urlOf('127.0.0.1', ETCD_CLIENT_PORT) }
    for (const { event, name } of await this.#departed.clear(order, observed, { api, etcd: own }, now)) {
      this.#note(event, { name })
    }
    for (const name of await keepMarks(order, observed.nodes, api)) this.#note('node.marked', { name })
    const { snapshot, settings } = order
    if (snapshot === null || settings.external || program === null) return
    await keepSnapshot(snapshot, program.path, this.#places, PATH)
  }

  #k3sOrder(): K3sOrder | null {
    return this.#order?.kind === 'k3s' ? this.#order : null
  }

  /** Before every step that cannot be taken back: it is still what is wanted. */
  #insist(order: DistributionOrder): void {
    if (this.#order !== order || this.#isStopped) throw new Superseded()
  }

  #pollMs(): number {
    return performance.now() - this.#changedAt < FAST_PHASE_MS ? K3S_POLL_FAST_MS : POLL_UNHEALTHY_MS
  }

  #report(order: DistributionOrder | null): void {
    const isRunning = this.#service.isRunning
    const facts = this.#facts.update({
      order,
      isRunning,
      observed: this.#observed,
      prepared: this.#prepared,
      silent: this.#target.silent,
      problems: this.#problems,
    })
    if (facts === null) return
    const { healthy, ready } = facts
    if (ready && !this.#was.ready) this.#service.forgive()
    if (healthy !== this.#was.healthy) {
      this.#note(healthy ? 'datastore.healthy' : 'datastore.unhealthy', { members: facts.members.length })
    }
    if (ready !== this.#was.ready) this.#note(ready ? 'k3s.ready' : 'k3s.not-ready', {})
    this.#was = { healthy, ready }
    this.#options.onFacts(facts)
  }

  #note(event: string, fields: Readonly<Record<string, string | number>>): void {
    this.#options.count(event)
    this.#options.log('info', event, fields)
  }
}

/** Obstacles that usually go by themselves within a moment. */
const PASSING: ReadonlySet<string> = new Set([
  'k3s.interface-missing',
  'k3s.no-server',
  'k3s.no-agent-secret',
  'k3s.server-unreachable',
])
