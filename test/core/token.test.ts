import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, test } from 'vitest'
import { digest } from '../../src/core/ids.ts'
import {
  deriveKeys,
  encodeToken,
  foreignToken,
  makeToken,
  parseToken,
  pinToken,
  TokenError,
  type TokenFault,
} from '../../src/core/token.ts'

const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i)
const PIN = 'ab'.repeat(32)
const token = () => makeToken(SECRET, 3, 'shop-12', null)

/** A token as another program might make it: any body, with a right checksum. */
const textOf = (body: Uint8Array): string =>
  `muster1${base58btc.baseEncode(concatBytes(body, sha256(concatBytes(utf8ToBytes('muster1'), body)).slice(0, 4)))}`
const bodyOf = (version: number, expected: number, name: string, rest: Uint8Array = new Uint8Array()) =>
  concatBytes(
    Uint8Array.of(version),
    SECRET,
    Uint8Array.of(expected >> 8, expected & 255, name.length),
    utf8ToBytes(name),
    rest,
  )

function faultOf(run: () => unknown): TokenFault {
  try {
    run()
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    expect(error.code).toBe('MUSTER_E_TOKEN')
    expect(error.message).not.toBe('')
    expect(error.hint).not.toBe('')
    return error.fault
  }
  throw new Error('it is a token')
}

const anyLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
const anyToken = fc
  .tuple(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc.option(fc.integer({ min: 1, max: 512 })),
    anyLabel,
    fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 })),
  )
  .map(([secret, expected, network, pin]) =>
    makeToken(secret, expected, network, pin === null ? null : digest(Buffer.from(pin).toString('hex'))),
  )

describe('a token', () => {
  test('says the same after it was written and read, whatever is in it', () => {
    fc.assert(
      fc.property(anyToken, (made) => {
        const read = parseToken(encodeToken(made))
        expect(read.secret.reveal()).toEqual(made.secret.reveal())
        expect({ ...read, secret: null }).toEqual({ ...made, secret: null })
      }),
    )
  })

  test('of these parts is this text for ever', () => {
    expect(encodeToken(token())).toBe(
      'muster1UxaSmnpDSo2RwC3PYK4VWBK38eLakvmRmtob4EeTmK1K1SXxSam3Xjxu3yJcFSc',
    )
  })

  test('is read with white space around it', () => {
    expect(parseToken(`  ${encodeToken(token())}\n`).network).toBe('shop-12')
  })

  test('does not survive any one changed character', () => {
    fc.assert(
      fc.property(anyToken, fc.nat(), fc.nat(), (made, at, by) => {
        const text = encodeToken(made)
        const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
        const place = 7 + (at % (text.length - 7))
        const old = alphabet.indexOf(text[place] ?? '')
        const other = alphabet[(old + 1 + (by % 57)) % 58] ?? ''
        const faults: TokenFault[] = ['checksum']
        expect(faults).toContain(
          faultOf(() => parseToken(text.slice(0, place) + other + text.slice(place + 1))),
        )
      }),
    )
  })

  test('throws nothing but its own error, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((rest) => `muster1${rest}`),
        ),
        (text) => {
          try {
            parseToken(text)
          } catch (error) {
            expect(error).toBeInstanceOf(TokenError)
          }
        },
      ),
    )
  })

  test('throws nothing but its own error, whatever is under a right checksum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        try {
          parseToken(textOf(Uint8Array.from([1, ...body])))
        } catch (error) {
          expect(error).toBeInstanceOf(TokenError)
        }
      }),
    )
  })

  test('is not shown by accident', () => {
    const shown = `${token().secret} ${JSON.stringify(token())}`
    expect(shown).toContain('[secret]')
    expect(shown).not.toContain('0,1,2')
  })
})

describe('the fault of a text', () => {
  test.each<[string, string, TokenFault]>([
    ['that is empty', '', 'not-a-token'],
    ['of another program', 'b3RwOgogIGRodDo=', 'not-a-token'],
    ['that is far too long', `muster1${'z'.repeat(600)}`, 'not-a-token'],
    ['with a character that no token has', `${encodeToken(token())}0`, 'not-a-token'],
    ['that lost its end', encodeToken(token()).slice(0, -1), 'checksum'],
    ['of a later version', textOf(bodyOf(2, 3, 'shop')), 'version'],
    ['that expects too many', textOf(bodyOf(1, 513, 'shop')), 'expect'],
    ['whose network is no name', textOf(bodyOf(1, 3, 'Shop_1')), 'network'],
    ['that ends within its name', textOf(bodyOf(1, 3, 'shop').slice(0, -1)), 'truncated'],
    ['that ends before its name', textOf(bodyOf(1, 3, '').slice(0, -1)), 'truncated'],
    ['with half a pin', textOf(bodyOf(1, 3, 'shop', new Uint8Array(16))), 'truncated'],
  ])('%s is named', (_what, text, fault) => {
    expect(faultOf(() => parseToken(text))).toBe(fault)
  })

  test('in making one is named too', () => {
    expect(faultOf(() => makeToken(new Uint8Array(31), 3, 'shop', null))).toBe('truncated')
    expect(faultOf(() => makeToken(SECRET, 0, 'shop', null))).toBe('expect')
    expect(faultOf(() => makeToken(SECRET, 1.5, 'shop', null))).toBe('expect')
    expect(faultOf(() => makeToken(SECRET, 3, '-shop', null))).toBe('network')
    expect(faultOf(() => pinToken(token(), PIN.slice(1)))).toBe('pin')
    expect(faultOf(() => pinToken(token(), PIN.toUpperCase()))).toBe('pin')
  })
})

describe('a pinned token', () => {
  test('is of the same network, with the same keys', () => {
    const pinned = parseToken(encodeToken(pinToken(token(), PIN)))
    expect(pinned.pin).toBe(PIN)
    expect(deriveKeys(pinned)).toEqual(deriveKeys(token()))
  })
})

describe('keys', () => {
  const bytes = (keys: ReturnType<typeof deriveKeys>): string =>
    [Buffer.from(keys.psk.reveal()).toString('hex'), keys.mdnsTag, keys.networkId].join(' ')

  test('are the same for nodes that differ in what they expect: they must meet to say so', () => {
    expect(bytes(deriveKeys(makeToken(SECRET, 5, 'shop-12', null)))).toBe(bytes(deriveKeys(token())))
  })

  test('differ for another secret, and for another name', () => {
    const other = Uint8Array.from(SECRET, (byte) => byte ^ 1)
    const all = [token(), makeToken(other, 3, 'shop-12', null), makeToken(SECRET, 3, 'shop-13', null)]
    expect(new Set(all.map((made) => bytes(deriveKeys(made)))).size).toBe(3)
  })

  test('of one token have nothing in common', () => {
    const { psk, mdnsTag, networkId } = deriveKeys(token())
    const key = Buffer.from(psk.reveal()).toString('hex')
    expect(key).not.toBe(networkId)
    expect(mdnsTag).toMatch(/^_m[0-9a-f]{12}\._udp\.local$/)
    expect(networkId.slice(0, 12)).not.toBe(mdnsTag.slice(2, 14))
    expect(key.slice(0, 12)).not.toBe(mdnsTag.slice(2, 14))
  })

  test('of a foreign token follow from all its parts', () => {
    const one = deriveKeys(foreignToken(['a', 'b'], null, 'kairos')).networkId
    expect(deriveKeys(foreignToken(['a', 'c'], null, 'kairos')).networkId).not.toBe(one)
    expect(deriveKeys(foreignToken(['ab', ''], null, 'kairos')).networkId).not.toBe(one)
    expect(deriveKeys(foreignToken(['a', 'b'], 3, 'kairos')).networkId).toBe(one)
  })
})
