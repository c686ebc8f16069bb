/** What the ledger takes for right, and that nothing else passes. */
import { describe, expect, it } from 'vitest'
import { Ledger } from '../../sim/nemesis/ledger.ts'

/** A client that wrote 1 and 2 and did not learn the fate of 3, then wrote 1 to its next key. */
function written(): Ledger {
  const ledger = new Ledger()
  for (const value of ['1', '2', '3']) {
    expect(ledger.next('a')).toEqual({ key: 'nemesis/a/1', value })
    if (value === '3') ledger.failed('a')
    else ledger.acknowledged('a')
  }
  expect(ledger.next('a')).toEqual({ key: 'nemesis/a/2', value: '1' })
  ledger.acknowledged('a')
  return ledger
}

const judge = (content: Readonly<Record<string, string>>): string[] =>
  written().judge(new Map(Object.entries(content)))

describe('the end of a key', () => {
  it.for(['2', '3'])('may be %s: acknowledged last, or of unknown fate', (value) => {
    expect(judge({ 'nemesis/a/1': value, 'nemesis/a/2': '1' })).toEqual([])
  })

  it.for([
    ['an older value', { 'nemesis/a/1': '1', 'nemesis/a/2': '1' }, 'nemesis/a/1 is 1'],
    ['one that was never written', { 'nemesis/a/1': '4', 'nemesis/a/2': '1' }, 'nemesis/a/1 is 4'],
    ['a lost key', { 'nemesis/a/1': '2' }, 'nemesis/a/2 is not there'],
    ['a key of nobody', { 'nemesis/a/1': '2', 'nemesis/a/2': '1', 'nemesis/b/1': '1' }, 'nobody wrote'],
  ] as const)('is wrong with %s', ([, content, message]) => {
    expect(judge(content)).toEqual([expect.stringContaining(message)])
  })

  it('may be nothing where no write was acknowledged', () => {
    const ledger = new Ledger()
    ledger.next('a')
    ledger.failed('a')
    expect(ledger.judge(new Map())).toEqual([])
    expect(ledger.counts).toEqual({ acknowledged: 0, failed: 1, reads: 0 })
  })
})

it('a read of anything but the last acknowledged value is stale', () => {
  const ledger = new Ledger()
  ledger.next('a')
  ledger.acknowledged('a')
  ledger.read('a', '1')
  expect(ledger.staleReads).toEqual([])
  ledger.read('a', '')
  expect(ledger.staleReads).toHaveLength(1)
})
