import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { found, needleOfBytes, needleOfText, ProcessWatch } from '../../sim/compose/secrets.ts'

describe('the search for secrets', () => {
  const key = randomBytes(32)
  const needles = [needleOfBytes('the key', key), needleOfText('the token', 'muster1Secret')]

  it.each(['hex', 'base64', 'base64url'] as const)('finds a key written as %s', (encoding) => {
    expect(found(needles, `a ${key.toString(encoding)} b`)).toEqual(['the key'])
    expect(found(needles, randomBytes(32).toString(encoding))).toEqual([])
  })

  it.each([1, 2, 3, 4])('finds a key %i bytes deep in something longer', (before) => {
    const whole = Buffer.concat([randomBytes(before), key, randomBytes(5)])
    expect(found(needles, whole.toString('base64'))).toEqual(['the key'])
  })

  it('finds a token in a sentence, and both where both are', () => {
    const text = `token muster1Secret, key ${key.toString('hex').toUpperCase()}`
    expect(found(needles, text)).toEqual(['the key', 'the token'])
    expect(found(needles, 'muster1Other')).toEqual([])
  })

  it('sees command lines and environments of processes', async () => {
    const watch = new ProcessWatch()
    const seen = (await watch.texts()).join('\n')
    const mark = process.env.PATH
    expect(mark).toBeDefined()
    expect(seen).toContain(process.execPath)
    expect(seen).toContain(`PATH=${mark}`)
  })
})
