/** A stream as frames, each handled as it comes: what a peer sends beyond what it may is never kept. */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { decode, encode } from '../../core/codec.ts'
import { drained } from '../network/drained.ts'

/** Above a chunk's time on a link of 64 kbit/s. */
const STALL_MS = 30_000
const LENGTH_BYTES = 4

/** The peer broke the protocol. */
export class ProtocolBreach extends Error {
  override readonly name = 'ProtocolBreach'
}

interface Ports {
  readonly frameMax: number
  /** What it throws ends the stream, as a breach of the peer's. */
  onFrame(value: unknown): void
  /** Once, however it ended; a breach tells that the peer is to blame. */
  onEnd(reason: Error): void
}

export class Wire {
  readonly #stream: Stream
  readonly #ports: Ports
  #rest: Buffer = Buffer.alloc(0)
  #isOpen = true

  constructor(stream: Stream, ports: Ports) {
    this.#stream = stream
    this.#ports = ports
    stream.addEventListener('close', (event) => this.#ended(event.error ?? new Error('the stream ended')))
    stream.addEventListener('remoteCloseWrite', () => this.end(new Error('the peer ended the stream')))
    stream.addEventListener('message', this.#take)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Resolves when the next frame may be sent. @throws where the stream has ended. */
  async send(value: unknown): Promise<void> {
    const body = encode(value)
    const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.length)
    frame.writeUInt32BE(body.length)
    frame.set(body, LENGTH_BYTES)
    if (!this.#stream.send(frame)) await drained(this.#stream, STALL_MS)
  }

  end(reason: Error): void {
    if (!this.#isOpen) return
    this.#stream.removeEventListener('message', this.#take)
    this.#stream.abort(reason)
    this.#ended(reason)
  }

  readonly #take = ({ data }: StreamMessageEvent): void => {
    const bytes = data instanceof Uint8Array ? data : data.subarray()
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes])
    try {
      while (this.#isOpen && this.#rest.length >= LENGTH_BYTES) {
        const length = this.#rest.readUInt32BE()
        if (length > this.#ports.frameMax) throw new RangeError(`a frame of ${length} bytes`)
        if (this.#rest.length < LENGTH_BYTES + length) break
        const body = this.#rest.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
        this.#rest = this.#rest.subarray(LENGTH_BYTES + length)
        this.#ports.onFrame(decode(body))
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.end(error instanceof ProtocolBreach ? error : new ProtocolBreach(why.slice(0, 200)))
    }
  }

  #ended(reason: Error): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#rest = Buffer.alloc(0)
    this.#ports.onEnd(reason)
  }
}
