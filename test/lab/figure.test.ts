/** How the benchmark sums up and judges what it measured. */
import { expect, it } from 'vitest'
import { type Figure, formatFigure, isMet, ratio, spread } from '../../sim/lab/bench/figure.ts'

const figure = (samples: readonly number[], target: Figure['target']): Figure => ({
  name: 'a figure',
  unit: 's',
  samples,
  target,
})

it('spreads samples in any order, also an even number of them', () => {
  expect(spread([30, 1, 2])).toEqual({ min: 1, median: 2, max: 30 })
  expect(spread([10, 4, 1, 2])).toEqual({ min: 1, median: 3, max: 10 })
})

it('judges the median: below its target, or at least as high', () => {
  expect(isMet(figure([1, 2, 9], { bound: 'below', value: 3 }))).toBe(true)
  expect(isMet(figure([1, 3, 9], { bound: 'below', value: 3 }))).toBe(false)
  expect(isMet(figure([0.9, 0.95, 0.96], { bound: 'at-least', value: 0.95 }))).toBe(true)
  expect(isMet(figure([0.9, 0.94, 0.96], { bound: 'at-least', value: 0.95 }))).toBe(false)
})

it('neither judges nor relates what has no target', () => {
  expect(isMet(figure([1], null))).toBeNull()
  expect(ratio(figure([1], null))).toBeNull()
  expect(formatFigure(figure([1], null))).not.toMatch(/met|MISSED/)
})

it('prints spread, target and verdict on one line', () => {
  expect(formatFigure(figure([1, 2, 30], { bound: 'below', value: 1 }))).toMatch(
    /^a figure {2,}1\.00 \/ 2\.00 \/ 30\.0 s \(3 samples\); below 1\.00: MISSED, ratio 2\.00$/,
  )
})
