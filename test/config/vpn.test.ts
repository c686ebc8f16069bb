import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidrFault, isPrivate, kubernetesFault, overlaps } from '../../src/config/vpn.ts'

describe('the range of the mesh', () => {
  it.each([
    '10.86.0.0/16',
    '10.128.0.0/9',
    '172.20.0.0/16',
    '192.168.77.0/24',
    '100.64.0.0/10',
    '10.44.0.0/14',
  ])('may be %s', (cidr) => {
    expect(cidrFault(cidr)).toBeNull()
    expect(isPrivate(cidr)).toBe(true)
  })

  it.each([
    ['10.86.0.0', /^must be an IPv4 prefix/],
    ['fd00::/8', /^must be an IPv4 prefix/],
    ['10.86.0.0/33', /^must be an IPv4 prefix/],
    ['10.86.0/16', /^must be an IPv4 prefix/],
    ['0x0a.86.0.0/16', /^must be an IPv4 prefix/],
    ['10.86.0.0/25', /^must be a prefix from \/8 to \/24, not \/25$/],
    ['8.0.0.0/7', /^must be a prefix from \/8 to \/24, not \/7$/],
    ['10.86.1.0/16', /^must begin with its network address: 10\.86\.0\.0\/16$/],
    ['127.0.0.0/8', /^overlaps with 127\.0\.0\.0\/8/],
    ['169.254.7.0/24', /^overlaps with 169\.254\.0\.0\/16/],
    ['224.1.0.0/16', /^overlaps with 224\.0\.0\.0\/4/],
  ])('must not be %s', (cidr, fault) => {
    expect(cidrFault(cidr)).toMatch(fault)
  })

  it.each([
    ['10.0.0.0/8', /^overlaps with 10\.42\.0\.0\/16, which Kubernetes takes for pods/],
    ['10.42.0.0/16', /^overlaps with 10\.42\.0\.0\/16/],
    ['10.43.128.0/24', /^overlaps with 10\.43\.0\.0\/16, which Kubernetes takes for services/],
    ['10.40.0.0/14', /^overlaps with 10\.42\.0\.0\/16/],
  ])('may be %s only where no Kubernetes is', (cidr, fault) => {
    expect(cidrFault(cidr)).toBeNull()
    expect(kubernetesFault(cidr)).toMatch(fault)
    expect(kubernetesFault('10.86.0.0/16')).toBeNull()
  })

  it('overlaps with what it is in, holds or is, and with nothing of IPv6', () => {
    expect(overlaps('10.86.0.0/16', '10.86.3.0/24')).toBe(true)
    expect(overlaps('10.86.3.0/24', '10.86.0.0/16')).toBe(true)
    expect(overlaps('10.86.3.7/32', '10.86.3.7/32')).toBe(true)
    expect(overlaps('10.86.0.0/16', '10.87.0.0/16')).toBe(false)
    expect(overlaps('10.86.0.0/16', 'fd00::/8')).toBe(false)
  })

  it('is private only where all of it is', () => {
    expect(cidrFault('172.0.0.0/8')).toBeNull()
    expect(isPrivate('172.0.0.0/8')).toBe(false)
    expect(isPrivate('8.8.0.0/16')).toBe(false)
  })

  it('is any text without an exception, and what passes is written in the one way', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 40 })).map(([ip, bits]) => `${ip}/${bits}`),
        ),
        (text) => {
          if (cidrFault(text) !== null) return
          expect(text).toMatch(/^[1-9]\d{0,2}\.\d{1,3}\.\d{1,3}\.0\/([89]|1\d|2[0-4])$/)
        },
      ),
    )
  })
})
