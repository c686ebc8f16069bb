import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  dialable,
  formatAddress,
  isNear,
  isWithin,
  parseAddress,
  peerIdOf,
  readMultiaddr,
  withoutPeerId,
} from '../../../src/host/network/addresses.ts'
import { NetworkError } from '../../../src/host/network/errors.ts'

const ID = '12D3KooWLPwjdiBPdzh6tbB21ZBoCxPfxhzf64Thaaz1ZHTBrj9R'
const port = fc.integer({ min: 0, max: 65_535 })

const codeOf = (text: string): string => {
  try {
    return parseAddress(text).toString()
  } catch (error) {
    if (error instanceof NetworkError) return error.code
    throw error
  }
}

describe('addresses', () => {
  it('an address may be written in all the usual ways', () => {
    expect(codeOf('10.0.0.9')).toBe('/ip4/10.0.0.9/tcp/7946')
    expect(codeOf('10.0.0.9:80')).toBe('/ip4/10.0.0.9/tcp/80')
    expect(codeOf('fd00::9')).toBe('/ip6/fd00::9/tcp/7946')
    expect(codeOf('[fd00::9]:80')).toBe('/ip6/fd00::9/tcp/80')
    expect(codeOf('box-3.shop')).toBe('/dns/box-3.shop/tcp/7946')
    expect(codeOf('box-3.shop:80')).toBe('/dns/box-3.shop/tcp/80')
    expect(codeOf('node_1')).toBe('/dns/node_1/tcp/7946')
    expect(codeOf(`/ip4/10.0.0.9/tcp/80/p2p/${ID}`)).toBe(`/ip4/10.0.0.9/tcp/80/p2p/${ID}`)
  })

  it.each([
    ['', 'nothing'],
    ['10.0.0', 'an IP with a number missing'],
    ['10.0.0.256', 'an IP out of range'],
    ['10.0.0.9:70000', 'a port out of range'],
    ['10.0.0.9:', 'a port missing'],
    ['host:name', 'a word for a port'],
    ['[10.0.0.9]:80', 'IPv4 in brackets'],
    ['[fd00::9', 'an open bracket'],
    ['two words', 'a space'],
    ['-box', 'a leading hyphen'],
    ['http://box', 'a URL'],
    ['/ip4/10.0.0.9', 'a multiaddr without a port'],
    ['/ip4/10.0.0.9/udp/80/quic-v1', 'a transport that muster does not speak'],
    ['/ip4/10.0.0.9/tcp/80/p2p/nobody', 'an ID that is none'],
    ['x'.repeat(300), 'a name too long'],
  ])('%j is refused (%s)', (words) => {
    expect(codeOf(words)).toBe('MUSTER_E_ADDRESS')
  })

  it('any IP and port reads back as it was formatted', () => {
    const ip = fc.oneof(
      fc.ipV4(),
      fc.ipV6().filter((words) => !words.includes('.')),
    )
    fc.assert(
      fc.property(ip, port, (words, number) => {
        const written = words.includes(':') ? `[${words}]:${number}` : `${words}:${number}`
        const address = parseAddress(written)
        expect(parseAddress(formatAddress(address)).equals(address)).toBe(true)
        expect(readMultiaddr(address.toString())?.equals(address)).toBe(true)
      }),
    )
  })

  it('any text is an address or a NetworkError, never another failure', () => {
    const words = fc.oneof(
      fc.string({ maxLength: 80 }),
      fc.string({ maxLength: 80, unit: fc.constantFrom(...'0189.:[]/abz-_%ip4tcp6') }),
    )
    fc.assert(
      fc.property(words, (written) => {
        expect(codeOf(written)).toMatch(/^(\/|MUSTER_E_ADDRESS$)/)
        expect(() => readMultiaddr(written)).not.toThrow()
      }),
    )
  })

  it('the peer ID comes off and nothing else', () => {
    fc.assert(
      fc.property(fc.ipV4(), port, (ip, number) => {
        const plain = multiaddr(`/ip4/${ip}/tcp/${number}`)
        const full = plain.encapsulate(`/p2p/${ID}`)
        expect(peerIdOf(full)).toBe(ID)
        expect(withoutPeerId(full).equals(plain)).toBe(true)
        expect(withoutPeerId(plain).equals(plain)).toBe(true)
      }),
    )
  })

  it('others are told neither mesh nor link-local addresses, and loopback only where there is nothing else', () => {
    const addresses = ['127.0.0.1', '169.254.3.3', '10.86.0.4', '192.168.1.5'].map((ip) => parseAddress(ip))
    expect(dialable(addresses, '10.86.0.0/16').map(formatAddress)).toEqual(['192.168.1.5:7946'])
    expect(dialable(addresses.slice(0, 3), '10.86.0.0/16').map(formatAddress)).toEqual(['127.0.0.1:7946'])
    expect(isWithin('::ffff:10.86.0.4', '10.86.0.0/16')).toBe(true)
    expect(isWithin('fd00::1', '10.86.0.0/16')).toBe(false)
    expect(isNear('127.0.0.9')).toBe(true)
    expect(isNear('203.0.113.9')).toBe(false)
  })
})
