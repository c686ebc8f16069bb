import type { Stream } from '@libp2p/interface'
import { multiaddrConnectionPair } from '@libp2p/utils'
import { describe, expect, it } from 'vitest'
import { until } from '../../../sim/lab/until.ts'
import { frugalYamux } from '../../../src/host/network/frugal-yamux.ts'

interface Pair {
  readonly stream: Stream
  /** Bytes that the other end got on the stream so far. */
  received(): number
  /** Frames that the other end sent so far, of any kind. */
  answers(): number
}

async function connect(): Promise<Pair> {
  const [here, there] = multiaddrConnectionPair()
  const [near, far] = [frugalYamux()().createStreamMuxer(here), frugalYamux()().createStreamMuxer(there)]
  let received = 0
  let answers = 0
  here.addEventListener('message', () => {
    answers += 1
  })
  far.addEventListener('stream', ({ detail }) => {
    detail.addEventListener('message', ({ data }) => {
      received += data.byteLength
    })
  })
  const stream = await near.createStream()
  return { stream, received: () => received, answers: () => answers }
}

describe('the multiplexer', () => {
  it('does not answer small messages', async () => {
    const { stream, received, answers } = await connect()
    for (let i = 1; i <= 100; i++) {
      stream.send(new Uint8Array(100))
      await until('a message', () => received() === i * 100, { everyMs: 1 })
    }
    // The answer to the opening of the stream is one.
    expect(answers()).toBeLessThanOrEqual(2)
  })

  it('opens the window again before it is used up, for as long as data comes', async () => {
    const { stream, received, answers } = await connect()
    const piece = new Uint8Array(64 * 1024)
    for (let i = 1; i <= 160; i++) {
      if (!stream.send(piece)) await until('room', () => !stream.writableNeedsDrain, { everyMs: 1 })
    }
    await until('all of ten megabytes', () => received() === 160 * piece.length, { everyMs: 1 })
    expect(answers()).toBeGreaterThan(30)
  })
})
