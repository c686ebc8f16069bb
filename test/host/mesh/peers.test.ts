import { describe, expect, it } from 'vitest'
import { nodeId } from '../../../src/core/ids.ts'
import type { MeshOrder, MeshPeer } from '../../../src/core/orders.ts'
import { keyText } from '../../../src/host/mesh/keys.ts'
import { usablePeers } from '../../../src/host/mesh/peers.ts'

const keyOf = (number: number) => new Uint8Array(32).fill(number)
const peer = (number: number, changes: Partial<MeshPeer> = {}): MeshPeer => ({
  id: nodeId(`n${number}`),
  name: `n${number}`,
  address: `10.86.0.${number}`,
  wireguardKey: keyOf(number),
  endpoints: [`192.0.2.${number}:51871`],
  ...changes,
})
const order = (...peers: MeshPeer[]): MeshOrder => ({
  mode: 'wireguard',
  address: '10.86.0.1',
  cidr: '10.86.0.0/16',
  network: 'lab',
  peers,
})
const usable = (...peers: MeshPeer[]) => usablePeers(order(...peers), keyText(keyOf(1)))

describe('a peer', () => {
  it('is taken with its usable endpoints, each once, in their order', () => {
    const endpoints = ['192.0.2.9:1', 'localhost:1', '192.0.2.8:1', '[::ffff:192.0.2.9]:1']
    expect(usable(peer(2, { endpoints }))).toEqual({
      peers: [
        {
          id: 'n2',
          publicKey: keyText(keyOf(2)),
          address: '10.86.0.2',
          candidates: ['192.0.2.9:1', '192.0.2.8:1'],
        },
      ],
      refused: [],
    })
  })

  it.each([
    ['a short key', { wireguardKey: new Uint8Array(31) }],
    ['our own key', { wireguardKey: keyOf(1) }],
    ['another’s key', { wireguardKey: keyOf(2) }],
    ['our own address', { address: '10.86.0.1' }],
    ['another’s address', { address: '10.86.0.2' }],
    ['an address outside the range', { address: '10.87.0.3' }],
    ['an address that is none', { address: '10.86.0.3/8' }],
  ])('with %s is refused, and the others stay', (_, changes) => {
    const { peers, refused } = usable(peer(2), peer(3, changes), peer(4))
    expect(peers.map(({ id }) => id)).toEqual(['n2', 'n4'])
    expect(refused.map(({ id }) => id)).toEqual(['n3'])
  })
})
