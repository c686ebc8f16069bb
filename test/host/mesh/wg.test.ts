import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KEEPALIVE_S } from '../../../src/host/mesh/timing.ts'
import { changeOf, type Dump, type DumpPeer, endpointOf, parseDump } from '../../../src/host/mesh/wg.ts'

const CIDR = '10.86.0.0/16'
const key = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('base64'))
/** Few of them, so that what is and what is wanted meet. */
const someKey = fc.constantFrom('A', 'B', 'C', 'D', 'E', 'F').map((letter) => `${letter.repeat(43)}=`)
const meshAddress = fc.integer({ min: 1, max: 6 }).map((number) => `10.86.0.${number}`)
const endpoint = fc.constantFrom('192.0.2.1:51871', '192.0.2.2:51871', '[2001:db8::1]:51871')
const peer = fc.record({
  endpoint: fc.option(endpoint, { nil: null }),
  allowedIps: fc.uniqueArray(
    meshAddress.map((address) => `${address}/32`),
    { maxLength: 3 },
  ),
  handshakeS: fc.option(fc.integer({ min: 1, max: 4_000_000_000 }), { nil: null }),
  keepaliveS: fc.constantFrom(0, 25, 60),
})
const dump = fc.record({
  publicKey: fc.option(someKey, { nil: null }),
  listenPort: fc.integer({ min: 0, max: 65_535 }),
  peers: fc.dictionary(someKey, peer).map((entries) => withoutShared(new Map(Object.entries(entries)))),
})
const wanted = fc.record({
  publicKey: someKey,
  listenPort: fc.integer({ min: 1, max: 65_535 }),
  peers: fc.uniqueArray(
    fc.record({ publicKey: someKey, address: meshAddress, endpoint: fc.option(endpoint, { nil: null }) }),
    // Every address belongs to one peer: src/host/mesh/peers.ts sees to it.
    { comparator: (a, b) => a.publicKey === b.publicKey || a.address === b.address },
  ),
})

describe('a dump', () => {
  it('is read as wg writes it', () => {
    fc.assert(
      fc.property(dump, key, (expected, secret) => {
        expect(parseDump(printDump(expected, secret))).toEqual(expected)
      }),
    )
  })

  it('gives neither private nor preshared keys away', () => {
    fc.assert(
      fc.property(dump, key, (state, secret) => {
        const parsed = parseDump(printDump(state, secret))
        expect(JSON.stringify([parsed, ...(parsed?.peers ?? [])])).not.toContain(secret)
      }),
    )
  })

  it('that is something else is null, never a throw', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseDump(text)))
    expect(parseDump('')).toBeNull()
    expect(parseDump('a\tb\tc\td\ne\tf')).toBeNull()
  })
})

describe('the change', () => {
  it('makes of any state the wanted one, and nothing is left to change', () => {
    fc.assert(
      fc.property(wanted, dump, (want, before) => {
        const after = applyArguments(before, changeOf(want, before).args, want.publicKey)
        expect(after.publicKey).toBe(want.publicKey)
        expect(after.listenPort).toBe(want.listenPort)
        expect([...after.peers.keys()].sort()).toEqual(want.peers.map((each) => each.publicKey).sort())
        for (const each of want.peers) {
          const is = after.peers.get(each.publicKey)
          expect(is?.allowedIps).toEqual([`${each.address}/32`])
          if (each.endpoint !== null) expect(is?.endpoint).toBe(each.endpoint)
          if ((is?.endpoint ?? null) !== null) expect(is?.keepaliveS).toBe(KEEPALIVE_S)
        }
        expect(changeOf(want, after)).toEqual({ args: [], needsKey: false })
      }),
    )
  })

  it('does not name a peer that is right, nor the port, whose setting reopens sockets', () => {
    fc.assert(
      fc.property(wanted, dump, someKey, (want, before, other) => {
        const right = applyArguments(before, changeOf(want, before).args, want.publicKey)
        const more = want.peers.filter((each) => each.publicKey !== other)
        const { args } = changeOf({ ...want, peers: more }, right)
        expect(args).toEqual(right.peers.has(other) ? ['peer', other, 'remove'] : [])
      }),
    )
  })
})

describe('an endpoint', () => {
  it.each([
    ['192.0.2.1:51871', '192.0.2.1:51871'],
    ['[2001:DB8:0::1]:51871', '[2001:db8::1]:51871'],
    ['[::ffff:192.0.2.1]:7', '192.0.2.1:7'],
  ])('%s is written as wg prints it', (text, printed) => {
    expect(endpointOf(text, CIDR)).toBe(printed)
  })

  it.each([
    ['a name, which wg would look up', 'example.test:51871'],
    ['this machine', '127.0.0.1:51871'],
    ['this machine, as IPv6', '[::1]:51871'],
    ['this machine, as IPv6 of IPv4', '[::ffff:127.0.0.1]:51871'],
    ['nowhere', '0.0.0.0:51871'],
    ['everyone', '255.255.255.255:51871'],
    ['a group', '224.0.0.251:5353'],
    ['a link without its interface', '[fe80::1]:51871'],
    ['the mesh itself', '10.86.3.4:51871'],
    ['no port', '192.0.2.1'],
    ['port 0', '192.0.2.1:0'],
    ['a port too high', '192.0.2.1:65536'],
    ['a short form', '10.1:51871'],
    ['an octal form', '0300.0.2.1:51871'],
    ['a second line', '192.0.2.1:51871\n'],
    ['an option', '--help:1'],
  ])('that is %s is none', (_, text) => {
    expect(endpointOf(text, CIDR)).toBeNull()
  })

  it('is one word of a few characters, or none, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.ipV4().map((ip) => `${ip}:1`),
          fc.ipV6().map((ip) => `[${ip}]:1`),
        ),
        (text) => {
          const result = endpointOf(text, CIDR)
          if (result === null) return
          expect(result).toMatch(/^([0-9.]+|\[[0-9a-f:]+\]):\d+$/)
          expect(endpointOf(result, CIDR)).toBe(result)
        },
      ),
    )
  })
})

/** WireGuard gives an address to one peer at a time: here to the first. */
function withoutShared(peers: Map<string, DumpPeer>): Map<string, DumpPeer> {
  const taken = new Set<string>()
  for (const [publicKey, is] of peers) {
    const allowedIps = is.allowedIps.filter((address) => !taken.has(address))
    for (const address of allowedIps) taken.add(address)
    peers.set(publicKey, { ...is, allowedIps })
  }
  return peers
}

function printDump({ publicKey, listenPort, peers }: Dump, secret: string): string {
  const own = [secret, publicKey ?? '(none)', `${listenPort}`, 'off'].join('\t')
  const lines = [...peers].map(([publicKeyOfPeer, is]) =>
    [
      publicKeyOfPeer,
      secret,
      is.endpoint ?? '(none)',
      is.allowedIps.join(',') || '(none)',
      `${is.handshakeS ?? 0}`,
      '1',
      '2',
      is.keepaliveS === 0 ? 'off' : `${is.keepaliveS}`,
    ].join('\t'),
  )
  return [own, ...lines, ''].join('\n')
}

/** What `wg set` makes of the arguments (wg(8)): an address that one peer gets is taken from the one that had it. */
function applyArguments(before: Dump, args: readonly string[], publicKey: string): Dump {
  let own = before.publicKey
  let listenPort = before.listenPort
  const peers = new Map<string, DumpPeer>(before.peers)
  let current = ''
  for (let index = 0; index < args.length; index += 1) {
    const value = args[index + 1] ?? ''
    const is = peers.get(current) ?? { endpoint: null, allowedIps: [], handshakeS: null, keepaliveS: 0 }
    switch (args[index]) {
      case 'private-key':
        own = publicKey
        break
      case 'listen-port':
        listenPort = Number(value)
        break
      case 'peer':
        current = value
        break
      case 'remove':
        peers.delete(current)
        continue
      case 'allowed-ips':
        for (const [other, old] of peers) {
          peers.set(other, { ...old, allowedIps: old.allowedIps.filter((address) => address !== value) })
        }
        peers.set(current, { ...is, allowedIps: [value] })
        break
      case 'endpoint':
        peers.set(current, { ...is, endpoint: value })
        break
      case 'persistent-keepalive':
        peers.set(current, { ...is, keepaliveS: Number(value) })
        break
      default:
        throw new Error(`wg set does not know ${args[index]}`)
    }
    index += 1
  }
  return { publicKey: own, listenPort, peers }
}
