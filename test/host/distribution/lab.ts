/**
 * Members of real datastores on addresses of the loopback network 127.77.0.0/16, each with a directory of its
 * own: what the tests of the drivers share. Everything that was started is ended by `close`, by process ID.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { digest, nodeId } from '../../../src/core/ids.ts'
import type { DatastoreMember, DistributionFacts, DistributionOrder } from '../../../src/core/orders.ts'
import { type Distribution, startDistribution } from '../../../src/host/distribution/distribution.ts'
import { connectEtcd, type EtcdApi } from '../../../src/host/distribution/etcd-api.ts'
import { issueCredentials } from '../../../src/host/distribution/pki.ts'

export const CLIENT_PORT = 23_790
export const PEER_PORT = 23_800

export type EtcdOrder = Extract<DistributionOrder, { kind: 'etcd' }>

export const GENESIS = digest('a1'.repeat(32))
export const SECRET = new Uint8Array(32).fill(7)

/** A driver under test and what it told. */
export class Member {
  readonly self: DatastoreMember
  readonly directory: string
  readonly runDirectory: string
  readonly clientUrl: string
  readonly peerUrl: string
  /** Of the driver that was started last. */
  events: string[] = []
  #driver: Distribution | null = null

  constructor(root: string, address: string, name: string) {
    this.self = { id: nodeId(`id-${name}`), name, address }
    this.directory = join(root, name, 'state')
    this.runDirectory = join(root, name, 'run')
    this.clientUrl = `https://${address}:${CLIENT_PORT}`
    this.peerUrl = `https://${address}:${PEER_PORT}`
    mkdirSync(this.directory, { recursive: true })
  }

  get driver(): Distribution {
    if (this.#driver === null) throw new Error(`${this.self.name} was not started`)
    return this.#driver
  }

  get facts(): DistributionFacts {
    return this.driver.facts()
  }

  get problems(): string[] {
    return this.facts.problems.map((problem) => problem.code)
  }

  start(overrides: Partial<Parameters<typeof startDistribution>[0]> = {}): this {
    const events: string[] = []
    this.events = events
    this.#driver = startDistribution({
      directory: this.directory,
      runDirectory: this.runDirectory,
      clientPort: CLIENT_PORT,
      peerPort: PEER_PORT,
      onFacts: () => undefined,
      log: (_level, event) => events.push(event),
      count: () => undefined,
      ...overrides,
    })
    return this
  }

  order(action: EtcdOrder['action'], more: Partial<EtcdOrder> = {}): EtcdOrder {
    return {
      kind: 'etcd',
      action,
      epoch: 1,
      genesis: GENESIS,
      self: this.self,
      members: [],
      clusterId: null,
      evict: [],
      secret: SECRET,
      ...more,
    }
  }

  apply(action: EtcdOrder['action'], more: Partial<EtcdOrder> = {}): void {
    this.driver.apply(this.order(action, more))
  }

  /** Until the facts are as wanted. */
  async until(what: string, isSo: (facts: DistributionFacts) => boolean, timeoutMs = 20_000): Promise<void> {
    await until(
      `${this.self.name}: ${what}`,
      () => isSo(this.facts),
      timeoutMs,
      () => JSON.stringify(this.facts),
    )
  }

  untilHealthy(timeoutMs?: number): Promise<void> {
    return this.until('healthy', (facts) => facts.healthy, timeoutMs)
  }

  untilProblem(code: string, timeoutMs?: number): Promise<void> {
    return this.until(code, (facts) => facts.problems.some((problem) => problem.code === code), timeoutMs)
  }

  /**
   * A daemon in a process of its own, which the caller or `etcdBinary` kills.
   * @param until an event after which it is killed with SIGKILL
   */
  async dieWhile(order: EtcdOrder, until: string | null, etcdBinary = '/usr/bin/etcd'): Promise<void> {
    const job = {
      directory: this.directory,
      runDirectory: this.runDirectory,
      clientPort: CLIENT_PORT,
      peerPort: PEER_PORT,
      etcdBinary,
      order: { ...order, secret: [...order.secret] },
    }
    const script = join(import.meta.dirname, 'daemon.ts')
    const daemon: ChildProcess = spawn(process.execPath, [script, JSON.stringify(job)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    daemon.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (until !== null && text.includes(`${until}\n`)) daemon.kill('SIGKILL')
    })
    const [, signal] = await once(daemon, 'exit')
    if (signal !== 'SIGKILL') throw new Error('the daemon ended by itself')
  }

  /** Leaves etcd running, as a daemon that is replaced does. */
  async leave(): Promise<void> {
    await this.#driver?.stop(true)
  }

  async stop(): Promise<void> {
    await this.#driver?.stop()
  }

  /** PID of the etcd that serves this member's data, null where none does. */
  get etcdPid(): number | null {
    return processesWith(`--data-dir=${this.directory}/data/etcd`)[0] ?? null
  }
}

export class Lab {
  readonly root = mkdtempSync(join(tmpdir(), 'muster-distribution-'))
  readonly #net: string
  readonly #members: Member[] = []
  #api: EtcdApi | null = null

  /** @param net third byte of the addresses: one for each file of tests */
  constructor(net: number) {
    this.#net = `127.77.${net}`
  }

  member(n: number, name = `node-${n}`): Member {
    const member = new Member(this.root, `${this.#net}.${n}`, name)
    this.#members.push(member)
    return member
  }

  /** Speaks to the members with a certificate of their CA. */
  async api(): Promise<EtcdApi> {
    this.#api ??= connectEtcd(
      await issueCredentials(join(this.root, 'keys'), SECRET, { name: 'test', address: `${this.#net}.250` }),
    )
    return this.#api
  }

  /**
   * A program that is etcd, but kills the daemon that starts it first.
   * @param then whether etcd runs afterwards
   */
  killer(then: 'etcd runs' | 'nothing runs'): string {
    const path = join(this.root, `killer-${then === 'etcd runs' ? 'starts' : 'only'}`)
    const last = then === 'etcd runs' ? 'exec /usr/bin/etcd "$@"' : 'exit 1'
    writeFileSync(
      path,
      `#!/bin/sh\n[ "$1" = --version ] && exec /usr/bin/etcd --version\nkill -9 $PPID\n${last}\n`,
      { mode: 0o755 },
    )
    return path
  }

  async close(): Promise<void> {
    this.#api?.close()
    await Promise.all(this.#members.map((member) => member.leave()))
    for (const pid of processesWith(this.root)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended in between.
      }
    }
    await until('nothing runs any more', () => processesWith(this.root).length === 0, 5_000)
    rmSync(this.root, { recursive: true, force: true })
  }
}

export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
  instead: () => string = () => '',
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what} ${instead()}`)
    await sleep(25)
  }
}

/** PIDs, other than ours, with this text somewhere in their arguments. */
export function processesWith(text: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) return []
    return commandLine(Number(entry)).includes(text) ? [Number(entry)] : []
  })
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
