import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { KAIROS_TABLE } from '../../src/config/kairos.ts'
import { MUSTER_KEYS } from '../../src/config/schema.ts'
import { ConfigError, printableConfig } from '../../src/config.ts'
import { encodeToken, makeToken } from '../../src/core/token.ts'
import { EDGEVPN, makeFiles, read } from './files.ts'

const files = makeFiles()
afterAll(() => files.remove())

const SECRET = encodeToken(makeToken(new Uint8Array(randomBytes(32)), 3, 'shop-12', null))
const KEYS = [...MUSTER_KEYS.map((key) => `muster.${key}`), ...KAIROS_TABLE.map(({ key }) => key)]
/** A piece of a secret that says too much of it. */
const PIECE = 16

/** Everything that reading says to people. @throws what is no ConfigError. */
function saidOf(text: string): string {
  const file = files.write('any.yaml', text)
  try {
    const config = read([file])
    return printableConfig(config) + JSON.stringify(config)
  } catch (error) {
    if (error instanceof ConfigError) return error.message + JSON.stringify(error.faults)
    throw error
  }
}

function expectNoPiece(said: string, secret: string): void {
  for (let at = 0; at + PIECE <= secret.length; at += 1) {
    const piece = secret.slice(at, at + PIECE)
    if (said.includes(piece)) throw new Error(`${piece} is a piece of the secret in: ${said}`)
  }
}

const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    SECRET,
    EDGEVPN,
    'etcd',
    'none',
    '10.86.0.0/16',
    'auto',
    true,
    false,
    null,
    0,
    1,
    3,
  ),
  fc.string(),
  fc.integer(),
  fc.double(),
)
const value = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 3 }),
  fc.dictionary(fc.string(), scalar, { maxKeys: 3 }),
)

/** Maps whose keys are mostly those that exist. */
const document = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...KEYS), fc.string(), fc.constant(`muster.${SECRET}`)), value), {
    maxLength: 8,
  })
  .map((entries) => {
    const root: Record<string, unknown> = { muster: {} }
    for (const [path, what] of entries) {
      const names = path.split('.')
      let map = root
      for (const name of names.slice(0, -1)) {
        const inner = map[name]
        const next = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? { ...inner } : {}
        map[name] = next
        map = next
      }
      map[names.at(-1) ?? ''] = what
    }
    return root
  })

describe('any file', () => {
  it('of text is a configuration or has faults, and nothing else happens', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void saidOf(text)))
  })

  it('of pieces of YAML is a configuration or has faults, and repeats no secret', () => {
    const piece = fc.constantFrom(
      ...[
        '#cloud-config\n',
        'muster:',
        'p2p:',
        ' ',
        '\n',
        '\n  ',
        '- ',
        '[',
        ']',
        '{',
        '}',
        ': ',
        ', ',
        '&a ',
        '*a',
        '"',
        "'",
      ],
      ...[
        '|',
        '>',
        '!!int ',
        '%YAML 1.1\n',
        '---\n',
        '<<: ',
        '? ',
        '\t',
        'token',
        'vpn',
        'kind',
        'network_token',
        SECRET,
        EDGEVPN,
      ],
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const said = saidOf(pieces.join(''))
        expectNoPiece(said, SECRET)
        expectNoPiece(said, EDGEVPN)
      }),
      { numRuns: 1_000 },
    )
  })

  it('of maps, with secrets under any key or as one, has its faults told without them', () => {
    fc.assert(
      fc.property(document, fc.boolean(), (data, isCloud) => {
        const said = saidOf((isCloud ? '#cloud-config\n' : '') + stringify(data))
        expectNoPiece(said, SECRET)
        expectNoPiece(said, EDGEVPN)
      }),
      { numRuns: 1_000 },
    )
  })

  it('that is cut off has its faults told without the token', () => {
    const whole = `#cloud-config\nmuster:\n  token: ${SECRET}\n  distribution: {kind: etcd}\np2p: {network_token: "${EDGEVPN}"}\n`
    fc.assert(
      fc.property(fc.nat({ max: whole.length }), fc.nat({ max: 40 }), (from, length) => {
        const said = saidOf(whole.slice(0, from) + whole.slice(from + length))
        expectNoPiece(said, SECRET)
        expectNoPiece(said, EDGEVPN)
      }),
      { numRuns: 500 },
    )
  })
})

describe('settings that pass', () => {
  it('are within the bounds that the core relies on', () => {
    fc.assert(
      fc.property(document, (data) => {
        const block = typeof data.muster === 'object' ? data.muster : {}
        const text = stringify({ muster: { ...block, token: SECRET, distribution: { kind: 'none' } } })
        try {
          const { settings, listen } = read([files.write('passing.yaml', text)])
          expect(settings.expect).toBe(3)
          expect(settings.cluster.maxNodes).toBeGreaterThanOrEqual(3)
          expect(listen.length).toBeGreaterThan(0)
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error
        }
      }),
    )
  })
})
