/** One host of a lab: its commands, its daemon, its status, whether it is a namespace or a loopback address. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { execa } from 'execa'
import type { StatusDocument } from '../../src/core/status.ts'
import { ask } from './api.ts'
import { childrenOf, signal } from './machine.ts'
import type { Program } from './program.ts'
import { until } from './until.ts'

/** Where a host is and how it is reached; what differs between kinds of labs. */
export interface Place {
  readonly name: string
  /** 1…N. */
  readonly index: number
  /** Its address on the lab's network. */
  readonly address: string
  /** Log of its daemon: standard output and error, on the real host. */
  readonly logFile: string
  /** Directory that is its daemon's state, on the real host. */
  readonly stateDirectory: string
  /** Arguments of `muster up`; in namespaces the same for every host. */
  readonly upArguments: readonly string[]
  /** Turns a command line into one that runs on the host. */
  inside(argv: readonly string[]): readonly [string, ...string[]]
  /** Whether `inside` puts a process of its own between us and the command. */
  readonly wrapped: boolean
  /** The daemon's API socket, as reachable from here. */
  socket(): string
  /** Translates process numbers of the host into ours. */
  outer(inside: ReadonlySet<number>): number[]
  /** Bytes through its network interface so far; null where there is none of its own. */
  bytes(): InterfaceBytes | null
}

export interface InterfaceBytes {
  readonly received: number
  readonly sent: number
}

export interface ExecResult {
  readonly stdout: string
  readonly stderr: string
  /** -1 where a signal ended it, 124 where it took longer than `timeoutMs`. */
  readonly exitCode: number
}

export interface ExecOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

export interface StartOptions {
  /** Instead of the arguments that every host has. */
  readonly upArguments?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

interface RunningDaemon {
  readonly process: ChildProcess
  /** The daemon itself, as the real host numbers it. */
  readonly pid: number
  readonly ended: Promise<number>
}

/** What daemons and commands get of our environment: nothing of ours may decide for them. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export class Host {
  readonly name: string
  readonly index: number
  readonly address: string
  readonly place: Place
  #program: Program
  #daemon: RunningDaemon | null = null

  constructor(place: Place, program: Program) {
    this.name = place.name
    this.index = place.index
    this.address = place.address
    this.place = place
    this.#program = program
  }

  /** Runs a command on the host to its end; an exit code other than 0 is a result, not an error. */
  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    // Ended from inside: killing the way in would leave the command itself running.
    const limit = ['timeout', '--kill-after=2', String((options.timeoutMs ?? 30_000) / 1_000)]
    const [file, ...args] = this.place.inside([...limit, ...argv])
    const result = await execa(file, args, {
      reject: false,
      extendEnv: false,
      env: { PATH, HOME: '/root', ...options.env },
      ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    })
    return { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode ?? -1 }
  }

  /** Runs a verb of muster on the host. */
  muster(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return this.exec([...this.#program.argv, ...args], options)
  }

  /** Starts a command that goes on; it ends with the machine at the latest. */
  spawn(argv: readonly string[]): ChildProcess {
    const [file, ...args] = this.place.inside(argv)
    return spawn(file, args, { stdio: 'ignore', detached: true, env: { PATH, HOME: '/root' } })
  }

  /** Starts the daemon and returns when its process exists, which says nothing about how it is. */
  async startDaemon(options: StartOptions = {}): Promise<void> {
    if (this.#daemon !== null) throw new Error(`the daemon of ${this.name} runs already`)
    const up = options.upArguments ?? this.place.upArguments
    const [file, ...args] = this.place.inside([...this.#program.argv, 'up', ...up])
    const log = openSync(this.place.logFile, 'a')
    const child = spawn(file, args, {
      stdio: ['ignore', log, log],
      detached: true,
      // As the installed launcher starts it.
      env: { PATH, HOME: '/root', NODE_ENV: 'production', MALLOC_ARENA_MAX: '1', ...options.env },
    })
    closeSync(log)
    const ended = new Promise<number>((resolve) => {
      child.once('error', () => resolve(-1))
      child.once('exit', (code) => resolve(code ?? -1))
    })
    const outer = child.pid
    if (outer === undefined) throw new Error(`cannot start the daemon of ${this.name}`)
    const pid = this.place.wrapped
      ? await until(`a daemon process on ${this.name}`, () => childrenOf(outer)[0] ?? hasEnded(child), {
          timeoutMs: 5_000,
          everyMs: 2,
        })
      : outer
    if (pid === true) {
      throw new Error(
        `the daemon of ${this.name} ended at once (${child.exitCode}):\n${this.log().slice(-2_000)}`,
      )
    }
    child.unref()
    const daemon: RunningDaemon = { process: child, pid, ended }
    this.#daemon = daemon
    void ended.then(() => {
      if (this.#daemon === daemon) this.#daemon = null
    })
  }

  /** Exit code of a daemon that is expected to end by itself; -1 where a signal ended it. */
  async daemonEnd(timeoutMs = 10_000): Promise<number> {
    const daemon = this.#daemon
    if (daemon === null) throw new Error(`no daemon runs on ${this.name}`)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the daemon of ${this.name} still runs`)), timeoutMs)
    })
    try {
      return await Promise.race([daemon.ended, late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Runs `muster up` to its end and returns what it said: for starts that must fail. */
  async up(options: StartOptions & { readonly timeoutMs?: number } = {}): Promise<ExecResult> {
    const up = options.upArguments ?? this.place.upArguments
    return this.muster(['up', ...up], {
      ...(options.env === undefined ? {} : { env: options.env }),
      timeoutMs: options.timeoutMs ?? 10_000,
    })
  }

  get running(): boolean {
    return this.#daemon !== null
  }

  /** The daemon's process, as the real host numbers it. */
  get daemonPid(): number | null {
    return this.#daemon?.pid ?? null
  }

  /** Asks the daemon to end (SIGTERM) and waits for it. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** kill -9 of the daemon alone: what it started lives on, as where no service manager sweeps up. */
  async kill9(): Promise<void> {
    await this.#end('SIGKILL')
  }

  pause(): void {
    if (this.#daemon !== null) signal(this.#daemon.pid, 'SIGSTOP')
  }

  resume(): void {
    if (this.#daemon !== null) signal(this.#daemon.pid, 'SIGCONT')
  }

  /** What the daemon says now; null where none answers. */
  async status(): Promise<StatusDocument | null> {
    if (this.#daemon === null) return null
    return (await ask(this.place.socket(), '/v1/status').catch(() => null)) as StatusDocument | null
  }

  /** Waits until the status fulfils `want`; the error shows the last one. */
  async untilStatus(
    what: string,
    want: (status: StatusDocument) => boolean,
    timeoutMs = 30_000,
  ): Promise<StatusDocument> {
    let last: StatusDocument | null = null
    return until(
      `${this.name}: ${what}`,
      async () => {
        last = await this.status()
        return last !== null && want(last) ? last : null
      },
      {
        timeoutMs,
        everyMs: 150,
        describe: () =>
          `${JSON.stringify(last, null, 1)}\nlog:\n${this.log().split('\n').slice(-30).join('\n')}`,
      },
    )
  }

  /** Everything that the daemon printed, over all its starts. */
  log(): string {
    try {
      return readFileSync(this.place.logFile, 'utf8')
    } catch {
      return ''
    }
  }

  bytes(): InterfaceBytes | null {
    return this.place.bytes()
  }

  /** Processes of that name on this host, as the real host numbers them. */
  async processes(name: string): Promise<number[]> {
    const { stdout } = await this.exec(['pgrep', '--exact', name])
    const inside = new Set(stdout.split('\n').filter(Boolean).map(Number))
    return inside.size === 0 ? [] : this.place.outer(inside)
  }

  async #end(name: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    if (daemon === null) return
    // Whoever waits for the end must not end first: nothing else may keep Node running.
    daemon.process.ref()
    signal(daemon.pid, name)
    await daemon.ended
    if (this.#daemon === daemon) this.#daemon = null
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
