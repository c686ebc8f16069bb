import { describe, expect, test } from 'vitest'
import {
  k3sDifferences,
  k3sSettingsSchema,
  k3sVersion,
  matchesRule,
  plainK3s,
  sameK3s,
} from '../../src/core/k3s.ts'

describe('a version of k3s', () => {
  test.each([
    ['v1.33.4+k3s1', { major: 1, minor: 33, patch: 4, release: 1 }],
    ['v1.34.0-rc1+k3s2', { major: 1, minor: 34, patch: 0, release: 2 }],
  ])('%s is read', (text, version) => {
    expect(k3sVersion(text)).toEqual(version)
  })

  test.each(['1.33.4+k3s1', 'v1.33.4', 'v1.33+k3s1', 'v1.33.4+k3s', 'stable', 'v1.33.4+rke2r1', ''])(
    '%j is none',
    (text) => {
      expect(k3sVersion(text)).toBeNull()
    },
  )
})

describe('settings of k3s', () => {
  test('that say nothing are settings', () => {
    expect(k3sSettingsSchema.parse(plainK3s())).toEqual(plainK3s())
  })

  test.each([
    ['an unknown key', { ...plainK3s(), color: 'red' }],
    ['a version that is none', { ...plainK3s(), version: 'latest' }],
    ['a checksum that is none', { ...plainK3s(), images: [{ name: 'a', url: null, sha256: 'abc' }] }],
    [
      'a name of an archive that leads elsewhere',
      { ...plainK3s(), images: [{ name: '../a', url: null, sha256: '0'.repeat(64) }] },
    ],
    [
      'a name of a variable that is none',
      { ...plainK3s(), server: { ...plainK3s().server, env: { 'A B': '' } } },
    ],
    [
      'more than a plan should carry',
      {
        ...plainK3s(),
        server: { ...plainK3s().server, args: Array.from({ length: 60 }, () => 'x'.repeat(500)) },
      },
    ],
  ])('with %s are refused', (_what, settings) => {
    expect(k3sSettingsSchema.safeParse(settings).success).toBe(false)
  })

  test('differ in words that a person can act on', () => {
    const other = { ...plainK3s(), version: 'v1.33.4+k3s1', registry: true }
    expect(sameK3s(plainK3s(), plainK3s())).toBe(true)
    expect(sameK3s(other, plainK3s())).toBe(false)
    expect(k3sDifferences(other, plainK3s())).toEqual([
      'version is v1.33.4+k3s1 here, not given in the plan',
      'registry differ',
    ])
    expect(k3sDifferences(null, plainK3s())).toEqual([])
  })
})

describe('a rule', () => {
  const rule = (names: string[] | null, role: 'server' | 'agent' | null) => ({
    match: { names, role },
    labels: {},
    taints: [],
  })

  test.each([
    [null, null, 'rack-1', true],
    [['rack-*'], null, 'rack-1', true],
    [['rack-?'], null, 'rack-12', false],
    [['rack'], null, 'rack-1', false],
    [['*'], 'server', 'rack-1', false],
    [['shelf', 'rack-1'], 'agent', 'rack-1', true],
    [['rack.1'], null, 'rack-1', false],
  ] as const)('for names %j of role %j is for the agent %s: %s', (names, role, name, isFor) => {
    expect(matchesRule(rule(names === null ? null : [...names], role), name, 'agent')).toBe(isFor)
  })
})
