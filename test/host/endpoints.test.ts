import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { addressesEvent } from '../../src/host/endpoints.ts'

const event = (...addresses: string[]) => {
  const made = addressesEvent(
    addresses.map((text) => multiaddr(text)),
    51_871,
  )
  if (made.kind !== 'addresses') throw new Error(made.kind)
  return made
}

describe('the addresses of a machine', () => {
  it('become one WireGuard endpoint for each IP, in brackets where it is IPv6', () => {
    const { endpoints } = event(
      '/ip4/192.0.2.1/tcp/7946',
      '/ip4/192.0.2.1/tcp/7947',
      '/ip6/2001:db8::1/tcp/7946',
    )
    expect(endpoints).toEqual(['192.0.2.1:51871', '[2001:db8::1]:51871'])
  })

  it('name the first IPv4 as that of the local network', () => {
    expect(event('/ip6/2001:db8::1/tcp/1', '/ip4/192.0.2.1/tcp/1').lanAddress).toBe('192.0.2.1')
    expect(event('/ip6/2001:db8::1/tcp/1').lanAddress).toBe('2001:db8::1')
    expect(event().lanAddress).toBeNull()
  })

  it('stay within what a record holds', () => {
    const { addresses, endpoints } = event(
      ...Array.from({ length: 100 }, (_, i) => `/ip4/192.0.2.${i}/tcp/7946`),
    )
    expect(addresses).toHaveLength(32)
    expect(endpoints).toHaveLength(16)
  })
})
