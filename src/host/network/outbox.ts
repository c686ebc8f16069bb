/** Frames that wait for one peer: in order, bounded in number, bytes and age; the oldest go first. */

/** Beyond it the oldest go: newer ones say more. */
export const FRAMES_MAX = 256
export const BYTES_MAX = 4 * 1024 * 1024
/** Older than this a message has been said again, or nobody waits for it any more. */
export const AGE_MAX_MS = 5_000

export class Outbox {
  readonly #frames: { readonly bytes: Uint8Array; readonly at: number }[] = []
  #bytes = 0

  get size(): number {
    return this.#frames.length
  }

  /**
   * @param now monotonic milliseconds, as everywhere here.
   * @returns how many frames had to go for this one.
   */
  add(bytes: Uint8Array, now: number): number {
    this.#frames.push({ bytes, at: now })
    this.#bytes += bytes.length
    let dropped = 0
    while (this.#frames.length > FRAMES_MAX || (this.#bytes > BYTES_MAX && this.#frames.length > 1)) {
      this.#shift()
      dropped += 1
    }
    return dropped
  }

  /** The next frame to send; undefined where there is none. */
  take(): Uint8Array | undefined {
    return this.#shift()
  }

  /** @returns how many frames were too old. */
  expire(now: number): number {
    let expired = 0
    while (now - (this.#frames[0]?.at ?? now) > AGE_MAX_MS) {
      this.#shift()
      expired += 1
    }
    return expired
  }

  #shift(): Uint8Array | undefined {
    const frame = this.#frames.shift()
    this.#bytes -= frame?.bytes.length ?? 0
    return frame?.bytes
  }
}
