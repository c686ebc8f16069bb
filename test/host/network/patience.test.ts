/** What the network does only after a while. Each test waits for itself, so all wait at once. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { NodeId } from '../../../src/core/ids.ts'
import { MESSAGE_BYTES_MAX } from '../../../src/core/protocol.ts'
import { makeAgents } from './agents.ts'
import { bytes, freePort, makePeers, newKey } from './peers.ts'

/** Before what is waited for counts as missing: no statement about speed. */
const SOON = { timeout: 30_000, interval: 20 }

describe.concurrent('with patience', { timeout: 120_000 }, () => {
  it('a message to nobody is bounded, forgotten, and never an error', async ({ onTestFinished }) => {
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const a = await peers.start()
    const nobody = (await peers.start()).id
    for (let i = 0; i < 1_000; i++) a.network.send(nobody, new Uint8Array(1_000).fill(1))
    expect(a.count('network.queue.dropped')).toBe(744)
    a.network.send(nobody, new Uint8Array(MESSAGE_BYTES_MAX + 1))
    a.network.send('no id at all' as NodeId, bytes('x'))
    a.network.dial('no id at all' as NodeId, ['/ip4/127.0.0.1/tcp/1', 'no address', ''])
    expect(a.count('network.message.unsendable')).toBe(1)
    await vi.waitFor(() => expect(a.count('network.queue.expired')).toBe(257), SOON)
  })

  it('a peer that takes nothing costs a bounded queue, and its connection is replaced', async ({
    onTestFinished,
  }) => {
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const a = await peers.start()
    const deaf = await peers.stranger({ onStream: (stream) => stream.pause() })
    await deaf.connect(a)
    const id = deaf.node.peerId.toString() as NodeId
    await vi.waitFor(() => expect(a.network.connected()).toEqual([id]), SOON)
    for (let i = 0; i < 100; i++) a.network.send(id, new Uint8Array(100_000).fill(1))
    expect(a.count('network.queue.dropped')).toBeGreaterThan(50)
    await vi.waitFor(() => expect(a.network.connected()).toEqual([]), SOON)
  })

  it('a barred peer is gone and cannot come back, whoever dials, until it is barred no more', async ({
    onTestFinished,
  }) => {
    const peers = makePeers()
    onTestFinished(() => peers.end())
    let opened = 0
    const a = await peers.start()
    const b = await peers.start({ peers: [a.address], onConnected: () => opened++ })
    const c = await peers.start({ peers: [a.address] })
    await vi.waitFor(() => expect(a.network.connected()).toHaveLength(2), SOON)
    a.network.bar([b.id])
    await vi.waitFor(() => expect(a.network.connected()).toEqual([c.id]), SOON)
    // It dials again and again, and so would this side if it might.
    a.network.dial(b.id, [`/ip4/127.0.0.1/tcp/${b.address.split(':')[1]}`])
    // A refusal may reach it as a dial that fails, or as a connection that ends as soon as it is there.
    await vi.waitFor(() => {
      expect(opened + b.count('network.dial.failed')).toBeGreaterThan(3)
    }, SOON)
    expect(a.network.connected()).toEqual([c.id])
    a.network.bar([])
    await vi.waitFor(() => expect(a.network.connected()).toHaveLength(2), SOON)
  })

  it('a barred peer at a written address is found out in the handshake, and never connected', async ({
    onTestFinished,
  }) => {
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const opened: string[] = []
    const privateKey = await newKey()
    const listen = [`127.0.0.1:${await freePort()}`]
    const b = await peers.start({ privateKey, listen })
    await b.network.stop()
    const a = await peers.start({ peers: listen, onConnected: (peer) => opened.push(peer) })
    a.network.bar([b.id])
    const again = await peers.start({ privateKey, listen })
    const failed = a.count('network.dial.failed')
    await vi.waitFor(() => expect(a.count('network.dial.failed')).toBeGreaterThan(failed + 2), SOON)
    expect([opened, again.network.connected()]).toEqual([[], []])
    a.network.bar([])
    await vi.waitFor(() => expect(opened).toEqual([b.id]), SOON)
  })

  it('a written peer that nobody answers for is named with the reason', async ({ onTestFinished }) => {
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const port = await freePort()
    const a = await peers.start({ peers: [`127.0.0.1:${port}`] })
    expect(a.network.problems()).toEqual([])
    await vi.waitFor(() => expect(a.network.problems()).toHaveLength(1), SOON)
    const [problem] = a.network.problems()
    expect(problem?.code).toBe('network.peer-unreachable')
    expect(problem?.message).toMatch(`127.0.0.1:${port} (connection refused, since 20`)
  })

  it('a peer that is killed and comes back is connected again', async ({ onTestFinished }) => {
    const agents = makeAgents()
    onTestFinished(() => agents.end())
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const a = await peers.start()
    const b = await agents.agent({ listen: [`127.0.0.1:${await freePort()}`], peers: [a.address] })
    await b.start()
    await vi.waitFor(() => expect(a.network.connected()).toEqual([b.id()]), SOON)
    await b.signal('SIGKILL')
    await vi.waitFor(() => expect(a.network.connected()).toEqual([]), SOON)
    await b.start()
    await vi.waitFor(() => expect(b.connected()).toEqual([a.id]), SOON)
  })

  it('a peer that was away without a word is dialled when it is back', async ({ onTestFinished }) => {
    const agents = makeAgents()
    onTestFinished(() => agents.end())
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const port = await freePort()
    // Only this side knows an address, so that only this side can dial.
    const a = await peers.start({ peers: [`127.0.0.1:${port}`] })
    const b = await agents.agent({ listen: [`127.0.0.1:${port}`] })
    await b.start()
    await vi.waitFor(() => expect(b.connected()).toEqual([a.id]), SOON)
  })

  it.each(['in the middle of a talk', 'before a word was said'])(
    'a connection that dies in silence (%s) is replaced',
    async (when) => {
      const agents = makeAgents()
      onTestFinished(() => agents.end())
      const peers = makePeers()
      onTestFinished(() => peers.end())
      const a = await peers.start()
      const b = await agents.agent({ listen: [`127.0.0.1:${await freePort()}`], peers: [a.address] })
      await b.start()
      await vi.waitFor(() => expect(a.network.connected()).toEqual([b.id()]), SOON)
      if (when.includes('middle')) {
        a.network.send(b.id(), bytes('hello'))
        await vi.waitFor(() => expect(b.messages()).toEqual(['hello']), SOON)
      }
      // The kernel still takes the bytes, nobody reads them.
      await b.signal('SIGSTOP')
      a.network.send(b.id(), bytes('anybody there?'))
      await vi.waitFor(() => expect(a.count('network.connection.silent')).toBe(1), SOON)
      expect(a.network.connected()).toEqual([])
      await b.signal('SIGCONT')
      await vi.waitFor(() => expect(a.network.connected()).toEqual([b.id()]), SOON)
      a.network.send(b.id(), bytes('again'))
      await vi.waitFor(() => expect(b.messages()).toContain('again'), SOON)
    },
  )

  it('who only listens is not taken for dead', async ({ onTestFinished }) => {
    const peers = makePeers()
    onTestFinished(() => peers.end())
    const a = await peers.start()
    const b = await peers.start({ peers: [a.address] })
    await vi.waitFor(() => expect(a.network.connected()).toEqual([b.id]), SOON)
    for (let i = 0; i < 8; i++) {
      a.network.send(b.id, bytes(`${i}`))
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    }
    expect(b.received).toHaveLength(8)
    expect(a.received).toHaveLength(0)
    expect(a.network.connected()).toEqual([b.id])
    expect(a.count('network.connection.silent')).toBe(0)
  })
})
