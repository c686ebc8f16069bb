/** Strangers on the LAN, and holders of the token that keep no rule: counted, told once, and of no effect. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { MESSAGE_PROTOCOL } from '../../../src/host/network/channels.ts'
import { bytes, makePeers, type Peer, type Peers, text } from './peers.ts'

/** Before what is waited for counts as missing: no statement about speed. */
const SOON = { timeout: 30_000, interval: 20 }
const MEBIBYTE = 1024 * 1024

interface Scene {
  readonly peers: Peers
  readonly victim: Peer
  readonly friend: Peer
}

const scene = it.extend<{ scene: Scene }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs
  scene: async ({}, use) => {
    const peers = makePeers()
    try {
      const victim = await peers.start()
      const friend = await peers.start({ peers: [victim.address] })
      await vi.waitFor(() => expect(victim.network.connected()).toEqual([friend.id]), SOON)
      await use({ peers, victim, friend })
    } finally {
      await peers.end()
    }
  },
})

/** The victim lives: what a friend says arrives, over the connection that it had before. */
async function isUnharmed({ victim, friend }: Scene): Promise<void> {
  const word = `word ${victim.received.length}`
  friend.network.send(victim.id, bytes(word))
  await vi.waitFor(() => expect(victim.received.map((message) => text(message.bytes))).toContain(word), SOON)
  expect(victim.network.connected()).toContain(friend.id)
  expect(victim.log.filter(({ level }) => level === 'error')).toEqual([])
}

async function knock(victim: Peer): Promise<Socket> {
  const [host, port] = victim.address.split(':')
  const socket = connect(Number(port), host)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.resume()
  return socket
}

/** A connection that is reset has closed as well. */
const closing = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.once('close', () => resolve())
  })

const told = (peer: Peer, event: string): number => peer.log.filter((entry) => entry.event === event).length

describe.concurrent('a stranger without the token', { timeout: 120_000 }, () => {
  scene.for<[string, Uint8Array]>([
    ['says nothing at all', new Uint8Array(0)],
    ['speaks HTTP', bytes('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['sends noise', crypto.getRandomValues(new Uint8Array(50_000))],
    ['sends half a nonce', new Uint8Array(12)],
  ])('that %s is put out, counted and told once', async ([, words], { scene }) => {
    const { victim } = scene
    const sockets = [await knock(victim), await knock(victim)]
    const closed = sockets.map(closing)
    for (const socket of sockets) socket.write(words)
    await Promise.all(closed)
    await vi.waitFor(() => expect(victim.count('network.stranger')).toBe(2), SOON)
    expect(told(victim, 'network.stranger')).toBe(1)
    await isUnharmed(scene)
  })

  scene('that sends without end is put out before it has cost memory', async ({ scene }) => {
    const { victim } = scene
    const socket = await knock(victim)
    const closed = closing(socket)
    const chunk = crypto.getRandomValues(new Uint8Array(60_000))
    const pour = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    }
    socket.on('drain', pour)
    pour()
    await closed
    expect(socket.bytesWritten - socket.writableLength).toBeLessThan(32 * MEBIBYTE)
    await vi.waitFor(() => expect(victim.count('network.stranger')).toBe(1), SOON)
    await isUnharmed(scene)
  })
})

describe.concurrent('a holder of the token', { timeout: 120_000 }, () => {
  scene('that opens streams without end gets a few', async ({ scene }) => {
    const { peers, victim } = scene
    const foe = await peers.stranger()
    const connection = await foe.connect(victim)
    const opened = await Promise.allSettled(
      Array.from({ length: 60 }, () => connection.newStream(MESSAGE_PROTOCOL, { maxOutboundStreams: 100 })),
    )
    const streams = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    await vi.waitFor(() => {
      expect(streams.filter(({ status }) => status === 'open').length).toBeLessThanOrEqual(4)
    }, SOON)
    await isUnharmed(scene)
  })

  scene('that breaks the framing again and again is told once', async ({ scene }) => {
    const { peers, victim } = scene
    const foe = await peers.stranger()
    const connection = await foe.connect(victim)
    const streams = await Promise.all(
      [1, 2, 3].map(() => connection.newStream(MESSAGE_PROTOCOL, { maxOutboundStreams: 9 })),
    )
    for (const stream of streams) stream.send(new Uint8Array(32).fill(0xff))
    await vi.waitFor(() => expect(victim.count('network.frame.malformed')).toBeGreaterThan(0), SOON)
    await vi.waitFor(() => expect(foe.node.getConnections()).toEqual([]), SOON)
    expect(told(victim, 'network.frame.malformed')).toBe(1)
    await isUnharmed(scene)
  })

  scene('that comes under many names disturbs nobody, and is forgotten when it goes', async ({ scene }) => {
    const { peers, victim } = scene
    const foes = await Promise.all(Array.from({ length: 20 }, () => peers.stranger()))
    await Promise.all(foes.map((foe) => foe.connect(victim)))
    await vi.waitFor(() => expect(victim.network.connected()).toHaveLength(21), SOON)
    await Promise.all(foes.map((foe) => foe.node.stop()))
    await vi.waitFor(() => expect(victim.network.connected()).toHaveLength(1), SOON)
    await isUnharmed(scene)
  })
})
