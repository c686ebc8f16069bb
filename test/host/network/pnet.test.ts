import { xsalsa20 } from '@noble/ciphers/salsa.js'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { MESSAGE_BYTES_MAX } from '../../../src/core/protocol.ts'
import { XSalsa20 } from '../../../src/host/network/pnet.ts'
import { bytes, makePeers, text } from './peers.ts'

const peers = makePeers()
afterEach(() => peers.end())

describe('the private network', () => {
  it('a stream encrypts the same in whatever pieces it comes', () => {
    const key = new Uint8Array(32).fill(3)
    const nonce = new Uint8Array(24).fill(5)
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }), (pieces) => {
        const cipher = new XSalsa20(key, nonce)
        const streamed = Buffer.concat(pieces.map((piece) => cipher.update(piece)))
        const whole = Buffer.concat(pieces)
        expect(streamed).toEqual(Buffer.from(xsalsa20(key, nonce, new Uint8Array(whole))))
      }),
    )
  })

  it('it is the protocol that other libp2p nodes speak', async () => {
    const ours = await peers.start()
    const theirs = await peers.stranger({ original: true })
    const stream = await theirs.stream(ours)
    stream.send(new Uint8Array([5, ...bytes('hello')]))
    await vi.waitFor(() => expect(ours.received.map((message) => text(message.bytes))).toEqual(['hello']))
    expect(ours.count('network.stranger')).toBe(0)
  })

  it('the largest messages among many small ones leave every connection alive', async () => {
    const a = await peers.start()
    const others = await Promise.all([1, 2, 3].map(() => peers.start({ peers: [a.address] })))
    await vi.waitFor(() => expect(a.network.connected()).toHaveLength(3))
    for (let round = 0; round < 30; round++) {
      for (const other of others) {
        if (round % 10 === 0) a.network.send(other.id, new Uint8Array(MESSAGE_BYTES_MAX).fill(round))
        for (let i = 0; i < 10; i++) a.network.send(other.id, bytes(`${round}.${i}`))
      }
      await vi.waitFor(() =>
        expect(others.map(({ received }) => text(received.at(-1)?.bytes ?? bytes('')))).toEqual(
          others.map(() => `${round}.9`),
        ),
      )
    }
    for (const { received } of others) expect(received.length).toBe(303)
    expect(a.network.connected()).toHaveLength(3)
    expect(a.count('network.send.failed')).toBe(0)
  })
})
