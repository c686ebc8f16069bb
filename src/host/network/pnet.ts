/**
 * libp2p's private network protocol: after an exchange of nonces every byte is XORed with XSalsa20 under the
 * pre-shared key, so that whoever lacks the key reads noise. Compatible with @libp2p/pnet, which cannot be used:
 * up to 3.0.27 its cipher's WebAssembly memory is never given back, so that one large frame, or 6,000
 * handshakes of strangers, end all connections of the process for ever (libp2p/js-libp2p pull request 3585).
 */
import type { AbortOptions, ConnectionProtector, MessageStream } from '@libp2p/interface'
import { AbstractMessageStream, byteStream, type SendResult } from '@libp2p/utils'
import { xsalsa20 } from '@noble/ciphers/salsa.js'

const NONCE_BYTES = 24
const BLOCK_BYTES = 64
const ZEROS = new Uint8Array(BLOCK_BYTES)

/** @param psk 32 bytes. Secret. */
export function privateNetwork(psk: Uint8Array): () => ConnectionProtector {
  return () => ({
    protect: async (connection, options) => {
      const own = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
      const bytes = byteStream(connection)
      const [theirs] = await Promise.all([
        bytes.read({ ...options, bytes: NONCE_BYTES }),
        bytes.write(own, options),
      ])
      return new PrivateStream(bytes.unwrap(), {
        inbound: new XSalsa20(psk, theirs.subarray()),
        outbound: new XSalsa20(psk, own),
      })
    },
  })
}

/** XSalsa20 over a stream that comes in pieces of any size. */
export class XSalsa20 {
  readonly #key: Uint8Array
  readonly #nonce: Uint8Array
  /** The next block; noble refuses to pass 2^32 (256 GiB): the connection then ends and is dialled anew. */
  #block = 0
  #keystream = ZEROS
  #used = BLOCK_BYTES

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.#key = key
    this.#nonce = nonce
  }

  update(data: Uint8Array): Uint8Array {
    const out = new Uint8Array(data.length)
    let at = this.#rest(data, out, 0)
    const whole = data.length - at - ((data.length - at) % BLOCK_BYTES)
    if (whole > 0) {
      const end = at + whole
      xsalsa20(this.#key, this.#nonce, data.subarray(at, end), out.subarray(at, end), this.#block)
      this.#block += whole / BLOCK_BYTES
      at = end
    }
    if (at < data.length) {
      this.#keystream = xsalsa20(this.#key, this.#nonce, ZEROS, undefined, this.#block)
      this.#block += 1
      this.#used = 0
      this.#rest(data, out, at)
    }
    return out
  }

  /** Uses up what is left of the last block. */
  #rest(data: Uint8Array, out: Uint8Array, start: number): number {
    let at = start
    while (at < data.length && this.#used < BLOCK_BYTES) {
      out[at] = (data[at] ?? 0) ^ (this.#keystream[this.#used] ?? 0)
      at += 1
      this.#used += 1
    }
    return at
  }
}

type SentList = Parameters<AbstractMessageStream['sendData']>[0]

class PrivateStream extends AbstractMessageStream {
  readonly #inner: MessageStream
  readonly #outbound: XSalsa20

  constructor(inner: MessageStream, ciphers: { readonly inbound: XSalsa20; readonly outbound: XSalsa20 }) {
    super({ direction: inner.direction, log: inner.log.newScope('pnet') })
    this.#inner = inner
    this.#outbound = ciphers.outbound
    inner.addEventListener('message', ({ data }) => {
      for (const piece of data instanceof Uint8Array ? [data] : data)
        this.onData(ciphers.inbound.update(piece))
    })
    inner.addEventListener('drain', () => this.onMuxerDrain())
    inner.addEventListener('close', ({ error, local }) => {
      if (error === undefined) this.onTransportClosed()
      else if (local === true) this.abort(error)
      else this.onRemoteReset()
    })
  }

  override sendData(data: SentList): SendResult {
    const canSendMore = this.#inner.send(this.#outbound.update(data.subarray()))
    return { sentBytes: data.byteLength, canSendMore }
  }

  override async close(options?: AbortOptions): Promise<void> {
    await this.#inner.close(options)
    this.onTransportClosed()
  }

  override sendReset(error: Error): void {
    this.#inner.abort(error)
  }

  override sendPause(): void {
    this.#inner.pause()
  }

  override sendResume(): void {
    this.#inner.resume()
  }
}
