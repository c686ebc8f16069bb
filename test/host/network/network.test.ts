import { encode } from 'it-length-prefixed'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { NodeId } from '../../../src/core/ids.ts'
import { MESSAGE_BYTES_MAX } from '../../../src/core/protocol.ts'
import { NetworkError } from '../../../src/host/network/errors.ts'
import { bytes, freePort, makePeers, newKey, type Peer, pskOf, text } from './peers.ts'

const peers = makePeers()
afterEach(() => peers.end())

/** Before what is waited for counts as missing: no statement about speed. */
const SOON = { timeout: 30_000, interval: 20 }

const connectedTo = (peer: Peer): NodeId[] => [...peer.network.connected()].sort()
const ids = (...all: Peer[]): NodeId[] => all.map((peer) => peer.id).sort()
const heard = (peer: Peer): string[] => peer.received.map((message) => text(message.bytes))

describe('the network', { timeout: 60_000 }, () => {
  it('two nodes with the same token connect and talk, each message in its order', async () => {
    const seen: string[] = []
    const a = await peers.start({
      onConnected: (peer, addresses) => seen.push(`${peer} ${addresses.length}`),
    })
    const b = await peers.start({ peers: [a.address] })
    await vi.waitFor(() => expect(connectedTo(a)).toEqual(ids(b)), SOON)
    expect(seen).toEqual([`${b.id} 1`])
    for (let i = 0; i < 200; i++) {
      a.network.send(b.id, bytes(`a${i}`))
      b.network.send(a.id, bytes(`b${i}`))
    }
    await vi.waitFor(() => expect(heard(a)).toHaveLength(200), SOON)
    await vi.waitFor(() => expect(heard(b)).toHaveLength(200), SOON)
    expect(heard(a)).toEqual(Array.from({ length: 200 }, (_, i) => `b${i}`))
    expect(heard(b)).toEqual(Array.from({ length: 200 }, (_, i) => `a${i}`))
    expect(a.received[0]?.from).toBe(b.id)
  })

  it('a node with another token sees nothing, and both sides can tell why', async () => {
    const a = await peers.start()
    const other = await peers.start({ token: 8, peers: [a.address] })
    await vi.waitFor(() => expect(a.count('network.stranger')).toBeGreaterThan(0), SOON)
    await vi.waitFor(() => expect(other.network.problems()).toHaveLength(1), SOON)
    expect(other.network.problems()[0]).toMatchObject({ code: 'network.peer-refused' })
    expect(other.network.problems()[0]?.message).toContain(a.address)
    expect([a.network.connected(), other.network.connected()]).toEqual([[], []])
    expect(a.log.filter(({ event }) => event === 'network.stranger')).toHaveLength(1)
    const c = await peers.start({ peers: [a.address] })
    await vi.waitFor(() => expect(connectedTo(c)).toEqual(ids(a)), SOON)
  })

  it('nodes that dial each other at the same moment keep one connection, and lose no message', async () => {
    const keys = await Promise.all([newKey(), newKey()])
    const ports = await Promise.all([freePort(), freePort()])
    const [a, b] = await Promise.all(
      keys.map((privateKey, i) =>
        peers.start({
          privateKey,
          listen: [`127.0.0.1:${ports[i]}`],
          peers: ports.map((port) => `127.0.0.1:${port}`),
        }),
      ),
    )
    if (a === undefined || b === undefined) throw new Error('two keys, two peers')
    await vi.waitFor(() => expect([connectedTo(a), connectedTo(b)]).toEqual([[b.id], [a.id]]), SOON)
    for (let i = 0; i < 50; i++) {
      a.network.send(b.id, bytes(`${i}`))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await vi.waitFor(() => expect(heard(b)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`)), SOON)
    expect([a.network.problems(), b.network.problems()]).toEqual([[], []])
  })

  it('a list that names oneself is no problem, nor dialled again and again', async () => {
    const [port, closed] = [await freePort(), await freePort()]
    const failures: unknown[] = []
    const a = await peers.start({
      listen: [`127.0.0.1:${port}`],
      peers: [`127.0.0.1:${port}`, `127.0.0.1:${closed}`],
      count: (name, labels) => {
        if (name === 'network.dial.failed') failures.push(labels?.kind)
      },
    })
    const b = await peers.start({ peers: [`127.0.0.1:${port}`] })
    await vi.waitFor(() => expect(connectedTo(b)).toEqual(ids(a)), SOON)
    // The other of the list has its turn as often.
    await vi.waitFor(() => expect(failures.length).toBeGreaterThan(2), SOON)
    expect(new Set(failures)).toEqual(new Set(['unreachable']))
    expect(a.network.problems().filter(({ message }) => message.includes(`:${port}`))).toEqual([])
  })

  it('a message to a peer that is not connected waits while it is dialled', async () => {
    const b = await peers.start()
    const a = await peers.start()
    a.network.send(b.id, bytes('first'))
    a.network.dial(b.id, [`/ip4/127.0.0.1/tcp/${b.address.split(':')[1]}`])
    a.network.send(b.id, bytes('second'))
    await vi.waitFor(() => expect(heard(b)).toEqual(['first', 'second']), SOON)
  })

  it('a frame beyond the limit ends the connection for a while, nothing else', async () => {
    const a = await peers.start()
    const friend = await peers.start({ peers: [a.address] })
    const foe = await peers.stranger()
    const stream = await foe.stream(a)
    stream.send(encode.single(bytes('fine')))
    stream.send(encode.single(new Uint8Array(MESSAGE_BYTES_MAX + 1)))
    await vi.waitFor(() => expect(a.count('network.frame.oversized')).toBe(1), SOON)
    await vi.waitFor(() => expect(connectedTo(a)).toEqual(ids(friend)), SOON)
    await foe.connect(a).catch(() => undefined)
    await vi.waitFor(() => expect(foe.node.getConnections()).toEqual([]), SOON)
    expect(heard(a)).toEqual(['fine'])
    friend.network.send(a.id, bytes('still here'))
    await vi.waitFor(() => expect(heard(a)).toEqual(['fine', 'still here']), SOON)
  })

  it.each([
    ['a length that never ends', new Uint8Array(32).fill(0xff)],
    ['text', bytes('GET / HTTP/1.1\r\n\r\n')],
    ['half a frame', new Uint8Array([100, 1, 2, 3])],
  ])('garbage for frames (%s) is counted, told, and harms nobody', async (_what, garbage) => {
    const a = await peers.start()
    const foe = await peers.stranger()
    const stream = await foe.stream(a)
    stream.send(garbage)
    await stream.close().catch(() => undefined)
    await vi.waitFor(() => expect(a.count('network.frame.malformed')).toBe(1), SOON)
    expect(a.log).toContainEqual({ level: 'warn', event: 'network.frame.malformed' })
    const friend = await peers.start({ peers: [a.address] })
    friend.network.send(a.id, bytes('hello'))
    await vi.waitFor(() => expect(heard(a)).toContain('hello'), SOON)
    expect(a.log.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('a handler that fails is told, and the network goes on', async () => {
    const a = await peers.start({
      onMessage: () => {
        throw new Error('a bug')
      },
    })
    const b = await peers.start({ peers: [a.address] })
    b.network.send(a.id, bytes('x'))
    await vi.waitFor(
      () => expect(a.log).toContainEqual({ level: 'error', event: 'network.handler.failed' }),
      SOON,
    )
    expect(connectedTo(a)).toEqual(ids(b))
  })

  it('a flood of messages is cut short and counted', async () => {
    const a = await peers.start()
    const foe = await peers.stranger()
    const stream = await foe.stream(a)
    const frame = encode.single(bytes('flood')).subarray()
    const flood = Buffer.concat(Array.from({ length: 20_000 }, () => frame))
    const startedAt = performance.now()
    stream.send(flood)
    await vi.waitFor(() => expect(a.received.length + a.count('network.message.flood')).toBe(20_000), SOON)
    const seconds = (performance.now() - startedAt) / 1_000
    expect(a.received.length).toBeGreaterThanOrEqual(1_000)
    expect(a.received.length).toBeLessThanOrEqual(1_000 + 500 * seconds + 1)
    expect(a.log.filter(({ event }) => event === 'network.message.flood')).toHaveLength(1)
  })

  it('a flood of bytes has to wait', async () => {
    const a = await peers.start()
    const foe = await peers.stranger()
    const stream = await foe.stream(a)
    const startedAt = performance.now()
    const frame = encode.single(new Uint8Array(MESSAGE_BYTES_MAX)).subarray()
    for (let i = 0; i < 24; i++) stream.send(frame)
    await vi.waitFor(() => expect(a.received.length).toBe(24), SOON)
    expect(performance.now() - startedAt).toBeGreaterThan(900)
  })

  it('a port that is taken is named, and so is an address of another machine', async () => {
    const a = await peers.start()
    const port = a.address.split(':')[1]
    const taken = await peers.start({ listen: [a.address] }).catch((error: unknown) => error)
    expect(taken).toBeInstanceOf(NetworkError)
    expect(taken).toMatchObject({ code: 'MUSTER_E_PORT_TAKEN' })
    expect(String(taken)).toContain(`TCP port ${port} is taken`)
    const foreign = await peers.start({ listen: ['203.0.113.7:7946'] }).catch((error: unknown) => error)
    expect(foreign).toMatchObject({ code: 'MUSTER_E_LISTEN' })
    expect(String(foreign)).toContain('this machine does not have that address')
    await expect(peers.start({ listen: ['nowhere:port'] })).rejects.toMatchObject({
      code: 'MUSTER_E_ADDRESS',
    })
    await expect(peers.start({ peers: ['10.0.0'] })).rejects.toMatchObject({ code: 'MUSTER_E_ADDRESS' })
  })

  it('who was reached is remembered, who was only heard of is not', async () => {
    const b = await peers.start()
    const a = await peers.start({ peers: [b.address] })
    await vi.waitFor(() => expect(connectedTo(a)).toEqual(ids(b)), SOON)
    a.network.dial('12D3KooWLPwjdiBPdzh6tbB21ZBoCxPfxhzf64Thaaz1ZHTBrj9R' as NodeId, ['/ip4/127.0.0.1/tcp/9'])
    const known = a.network.known()
    expect(known).toEqual([{ id: b.id, addresses: b.network.addresses().map(String) }])
    await a.network.stop()
    const again = await peers.start({ remembered: known })
    await vi.waitFor(() => expect(connectedTo(again)).toEqual(ids(b)), SOON)
    expect(again.network.known()).toEqual(known)
  })

  it('addresses of the mesh are neither told nor dialled', async () => {
    const told: string[][] = []
    const a = await peers.start({
      excludedCidr: '127.0.0.2/32',
      listen: ['127.0.0.1:0', '127.0.0.2:0'],
      onAddresses: (addresses) => told.push(addresses.map(String)),
    })
    expect(told).toEqual([a.network.addresses().map(String)])
    expect(told[0]).toHaveLength(1)
    const b = await peers.start({ listen: ['127.0.0.2:0'] })
    const port = b.network.addresses()[0]?.getComponents()[1]?.value
    a.network.dial(b.id, [`/ip4/127.0.0.2/tcp/${port}`])
    // Whoever is dialled later is there, one after the other.
    const others = [await peers.start(), await peers.start()]
    for (const other of others) {
      a.network.dial(other.id, [`/ip4/127.0.0.1/tcp/${other.address.split(':')[1]}`])
      await vi.waitFor(() => expect(connectedTo(a)).toContain(other.id), SOON)
    }
    expect(connectedTo(a)).toEqual(ids(...others))
  })

  it('stopping ends everything, in the middle of things too', async () => {
    const a = await peers.start({ dht: true })
    const b = await peers.start({ dht: true, peers: [a.address, '127.0.0.1:9'] })
    await vi.waitFor(() => expect(connectedTo(a)).toEqual(ids(b)), SOON)
    a.network.publish('/muster/leader/x', bytes('x'))
    const lookup = b.network.lookup('/muster/leader/y')
    for (let i = 0; i < 50; i++) b.network.send(a.id, new Uint8Array(MESSAGE_BYTES_MAX))
    await b.network.stop()
    expect(await lookup).toEqual([])
    await vi.waitFor(() => expect(connectedTo(a)).toEqual([]), SOON)
    b.network.send(a.id, bytes('after the end'))
    b.network.dial(a.id, [`/ip4/127.0.0.1/tcp/${a.address.split(':')[1]}`])
    await b.network.stop()
  })

  it('secrets are in no log, count or problem', async () => {
    const said: unknown[] = []
    const a = await peers.start({
      token: 171,
      peers: ['127.0.0.1:9'],
      log: (...all) => said.push(all),
      count: (...all) => said.push(all),
    })
    await vi.waitFor(() => expect(said.length).toBeGreaterThan(0), SOON)
    const all = JSON.stringify([said, a.network.problems(), a.network.known()])
    const psk = Buffer.from(pskOf(171))
    for (const encoding of ['hex', 'base64', 'base64url'] as const) {
      expect(all).not.toContain(psk.toString(encoding).slice(0, 16))
    }
  })
})
