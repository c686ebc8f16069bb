import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { capacityOf, meshAddress } from '../../src/core/addresses.ts'
import { nodeId } from '../../src/core/ids.ts'
import { uniqueName } from '../../src/core/names.ts'
import { NAME_PATTERN } from '../../src/core/record.ts'
import { chooseServers, serverTarget } from '../../src/core/roles.ts'
import { type Cast, cast } from './cast.ts'

describe('a name', () => {
  test('is the wish where it is free', () => {
    expect(uniqueName('shop', nodeId('12D3KooWabc'), new Set(['shop-1']))).toBe('shop')
  })

  test('is unique and a DNS label, whatever is wished and taken', () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
    const id = fc.stringMatching(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{20,44}$/)
    fc.assert(
      fc.property(label, fc.array(id, { minLength: 1, maxLength: 30 }), (wish, ids) => {
        const taken = new Set<string>()
        for (const each of ids) {
          const name = uniqueName(wish, nodeId(each), taken)
          expect(name).toMatch(NAME_PATTERN)
          expect(taken.has(name)).toBe(false)
          taken.add(name)
        }
      }),
    )
  })
})

describe('an address', () => {
  test('is the n-th of the prefix', () => {
    expect(meshAddress('10.86.0.0/16', 1)).toBe('10.86.0.1')
    expect(meshAddress('10.86.0.0/16', 256)).toBe('10.86.1.0')
    expect(meshAddress('192.168.255.0/24', 254)).toBe('192.168.255.254')
  })

  test.each([
    ['10.86.0.0/16', 65_534],
    ['10.86.0.0/24', 254],
    ['10.0.0.0/8', 16_777_214],
  ])('of %s is one of %i: without the network’s own and the broadcast address', (cidr, count) => {
    expect(capacityOf(cidr)).toBe(count)
  })
})

describe('the number of servers', () => {
  test.each([
    ['auto', 1, 1],
    ['auto', 2, 1],
    ['auto', 3, 3],
    ['auto', 6, 3],
    ['auto', 7, 5],
    ['auto', 100, 5],
    [3, 100, 3],
    [7, 100, 7],
  ] as const)('%s of %i machines is %i', (target, nodes, count) => {
    expect(serverTarget(target, nodes)).toBe(count)
  })

  test.each([
    [7, 6, 5],
    [5, 4, 3],
    [3, 2, 1],
    [7, 1, 1],
  ] as const)('wished %i of %i founders is %i: never an even one', async (target, count, servers) => {
    const stage: Cast = await cast({ count, expect: 9 })
    const ranked = stage.actors.map(({ id, claim }) => ({ node: id, claim }))
    expect(chooseServers(ranked, target)).toHaveLength(servers)
  })
})
