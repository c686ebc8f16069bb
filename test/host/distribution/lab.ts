/**
 * Members of real datastores on loopback addresses, each with a directory of its own: what the tests of the
 * drivers share. Everything that was started is ended by `close`, by process ID.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { until } from '../../../sim/lab/until.ts'
import { digest, nodeId } from '../../../src/core/ids.ts'
import type { DatastoreMember, DistributionFacts, DistributionOrder } from '../../../src/core/orders.ts'
import { type Distribution, startDistribution } from '../../../src/host/distribution/distribution.ts'
import { connectEtcd, type EtcdApi } from '../../../src/host/distribution/etcd-api.ts'
import { issueCredentials } from '../../../src/host/distribution/pki.ts'

export const CLIENT_PORT = 23_790
export const PEER_PORT = 23_800
export const ETCD = '/usr/bin/etcd'
/** Before what is waited for counts as missing: no statement about speed. */
const WAIT_MS = 60_000

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
  /** Events of the driver that was started last. */
  events: string[] = []
  /** Everything that all its drivers told: events, fields, facts. */
  readonly said: unknown[] = []
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
      onFacts: (facts) => this.said.push(facts),
      log: (level, event, fields) => {
        events.push(event)
        this.said.push({ level, event, fields })
      },
      count: (counter) => this.said.push(counter),
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
      gone: [],
      evict: [],
      secret: SECRET,
      ...more,
    }
  }

  apply(action: EtcdOrder['action'], more: Partial<EtcdOrder> = {}): void {
    this.driver.apply(this.order(action, more))
  }

  /** Until the facts are as wanted. */
  async until(what: string, isSo: (facts: DistributionFacts) => boolean): Promise<void> {
    await until(`${this.self.name}: ${what}`, () => isSo(this.facts), {
      timeoutMs: WAIT_MS,
      everyMs: 25,
      describe: () => JSON.stringify([this.facts, this.events]),
    })
  }

  untilHealthy(): Promise<void> {
    return this.until('healthy', (facts) => facts.healthy)
  }

  /** @returns its words */
  async untilProblem(code: string): Promise<string> {
    await this.until(code, (facts) => facts.problems.some((problem) => problem.code === code))
    const found = this.facts.problems.find((problem) => problem.code === code)
    return `${found?.message} (${found?.hint})`
  }

  /**
   * A daemon in a process of its own, which the caller or `etcdBinary` kills.
   * @param until an event after which it is killed with SIGKILL
   */
  async dieWhile(order: EtcdOrder, until: string | null, etcdBinary = ETCD): Promise<void> {
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

  /** kill -9 of its etcd, if one runs; resolves when it is gone. */
  async kill(): Promise<void> {
    const pid = this.etcdPid
    if (pid === null) return
    process.kill(pid, 'SIGKILL')
    await until(`${this.self.name}: its etcd is gone`, () => this.etcdPid !== pid, { everyMs: 25 })
  }

  /** Its disk is new. */
  wipe(): void {
    rmSync(this.directory, { recursive: true })
    mkdirSync(this.directory)
  }

  /** Runs etcdctl at this member with the files that the driver made. @returns its output. */
  async etcdctl(...args: string[]): Promise<string> {
    const keys = join(this.runDirectory, 'etcd')
    const files = [
      '--cacert',
      `${keys}/ca.pem`,
      '--cert',
      `${keys}/client.pem`,
      '--key',
      `${keys}/client.pem`,
    ]
    const env = { ETCDCTL_API: '3' }
    return (await execa('etcdctl', ['--endpoints', this.clientUrl, ...files, ...args], { env })).stdout
  }
}

let labs = 0

export class Lab {
  readonly root = mkdtempSync(join(tmpdir(), 'muster-distribution-'))
  readonly #net: string
  readonly #members: Member[] = []
  readonly #mounts: string[] = []
  #api: EtcdApi | null = null

  constructor() {
    labs += 1
    // Another run of the tests on this machine has another process ID.
    this.#net = `127.${64 + (process.pid % 128)}.${labs}`
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

  /** A program called `etcd` that is this shell script; calling it again changes it. */
  program(name: string, script: string): string {
    const directory = join(this.root, name)
    mkdirSync(directory, { recursive: true })
    const path = join(directory, 'etcd')
    rmSync(path, { force: true })
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return path
  }

  /**
   * A program that is etcd, but kills the daemon that starts it first.
   * @param then whether etcd runs afterwards
   */
  killer(then: 'etcd runs' | 'nothing runs'): string {
    const last = then === 'etcd runs' ? `exec ${ETCD} "$@"` : 'exit 1'
    const script = `[ "$1" = --version ] && exec ${ETCD} --version\nkill -9 $PPID\n${last}`
    return this.program(`killer-${then === 'etcd runs' ? 'starts' : 'only'}`, script)
  }

  /** Sets the alarm NOSPACE at a member, for which etcd's own tools have no word. */
  async raiseSpaceAlarm(member: Member): Promise<void> {
    const keys = join(member.runDirectory, 'etcd')
    const client = readFileSync(join(keys, 'client.pem'))
    const outgoing = request(`${member.clientUrl}/v3/maintenance/alarm`, {
      method: 'POST',
      ca: readFileSync(join(keys, 'ca.pem')),
      cert: client,
      key: client,
    })
    outgoing.end(JSON.stringify({ action: 'ACTIVATE', alarm: 'NOSPACE' }))
    const [answer] = await once(outgoing, 'response')
    answer.resume()
    if (answer.statusCode !== 200) throw new Error(`etcd refuses the alarm: ${answer.statusCode}`)
  }

  /** The member's disk has no room for a datastore, until `room` makes some. */
  fill(member: Member): { room(): void } {
    const mount = (...args: string[]): void => {
      execFileSync('mount', ['-t', 'tmpfs', ...args, 'none', member.directory])
    }
    mount('-o', 'size=1m')
    this.#mounts.push(member.directory)
    return { room: () => mount('-o', 'remount,size=300m') }
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
    await until('nothing runs any more', () => processesWith(this.root).length === 0, { everyMs: 25 })
    for (const directory of this.#mounts) execFileSync('umount', ['-l', directory])
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** Listens where etcd would; the result ends it. */
export async function occupy(address: string, port: number): Promise<() => Promise<void>> {
  const server = createServer()
  server.listen(port, address)
  await once(server, 'listening')
  return async () => {
    server.close()
    await once(server, 'close')
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
