/** A machine on which muster's driver runs, alone: the test is its plan. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DISK_PATH, signal } from '../../sim/lab/machine.ts'
import { until } from '../../sim/lab/until.ts'
import { digest, nodeId } from '../../src/core/ids.ts'
import { type K3sSettings, plainK3s } from '../../src/core/k3s.ts'
import type { DatastoreMember, DistributionFacts, DistributionOrder } from '../../src/core/orders.ts'
import { ground } from './ground.ts'
import { K3S, type K3sMachine, PATIENCE_MS, scripts } from './machines.ts'

export type K3sOrder = Extract<DistributionOrder, { kind: 'k3s' }>

export const GENESIS = digest('a1'.repeat(32))
export const SECRET = new Uint8Array(32).fill(7)
export const AGENT_SECRET = new Uint8Array(32).fill(9)
const DAEMON = join(import.meta.dirname, 'driver-daemon.ts')
export const STATE = `${DISK_PATH}/muster`

/** What everybody's k3s is told in these tests. */
export function settings(more: Partial<K3sSettings> = {}): K3sSettings {
  const plain = plainK3s()
  const args = [...ground.serverArguments]
  return { ...plain, server: { ...plain.server, args }, ...more }
}

/** With these further arguments for servers. */
export const serverArguments = (...args: string[]): K3sSettings => {
  const base = settings()
  return { ...base, server: { ...base.server, args: [...base.server.args, ...args] } }
}

export class Driven {
  readonly machine: K3sMachine
  readonly self: DatastoreMember
  /** Of the daemon that was started last. */
  events: string[] = []
  facts: DistributionFacts | null = null
  /** Everything that all its daemons said, for what must never be said. */
  said = ''
  #daemon: ChildProcess | null = null
  #errors = ''

  constructor(machine: K3sMachine) {
    this.machine = machine
    const { name, address } = machine.host
    this.self = { id: nodeId(`id-${name}`), name, address }
  }

  start(binary: string | null = K3S): this {
    const options = {
      directory: STATE,
      runDirectory: '/run/muster.run',
      dataDirectory: '/var/lib/rancher/k3s',
      binary,
      externalDatastore: null,
    }
    const [file, ...args] = this.machine.host.place.inside([
      process.execPath,
      DAEMON,
      JSON.stringify(options),
    ])
    const daemon = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' },
    })
    this.#daemon = daemon
    this.events = []
    this.facts = null
    daemon.stdin.on('error', () => undefined)
    daemon.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString()
    })
    createInterface({ input: daemon.stdout }).on('line', (line) => {
      this.said += `${line}\n`
      const told = JSON.parse(line) as { facts?: DistributionFacts; event?: string }
      if (told.facts !== undefined) this.facts = told.facts
      if (told.event !== undefined) this.events.push(told.event)
    })
    return this
  }

  order(action: K3sOrder['action'], more: Partial<K3sOrder> = {}): K3sOrder {
    const mine = more.settings ?? settings()
    const revision = more.revision ?? 1
    return {
      kind: 'k3s',
      role: 'server',
      action,
      epoch: 1,
      genesis: GENESIS,
      self: this.self,
      members: [],
      servers: [this.self, ...(more.members ?? [])],
      clusterId: null,
      gone: [],
      evict: [],
      secret: SECRET,
      agentSecret: AGENT_SECRET,
      settings: mine,
      revision,
      version: mine.version,
      prepare: { revision, settings: mine },
      snapshot: null,
      ...more,
    }
  }

  apply(action: K3sOrder['action'], more: Partial<K3sOrder> = {}): void {
    const order = this.order(action, more)
    const plain = {
      ...order,
      secret: order.secret === null ? null : [...order.secret],
      agentSecret: order.agentSecret === null ? null : [...order.agentSecret],
    }
    this.#daemon?.stdin?.write(`${JSON.stringify(plain)}\n`)
  }

  async until(what: string, isSo: (facts: DistributionFacts) => boolean): Promise<DistributionFacts> {
    return until(
      `${this.self.name}: ${what}`,
      () => (this.facts !== null && isSo(this.facts) ? this.facts : null),
      {
        timeoutMs: PATIENCE_MS,
        everyMs: 25,
        describe: () =>
          `${JSON.stringify(this.facts, null, 1)}\n${this.events.join(' ')}\n${this.#errors.slice(-2_000)}\n${this.k3sLog()}`,
      },
    )
  }

  /** Its facts are about what it was told just now. */
  untilHealthy(): Promise<DistributionFacts> {
    return this.until('healthy', ({ healthy }) => healthy)
  }

  untilReady(): Promise<DistributionFacts> {
    return this.until('ready', ({ ready }) => ready)
  }

  /** @returns its words */
  async untilProblem(code: string): Promise<string> {
    const { problems } = await this.until(code, (facts) => facts.problems.some((each) => each.code === code))
    const found = problems.find((each) => each.code === code)
    return `${found?.message} (${found?.hint})`
  }

  /** The last lines of k3s' own output, as the driver keeps it. */
  k3sLog(): string {
    return this.machine.read('disk/muster/k3s.log').split('\n').slice(-15).join('\n')
  }

  /** kill -9 of the daemon: k3s lives on, as when muster is replaced. */
  async die(): Promise<void> {
    await this.#end(async (daemon) => {
      for (const pid of await scripts(this.machine.host, 'driver-daemon.ts')) signal(pid, 'SIGKILL')
      return daemon
    })
  }

  /** Ends the daemon and k3s, in good order. */
  async stop(): Promise<void> {
    await this.#end(async (daemon) => {
      daemon.stdin?.end()
      return daemon
    })
  }

  async #end(how: (daemon: ChildProcess) => Promise<ChildProcess>): Promise<void> {
    const daemon = this.#daemon
    if (daemon === null || daemon.exitCode !== null || daemon.signalCode !== null) return
    const gone = once(daemon, 'exit')
    await how(daemon)
    await gone
    this.#daemon = null
  }
}
