/**
 * The hosts as the nemesis handles them: whose daemon should be running now, who has the small disk and who the
 * clock that jumps. Whatever should be running and is not has ended by itself, and that is never right.
 */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from '../lab/host.ts'
import { type Lab, STATE_PATH } from '../lab/lab.ts'
import { DISK_PATH } from '../lab/machine.ts'
import type { Clock } from './clock.ts'

/** Room for two pre-allocated segments of etcd's log, its database, and little else. */
const SMALL_DISK_BYTES = 384 * 1024 * 1024
const IMAGE = 'state.img'

export interface CrewOptions {
  readonly lab: Lab
  /** Its state lies on a file system of its own, so that it can be full without any other being so. */
  readonly smallDisk: Host
  /** Null where clocks cannot be made to jump. */
  readonly clock: Clock | null
}

export class Crew {
  readonly lab: Lab
  readonly smallDisk: Host
  readonly clock: Clock | null
  readonly #shouldRun = new Set<Host>()
  readonly #ended: string[] = []

  constructor({ lab, smallDisk, clock }: CrewOptions) {
    this.lab = lab
    this.smallDisk = smallDisk
    this.clock = clock
  }

  get hosts(): readonly Host[] {
    return this.lab.hosts
  }

  /** Daemons that ended without our doing. */
  get ended(): readonly string[] {
    return this.#ended
  }

  async start(host: Host): Promise<void> {
    if (host === this.smallDisk) await this.#mount()
    await host.startDaemon(host === this.clock?.host ? { env: this.clock.env } : {})
    this.#shouldRun.add(host)
  }

  async kill(host: Host): Promise<void> {
    this.#shouldRun.delete(host)
    await host.kill9()
  }

  async powerOff(host: Host): Promise<void> {
    this.#shouldRun.delete(host)
    await this.lab.powerOff(host)
  }

  async powerOn(host: Host): Promise<void> {
    await this.lab.powerOn(host)
    await this.start(host)
  }

  /** With the power off: nothing is left of what the machine wrote. */
  wipe(host: Host): void {
    rmSync(host.place.stateDirectory, { recursive: true, force: true })
    if (host === this.smallDisk) rmSync(this.#image(), { force: true })
  }

  /** Starts anew what ended by itself, and remembers it: the run goes on, and fails at its end. */
  async lookAfter(): Promise<void> {
    for (const host of [...this.#shouldRun]) {
      if (host.running) continue
      this.#ended.push(`${host.name}: ${host.log().trimEnd().split('\n').slice(-3).join(' ⏎ ')}`)
      await this.start(host)
    }
  }

  async #mount(): Promise<void> {
    const host = this.smallDisk
    const inside = `${DISK_PATH}/${IMAGE}`
    if (!existsSync(this.#image())) {
      await run(host, ['truncate', `--size=${SMALL_DISK_BYTES}`, inside])
      await run(host, ['mkfs.ext4', '-q', '-F', '-m', '0', inside])
    }
    const { exitCode } = await host.exec(['mountpoint', '--quiet', STATE_PATH])
    if (exitCode === 0) return
    await run(host, ['mkdir', '--parents', STATE_PATH])
    await run(host, ['mount', '-o', 'loop', inside, STATE_PATH])
  }

  #image(): string {
    return join(this.smallDisk.place.stateDirectory, '..', IMAGE)
  }
}

/** Runs a command on a host; @throws with its words where it fails. */
export async function run(host: Host, argv: readonly string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await host.exec(argv)
  if (exitCode !== 0) throw new Error(`${argv.join(' ')} on ${host.name}: ${stderr.trim()}`)
  return stdout
}
