import { expect, it } from 'vitest'
import { durationText, parseDuration } from '../../src/cli/duration.ts'

it.each([
  ['1ms', 1],
  ['90s', 90_000],
  ['1.5s', 1_500],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['168h', 604_800_000],
])('reads %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

it.each(['', '5', 's', '5 s', '-5s', '0s', '1d', '1h30m', '169h', '1e3s', 'Infinitys', '５s'])(
  'refuses %j',
  (text) => {
    expect(() => parseDuration(text)).toThrow('is no duration')
  },
)

it.each([
  [-5, '0 s'],
  [0, '0 s'],
  [99, '0 s'],
  [420, '0.4 s'],
  [1_999, '1 s'],
  [119_999, '119 s'],
  [120_000, '2 min'],
  [7_200_000, '2 h'],
  [11_520_000, '3 h 12 min'],
  [172_800_000, '2 days'],
])('writes %d ms as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text)
})
