/**
 * What a node is made of, top to bottom. Each part reports to the core by events and carries out what the core
 * decides; nothing is decided here.
 *
 *     configuration ─▶ store ─▶ identity ─▶ mesh, content, distribution ─▶ core (by its driver) ─▶ local API
 *                   ─▶ network
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { type ConfigInputs, type NodeConfig, readConfig } from '../config.ts'
import type { CommandAnswer } from '../core/commands.ts'
import type { Start } from '../core/events.ts'
import { type NodeId, nodeId } from '../core/ids.ts'
import { leaderRecordFault, newestLeaderRecord } from '../core/leader-record.ts'
import type { ClusterSettings, Settings } from '../core/settings.ts'
import { type Durable, durableSchema } from '../core/state.ts'
import type { StatusDocument } from '../core/status.ts'
import { deriveKeys } from '../core/token.ts'
import { startApi } from './api/server.ts'
import type { Kubeconfig, MachineCommand } from './api/view.ts'
import { machineClaim } from './claim.ts'
import { startContent } from './content/content.ts'
import type { ContentMember } from './content/ports.ts'
import { createCrypto } from './crypto.ts'
import { type Distribution, startDistribution } from './distribution/distribution.ts'
import { DatastoreError } from './distribution/problems.ts'
import { type Driver, startDriver, startReporter } from './driver.ts'
import { addressesEvent } from './endpoints.ts'
import { whyEphemeral } from './ephemeral.ts'
import { machineFingerprint } from './fingerprint.ts'
import { loadOrCreateIdentity } from './identity.ts'
import { createLog, type Log, logOptions } from './log.ts'
import { startMesh } from './mesh/mesh.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { type Network, startNetwork } from './network/network.ts'
import { keepRemembered, readRemembered } from './network/remembered.ts'
import { resetDirectory } from './reset.ts'
import { type Loaded, openStore } from './store.ts'

/** How a daemon ended. */
type Ending = 'terminated' | 'interrupted' | 'reset' | 'failed'

/**
 * Runs a node until it is told to end: `muster up`.
 * @returns the exit code: 0 when it was asked to end, 1 when it failed.
 * @throws ConfigError, StoreError, NetworkError, ApiServerError where it cannot even start.
 */
export async function runDaemon(inputs: ConfigInputs, version: string): Promise<number> {
  // A daemon that mostly waits: V8's usual nursery of 16 MB is never given back, and 1 MB is enough for it.
  setFlagsFromString('--optimize-for-size')
  const config = readConfig(inputs)
  const log = createLog(logOptions(inputs.env.MUSTER_LOG, process.stderr.isTTY === true))
  const ended = Promise.withResolvers<Ending>()
  const metrics = createMetrics()
  watchProcess(log, metrics, ended.resolve)
  const daemon = await startDaemon({ config, version, log, metrics, end: ended.resolve })
  const ending = await ended.promise
  log.write('info', 'daemon.ending', { how: ending })
  await daemon.stop(ending)
  return ending === 'failed' ? 1 : 0
}

/**
 * Ctrl-C is a person at a terminal who wants everything of it to end. SIGTERM is a service manager that will start
 * the next daemon: what runs keeps running, so that an update of muster never takes a server down. As the first
 * process of a container nothing outlives it, and all ends in good order.
 */
function watchProcess(log: Log, metrics: Metrics, end: (ending: Ending) => void): void {
  process.once('SIGINT', () => end('interrupted'))
  process.once('SIGTERM', () => end(process.pid === 1 ? 'interrupted' : 'terminated'))
  process.on('SIGHUP', () => undefined)
  // A promise that a library forgot is no reason to leave the cluster; the core's own failures end the daemon.
  process.on('unhandledRejection', (reason) => {
    metrics.count('daemon.rejection')
    log.write('error', 'daemon.rejection', { message: textOf(reason) })
  })
  process.on('uncaughtException', (error) => {
    log.write('error', 'daemon.failed', { message: textOf(error) })
    process.exit(1)
  })
}

const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

interface Parts {
  readonly config: NodeConfig
  readonly version: string
  readonly log: Log
  readonly metrics: Metrics
  readonly end: (ending: Ending) => void
}

interface Daemon {
  stop(ending: Ending): Promise<void>
}

async function startDaemon(parts: Parts): Promise<Daemon> {
  const { config, log, metrics, end } = parts
  const { stateDirectory, socketPath, settings } = config
  const opened = new AsyncDisposableStack()
  /** Whether mesh and datastore go on without the daemon. */
  let keep = true
  try {
    const store = await openStore<Durable>(stateDirectory, {
      version: 1,
      parse: (value) => durableSchema.parse(value),
    })
    opened.defer(() => store.close())
    const loaded = store.load()
    const durable = loaded.kind === 'state' ? loaded.value : null
    const identity = await loadOrCreateIdentity(store)
    const crypto = createCrypto(identity)

    const report = {
      log: log.write,
      count: (name: string, labels?: Readonly<Record<string, string>>) => metrics.count(name, labels),
    }
    const mesh = startMesh({
      ...report,
      interfaceName: config.interfaceName,
      listenPort: config.meshPort,
      privateKey: identity.wireguard.privateKey.reveal(),
      onFacts: (facts) => driver.handle({ kind: 'mesh', facts }),
    })
    opened.defer(() => mesh.stop(keep))
    const content = await startContent({
      ...report,
      directory: join(stateDirectory, 'content'),
      bytesPerSecond: null,
      origin: { caFile: null, env: process.env },
      members: () => membersIn(driver.status()),
    })
    opened.defer(() => content.stop())
    const distribution = startDistribution({
      ...report,
      expected: plannedSettings(durable, settings).distribution,
      directory: join(stateDirectory, 'etcd'),
      runDirectory: socketPath.replace(/\.sock$/, '.run'),
      k3s: {
        directory: join(stateDirectory, 'k3s'),
        root: '/',
        dataDirectory: config.k3s.dataDirectory,
        binary: config.k3s.bin,
        binDirectory: config.k3s.binDirectory,
        externalDatastore: config.k3s.externalDb?.reveal() ?? null,
        hooks: config.k3s.hooks,
        ensure: content.ensure,
        serviceManager: null,
        clusterName: settings.network,
      },
      onFacts: (facts) => driver.handle({ kind: 'distribution', facts }),
    })
    opened.defer(() => distribution.stop(keep))

    const given: Start = {
      id: identity.id,
      settings,
      claim: machineClaim(identity, settings),
      version: parts.version,
      fingerprint: machineFingerprint(),
      ephemeral: whyEphemeral(stateDirectory),
      damaged: damageOf(loaded),
      entropy: randomBytes(32),
      wallMs: Date.now(),
      durable,
      distribution: distribution.facts(),
    }
    let network: Network | null = null
    /** Known from the plan on the disk before there is a network. */
    let barred: readonly NodeId[] = []
    const driver: Driver =
      given.damaged !== null
        ? startReporter(crypto, given)
        : startDriver(
            crypto,
            {
              ...report,
              save: store.save,
              send: (to, bytes) => network?.send(to, bytes),
              dial: (peer, addresses) => network?.dial(peer, addresses),
              publish: (key, value) => network?.publish(key, value),
              lookup: async (key) => (network === null ? [] : await network.lookup(key)),
              orderMesh: mesh.apply.bind(mesh),
              shun: (peers) => {
                barred = peers
                network?.bar(peers)
              },
              orderDistribution: distribution.apply.bind(distribution),
              problems: () => [...config.warnings, ...(network?.problems() ?? []), ...content.problems()],
              failed: (error) => {
                log.write('error', 'core.failed', { message: textOf(error) })
                end('failed')
              },
            },
            given,
          )
    opened.defer(() => driver.stop())

    const api = await startApi({
      socketPath,
      onFailure: (error) => log.write('error', 'api.failed', { message: textOf(error) }),
      view: {
        status: driver.status,
        history: driver.history,
        subscribe: log.subscribe,
        metrics: () => metrics.text(driver.status()),
        settings: driver.settings,
        kubeconfig: (address) => kubeconfigOf(distribution, address),
        order: driver.command,
        command: (command) =>
          carryOut(command, driver, stateDirectory, async () => {
            keep = false
            await opened.disposeAsync()
          }).finally(() => {
            if (command.kind === 'reset') end('reset')
          }),
      },
    })
    const stop = async (ending: Ending): Promise<void> => {
      keep = keep && ending !== 'interrupted'
      await opened.disposeAsync()
      await api.close()
    }

    try {
      if (given.damaged === null) {
        const keys = deriveKeys(config.token)
        network = await startNetwork({
          ...report,
          ...config.discovery,
          privateKey: identity.privateKeyProtobuf.reveal(),
          psk: keys.psk.reveal(),
          mdnsTag: keys.mdnsTag,
          listen: config.listen,
          remembered: await readRemembered(stateDirectory),
          excludedCidr: meshRange(given),
          rules: {
            fault: (key, value) => {
              const [genesis, id] = [driver.genesis(), driver.genesisId()]
              const known = genesis === null || id === null ? null : { genesis: genesis.genesis, id }
              return leaderRecordFault(crypto, known, key, value)
            },
            newest: newestLeaderRecord,
          },
          onMessage: driver.receive,
          onConnected: (peer) => driver.handle({ kind: 'connected', peer }),
          onDisconnected: (peer) => driver.handle({ kind: 'disconnected', peer }),
          onAddresses: (addresses) => driver.handle(addressesEvent(addresses, config.meshPort)),
        })
        network.bar(barred)
        await content.join(network)
        const { known, stop: leave } = network
        const remembering = keepRemembered(stateDirectory, known)
        opened.defer(async () => {
          await remembering.stop()
          await leave()
        })
      }
    } catch (error) {
      await api.close()
      throw error
    }
    log.write('info', 'daemon.started', {
      id: identity.id,
      stateDirectory,
      socket: socketPath,
      tookMs: Math.round(performance.now()),
    })
    return { stop }
  } catch (error) {
    await opened.disposeAsync()
    throw error
  }
}

const damageOf = (loaded: Loaded<Durable>): Start['damaged'] =>
  loaded.kind === 'damaged' ? { message: loaded.what, hint: loaded.hint } : null

/** Everybody in the plan but this node: who is asked for artefacts, and served. */
const membersIn = ({ self, nodes }: StatusDocument): ContentMember[] =>
  nodes
    .filter((node) => node.role !== 'pending' && node.id !== self.id)
    .map(({ id, alive }) => ({ id: nodeId(id), alive }))

/** The plan's, where there is one, else what this machine's file says. */
const plannedSettings = (durable: Durable | null, settings: Settings): ClusterSettings =>
  durable?.certified?.plan.settings ?? settings.cluster

/** The mesh's prefix, whose addresses libp2p neither tells nor dials. */
function meshRange({ settings, durable }: Start): string | null {
  const { vpnMode, vpnCidr } = plannedSettings(durable, settings)
  return vpnMode === 'none' ? null : vpnCidr
}

async function kubeconfigOf(distribution: Distribution, address: string): Promise<Kubeconfig> {
  try {
    return { ok: true, kubeconfig: await distribution.kubeconfig(address) }
  } catch (error) {
    if (!(error instanceof DatastoreError)) throw error
    const { message, hint } = error.problem
    return { ok: false, message, hint }
  }
}

/** @param leave ends all parts, so that nobody uses the state directory any more. */
async function carryOut(
  command: MachineCommand,
  driver: Driver,
  stateDirectory: string,
  leave: () => Promise<void>,
): Promise<CommandAnswer> {
  switch (command.kind) {
    case 'adopt': {
      const isAsked = driver.status().problems.some((problem) => problem.code === 'state.other-machine')
      if (!isAsked) {
        const message = 'there is nothing to adopt: this state was made on this machine'
        return { ok: false, message, hint: '`muster status` says what this node waits for' }
      }
      driver.handle({ kind: 'adopt' })
      return { ok: true, message: 'this disk belongs to this machine now', hint: null }
    }
    case 'reset': {
      await leave()
      const { aside } = await resetDirectory(stateDirectory)
      const message = `moved to ${aside}, nothing was deleted; the next \`muster up\` starts as a new node`
      return { ok: true, message, hint: null }
    }
  }
}
