import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NAME_PATTERN } from '../../src/core/record.ts'
import { nodeName } from '../../src/host/claim.ts'

describe('the name of a node', () => {
  it.each([
    ['node-1', 'node-1'],
    ['Node-1.shop.example.org', 'node-1'],
    ['my_box', 'my-box'],
    ['-edge-', 'edge'],
    ['', 'node'],
    ['localhost', 'node'],
    ['localhost.localdomain', 'node'],
    ['...', 'node'],
  ])('of the host %j is %j', (host, name) => {
    expect(nodeName(host)).toBe(name)
  })

  it('is a DNS label, whatever the host is called', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (host) => {
        expect(nodeName(host)).toMatch(NAME_PATTERN)
      }),
    )
  })
})
