/** Looking for secrets where anyone can see: in texts, and in command lines and environments of processes. */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Needle {
  /** What it is, for people. */
  readonly what: string
  /** Each way in which it may be written. */
  readonly forms: readonly string[]
}

const LOOK_EVERY_MS = 50

/** Key material as hex, as base64 of both alphabets, and as base64 of something longer around it. */
export function needleOfBytes(what: string, bytes: Uint8Array): Needle {
  const base64 = [0, 1, 2].flatMap((offset) => {
    const whole = Math.floor((bytes.length - offset) / 3) * 3
    const part = Buffer.from(bytes.subarray(offset, offset + whole))
    return [part.toString('base64'), part.toString('base64url')]
  })
  return { what, forms: [Buffer.from(bytes).toString('hex'), ...new Set(base64)] }
}

export const needleOfText = (what: string, text: string): Needle => ({ what, forms: [text] })

/** What of `needles` stands in `text`. */
export function found(needles: readonly Needle[], text: string): string[] {
  const lower = text.toLowerCase()
  return needles
    .filter(({ forms }) => forms.some((form) => text.includes(form) || lower.includes(form.toLowerCase())))
    .map(({ what }) => what)
}

/** Every command line and environment seen on this machine, containers' included, until told to stop. */
export class ProcessWatch {
  readonly #seen = new Set<string>()
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  constructor() {
    this.#done = this.#watch()
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      for (const pid of readdirSync('/proc')) {
        if (!/^[0-9]+$/.test(pid)) continue
        for (const file of ['cmdline', 'environ']) this.#seen.add(textOf(`/proc/${pid}/${file}`))
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined)
    }
  }

  /** Ends the watch. */
  async texts(): Promise<string[]> {
    this.#stop.abort()
    await this.#done
    return [...this.#seen]
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1').replaceAll('\0', ' ')
  } catch {
    // It has ended.
    return ''
  }
}
