import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  hasAddress,
  type Link,
  linkChange,
  meshMtu,
  overlap,
  parseSurvey,
  type Route,
} from '../../../src/host/mesh/routes.ts'

const CIDR = '10.86.0.0/16'
const route = (dst: string, dev = 'eth0'): Route => ({ dst, dev })
const link = (ifname: string, mtu: number, ...addresses: [string, number][]): Link => ({
  ifname,
  mtu,
  flags: ['UP'],
  addr_info: addresses.map(([local, prefixlen]) => ({ family: 'inet', local, prefixlen })),
})

describe('a route overlaps the range', () => {
  it.each([['10.86.0.0/16'], ['10.86.3.0/24'], ['10.86.3.4'], ['10.0.0.0/8'], ['10.86.0.0/15']])(
    '%s',
    (dst) => {
      expect(overlap(CIDR, [route('default'), route(dst)], 'muster0')).toEqual(route(dst))
    },
  )

  it.each([
    ['default'],
    ['0.0.0.0/0'],
    ['10.87.0.0/16'],
    ['10.85.255.0/24'],
    ['192.168.0.0/16'],
    ['10.87.0.0'],
  ])('but not %s', (dst) => {
    expect(overlap(CIDR, [route(dst)], 'muster0')).toBeNull()
  })

  it('but not one through the mesh itself', () => {
    expect(overlap(CIDR, [route('10.86.0.0/16', 'muster0')], 'muster0')).toBeNull()
  })

  it('through several next hops too', () => {
    const several = { dst: '10.86.1.0/24', nexthops: [{ dev: 'eth0' }, { dev: 'eth1' }] }
    expect(overlap(CIDR, [several], 'muster0')).toEqual(several)
  })

  it('exactly where some address is in both', () => {
    const prefix = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 9, max: 24 }))
    const bits = (second: number, length: number) =>
      [10, second, 0, 0]
        .map((byte) => byte.toString(2).padStart(8, '0'))
        .join('')
        .slice(0, length)
    fc.assert(
      fc.property(prefix, prefix, ([a, aLength], [b, bLength]) => {
        const [x, y] = [bits(a, aLength), bits(b, bLength)]
        const found = overlap(`10.${a}.0.0/${aLength}`, [route(`10.${b}.0.0/${bLength}`)], 'muster0')
        expect(found !== null).toBe(x.startsWith(y) || y.startsWith(x))
      }),
    )
  })
})

describe('the MTU', () => {
  const links = [link('eth0', 1_500), link('ppp0', 1_400), link('jumbo', 9_000), link('muster0', 1_420)]
  const routes = [route('default', 'ppp0'), route('192.168.0.0/16', 'eth0'), route('10.9.0.0/16', 'jumbo')]
  const mtu = (...endpoints: string[]) => meshMtu(endpoints, { links, routes }, 'muster0')

  it('is the default where nothing is known, and on Ethernet, and never more', () => {
    expect(mtu()).toBe(1_420)
    expect(mtu('192.168.1.1:51871')).toBe(1_420)
    expect(mtu('10.9.1.1:51871')).toBe(1_420)
  })

  it('is the smallest link’s less 60 for IPv4 and 80 for IPv6', () => {
    expect(mtu('192.168.1.1:51871', '198.51.100.1:51871')).toBe(1_340)
    expect(mtu('[2001:db8::1]:51871')).toBe(1_320)
  })

  it('never falls below what IPv6 needs', () => {
    const tiny = { links: [link('eth0', 600)], routes: [route('default')] }
    expect(meshMtu(['198.51.100.1:51871'], tiny, 'muster0')).toBe(1_280)
  })
})

describe('the link', () => {
  it('gets address, MTU and up when it is new', () => {
    expect(linkChange('muster0', null, '10.86.0.1', CIDR, 1_420)).toEqual([
      'link set dev muster0 mtu 1420 up',
      'address add 10.86.0.1/16 dev muster0',
    ])
  })

  it('is left alone when it is right', () => {
    const right = link('muster0', 1_420, ['10.86.0.1', 16])
    expect(hasAddress(right, '10.86.0.1', CIDR)).toBe(true)
    expect(linkChange('muster0', right, '10.86.0.1', CIDR, 1_420)).toEqual([])
  })

  it('loses every other address', () => {
    const wrong = link('muster0', 1_420, ['10.86.0.1', 32], ['10.86.0.9', 16])
    expect(linkChange('muster0', wrong, '10.86.0.1', CIDR, 1_420)).toEqual([
      'address delete 10.86.0.1/32 dev muster0',
      'address delete 10.86.0.9/16 dev muster0',
      'address add 10.86.0.1/16 dev muster0',
    ])
  })
})

describe('a survey', () => {
  it('reads what ip prints, and skips entries without content', () => {
    const links = '[{"ifname":"lo","mtu":65536,"flags":["UP"],"addr_info":[]},{}]'
    const routes = '[{"type":"unicast","dst":"default","gateway":"192.0.2.1","dev":"eth0"}]'
    expect(parseSurvey(`${links}\n${routes}\n`)).toEqual({
      links: [{ ifname: 'lo', mtu: 65_536, flags: ['UP'], addr_info: [] }],
      routes: [{ type: 'unicast', dst: 'default', dev: 'eth0' }],
    })
    expect(parseSurvey(links)?.routes).toEqual([])
  })

  it('of anything else is null, never a throw', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseSurvey(text)))
    expect(parseSurvey('')).toBeNull()
    expect(parseSurvey('{"not":"a list"}')).toBeNull()
  })
})
