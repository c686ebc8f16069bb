/** Machines of a lab on which k3s itself is started, without muster: how a person would do it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { copyFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { ExecResult, Host } from '../../sim/lab/host.ts'
import { installK3s } from '../../sim/lab/k3s/install.ts'
import { createLab, type Lab } from '../../sim/lab/lab.ts'
import { DISK_PATH, signal } from '../../sim/lab/machine.ts'
import { type UntilOptions, until } from '../../sim/lab/until.ts'
import { ground } from './ground.ts'

export const PATIENCE_MS = 40_000
const FIRST_VERSION = 'v1.33.4+k3s1'
const NEXT_VERSION = 'v1.34.1+k3s1'

/** Where every machine finds its k3s: a copy of its own, which an upgrade replaces. */
export const K3S = `${DISK_PATH}/bin/k3s`
const CLIENT = join(import.meta.dirname, '../../sim/lab/k3s/kube-client.ts')

export class Machines {
  readonly lab: Lab

  constructor(lab: Lab) {
    this.lab = lab
  }

  at(index: number): K3sMachine {
    const host = this.lab.hosts[index - 1]
    if (host === undefined) throw new Error(`there is no machine ${index}`)
    return new K3sMachine(this.lab, host)
  }

  /** One more, with k3s' program, powered on. */
  async add(): Promise<K3sMachine> {
    const machine = this.at((await this.lab.addHost()).index)
    await machine.install('first')
    return machine
  }
}

export async function createMachines(name: string, count: number): Promise<Machines> {
  const lab = await createLab({
    name,
    hosts: count,
    config: '',
    program: { argv: ['/bin/false'], bundle: null },
    ownDirectories: ['/etc', '/var/lib'],
  })
  const machines = new Machines(lab)
  await Promise.all(lab.hosts.map((host) => machines.at(host.index).install('first')))
  return machines
}

export class K3sMachine {
  readonly host: Host
  readonly #lab: Lab
  readonly #program: string

  constructor(lab: Lab, host: Host, program: string = K3S) {
    this.#lab = lab
    this.host = host
    this.#program = program
  }

  get #directory(): string {
    return join(this.#lab.directory, `host-${this.host.index}`)
  }

  /** Swaps the program's file, as an upgrade does. What runs goes on running. */
  async install(which: 'first' | 'next'): Promise<void> {
    const path = join(this.#directory, 'disk/bin/k3s')
    if (ground.binary === null) {
      await installK3s(path, { version: which === 'first' ? FIRST_VERSION : NEXT_VERSION })
      return
    }
    const source = which === 'first' ? ground.binary : (process.env.K3S_BIN_NEXT ?? ground.binary)
    await rm(path, { force: true })
    await this.host.exec(['mkdir', '-p', `${DISK_PATH}/bin`])
    await copyFile(source, path)
  }

  /** Of the program's file, by its own word. */
  async version(): Promise<string> {
    return /^k3s version (\S+)/.exec((await this.run(['--version'])).stdout)?.[1] ?? ''
  }

  start(role: 'server' | 'agent', args: readonly string[]): void {
    const more = role === 'server' ? ground.serverArguments : []
    this.host.spawn([
      'sh',
      '-c',
      `exec "$@" >>${DISK_PATH}/k3s.log 2>&1`,
      'sh',
      this.#program,
      role,
      ...args,
      ...more,
    ])
  }

  /** Runs it to its end: for starts that must fail. */
  run(args: readonly string[], timeoutMs = 20_000): Promise<ExecResult> {
    return this.host.exec([this.#program, ...args], { timeoutMs })
  }

  /** SIGKILL of k3s, and with it of its etcd. */
  async kill(): Promise<void> {
    await this.#signal('SIGKILL')
  }

  async stop(): Promise<void> {
    await this.#signal('SIGTERM')
  }

  async isRunning(): Promise<boolean> {
    return (await this.pids()).length > 0
  }

  async pids(): Promise<number[]> {
    const all = await Promise.all(['k3s-server', 'k3s-agent'].map((name) => this.host.processes(name)))
    return all.flat()
  }

  /** Its disk is new; the program stays. */
  async wipe(): Promise<void> {
    for (const own of await readdir(join(this.#directory, 'own')).catch(() => [])) {
      const path = own.replaceAll('_', '/')
      await this.host.exec(['rm', '-rf', `${path}/rancher`])
    }
    await this.host.exec(['rm', '-f', `${DISK_PATH}/k3s.log`])
  }

  log(): string {
    return this.read('disk/k3s.log')
  }

  /** A file below the machine's directory on the real host; empty where there is none. */
  read(path: string): string {
    try {
      return readFileSync(join(this.#directory, path), 'utf8')
    } catch {
      return ''
    }
  }

  /** Tells the double; see stages.ts. */
  async tell(orders: object): Promise<void> {
    const directory = '/var/lib/rancher/k3s'
    const script = `mkdir -p ${directory} && rm -f ${directory}/double.done && cat > ${directory}/double.json`
    await this.host.exec(['sh', '-c', script], { input: JSON.stringify(orders) })
  }

  /** GET through `k3s kubectl`; null where it is refused or nobody answers. */
  async raw(path: string): Promise<string | null> {
    const { stdout, exitCode } = await this.run(['kubectl', 'get', '--raw', path])
    return exitCode === 0 ? stdout : null
  }

  async call(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    const words = [process.execPath, CLIENT, 'call', method, path]
    const { stdout, stderr } = await this.host.exec(
      body === undefined ? words : [...words, JSON.stringify(body)],
    )
    if (stdout === '') throw new Error(stderr)
    return z.object({ status: z.number(), text: z.string() }).parse(JSON.parse(stdout))
  }

  /** Writes through the API of these servers, one config map after the other, until it is ended. */
  async write(prefix: string, servers: readonly string[]): Promise<Writer> {
    const env = `K3S_SERVERS=${servers.join(',')}`
    const argv = ['env', env, process.execPath, CLIENT, 'write', prefix]
    const [file, ...args] = this.host.place.inside(argv)
    return new Writer(spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] }), this.host)
  }

  async isReady(): Promise<boolean> {
    return (await this.raw('/readyz')) === 'ok'
  }

  untilReady(): Promise<unknown> {
    return this.until('ready', () => this.isReady())
  }

  until<T>(what: string, look: () => T | Promise<T>, options: UntilOptions = {}): Promise<unknown> {
    return until(`${this.host.name}: ${what}`, look, {
      timeoutMs: PATIENCE_MS,
      everyMs: 200,
      describe: () => `\n${this.log().split('\n').slice(-25).join('\n')}`,
      ...options,
    })
  }

  /** Members as etcd says, with the credentials of k3s; a learner's is said to be none of the voters. */
  async members(): Promise<readonly Member[]> {
    const keys = '/var/lib/rancher/k3s/server/tls/etcd'
    const { stdout, exitCode, stderr } = await this.host.exec(
      [
        ...['etcdctl', '--endpoints=https://127.0.0.1:2379', `--cacert=${keys}/server-ca.crt`],
        ...[`--cert=${keys}/client.crt`, `--key=${keys}/client.key`, 'member', 'list', '-w', 'json'],
      ],
      { env: { ETCDCTL_API: '3' } },
    )
    if (exitCode !== 0) throw new Error(stderr)
    return List.parse(JSON.parse(stdout)).members
  }

  async voters(): Promise<string[]> {
    return (await this.members()).filter(({ isLearner }) => !isLearner).map(({ node }) => node)
  }

  async nodes(): Promise<readonly Node[]> {
    const text = await this.raw('/api/v1/nodes')
    return text === null ? [] : Nodes.parse(JSON.parse(text)).items
  }

  /** The full token, as k3s itself writes it for others. */
  async token(): Promise<string> {
    return (await this.host.exec(['cat', '/var/lib/rancher/k3s/server/token'])).stdout.trim()
  }

  async #signal(name: NodeJS.Signals): Promise<void> {
    for (const pid of await this.pids()) signal(pid, name)
    await this.until('its end', async () => !(await this.isRunning()), { everyMs: 50 })
  }
}

/** Processes on this host that run this script of ours, as the real host numbers them. */
export async function scripts(host: Host, name: string): Promise<number[]> {
  const { stdout } = await host.exec(['pgrep', '--full', name])
  const pids = host.place.outer(new Set(stdout.split('\n').filter(Boolean).map(Number)))
  return pids.filter((pid) => commandLine(pid).startsWith(`${process.execPath}\0`))
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

export class Writer {
  /** Writes that were acknowledged. */
  written = 0
  readonly #host: Host
  readonly #ended: Promise<unknown>

  constructor(process: ChildProcessByStdio<null, Readable, null>, host: Host) {
    this.#host = host
    this.#ended = once(process, 'exit')
    createInterface({ input: process.stdout }).on('line', (line) => {
      this.written = Number(line)
    })
  }

  async untilWritten(count: number): Promise<void> {
    await until(`${count} writes`, () => this.written >= count, { timeoutMs: PATIENCE_MS })
  }

  /** @returns how many writes were acknowledged */
  async end(): Promise<number> {
    for (const pid of await scripts(this.#host, 'kube-client.ts')) signal(pid, 'SIGTERM')
    await this.#ended
    return this.written
  }
}

export interface Member {
  readonly name: string
  /** Of which node it is; empty where it has not started yet. */
  readonly node: string
  readonly isLearner: boolean
}

const List = z.object({
  members: z.array(
    z
      .object({ name: z.string().default(''), isLearner: z.boolean().default(false) })
      .transform(
        ({ name, isLearner }): Member => ({ name, node: name.replace(/-[0-9a-f]{8}$/, ''), isLearner }),
      ),
  ),
})

export interface Node {
  readonly name: string
  readonly version: string
  readonly conditions: Readonly<Record<string, string>>
}

const Nodes = z.object({
  items: z.array(
    z
      .object({
        metadata: z.object({ name: z.string() }),
        status: z.object({
          nodeInfo: z.object({ kubeletVersion: z.string() }),
          conditions: z.array(z.object({ type: z.string(), status: z.string() })),
        }),
      })
      .transform(
        ({ metadata, status }): Node => ({
          name: metadata.name,
          version: status.nodeInfo.kubeletVersion,
          conditions: Object.fromEntries(status.conditions.map((each) => [each.type, each.status])),
        }),
      ),
  ),
})

export const SHARED_SECRETS = ['--token=server-secret', '--agent-token=agent-secret'] as const
export const serverAt = (machine: K3sMachine): string => `--server=https://${machine.host.address}:6443`
