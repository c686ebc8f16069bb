/**
 * A wall clock that jumps, by libfaketime: preloaded into the daemon of one host, it reads the offset from a file
 * that all hosts see and only that daemon looks at. The monotonic clock stays true, as on a machine whose clock
 * somebody sets. etcd is not touched: it asks the kernel itself, and the daemon gives it no environment.
 */
import { existsSync, renameSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Host } from '../lab/host.ts'
import type { Lab } from '../lab/lab.ts'
import { SHARED_PATH } from '../lab/machine.ts'
import { until } from '../lab/until.ts'

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (triplet) => `/usr/lib/${triplet}/faketime/libfaketime.so.1`,
)
/** Jumps, seconds: an hour ahead, an hour back, and true again. */
export const OFFSETS = [3_600, -3_600, 0] as const
export type Offset = (typeof OFFSETS)[number]

/** How far the daemon may be off the offset: what it takes to answer, and libfaketime to look at its file. */
const NEAR_MS = 60_000
const PATIENCE_MS = 10_000

export class Clock {
  readonly #lab: Lab
  readonly #host: Host
  readonly #library: string
  #offset: Offset = 0

  private constructor(lab: Lab, host: Host, library: string) {
    this.#lab = lab
    this.#host = host
    this.#library = library
    this.#write(0)
  }

  /** Null where libfaketime is not installed. */
  static of(lab: Lab, host: Host): Clock | null {
    const library = LIBRARIES.find((path) => existsSync(path))
    return library === undefined ? null : new Clock(lab, host, library)
  }

  get host(): Host {
    return this.#host
  }

  get offset(): Offset {
    return this.#offset
  }

  /** What the daemon is started with. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: `${SHARED_PATH}/clock`,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DISABLE_SHM: '1',
      FAKETIME_CACHE_DURATION: '1',
    }
  }

  /** Lets the clock jump, and waits until the daemon itself tells that time. */
  async set(offset: Offset): Promise<void> {
    this.#write(offset)
    await until(
      `the clock of ${this.#host.name} at ${offset} s`,
      async () => {
        const said = await dateOf(this.#host)
        return Math.abs(said - Date.now() - offset * 1_000) < NEAR_MS
      },
      { timeoutMs: PATIENCE_MS },
    )
  }

  /** Renamed into its place: who reads half a line would stop the daemon. */
  #write(offset: Offset): void {
    this.#offset = offset
    this.#lab.share('clock.next', `${offset < 0 ? '' : '+'}${offset}\n`)
    renameSync(join(this.#lab.directory, 'shared/clock.next'), join(this.#lab.directory, 'shared/clock'))
  }
}

/** The daemon's wall clock by the head of its answer, milliseconds since 1970. */
function dateOf(host: Host): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: host.place.socket(), path: '/v1/status', timeout: 2_000, agent: false }
    const call = request(options, (answer) => {
      answer.resume()
      resolve(Date.parse(answer.headers.date ?? ''))
    })
    call.on('timeout', () => call.destroy(new Error('no answer')))
    call.on('error', reject)
    call.end()
  })
}
