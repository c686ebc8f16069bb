/** A measured figure: its samples, its target, and how both are printed. */

export interface Figure {
  readonly name: string
  readonly unit: string
  readonly samples: readonly number[]
  /** What is wanted; null where the figure only explains another. */
  readonly target: { readonly bound: 'below' | 'at-least'; readonly value: number } | null
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export function spread(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (index: number): number => sorted[index] ?? Number.NaN
  const middle = sorted.length / 2
  const median = sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2
  return { min: at(0), median, max: at(sorted.length - 1) }
}

/** Median over target: at most 1 is good where the bound is `below`, at least 1 where it is `at-least`. */
export function ratio(figure: Figure): number | null {
  return figure.target === null ? null : spread(figure.samples).median / figure.target.value
}

export function isMet(figure: Figure): boolean | null {
  const value = ratio(figure)
  if (value === null || figure.target === null) return null
  return figure.target.bound === 'below' ? value < 1 : value >= 1
}

/** `name  min / median / max unit (runs)  target  ratio`. */
export function formatFigure(figure: Figure): string {
  const { min, median, max } = spread(figure.samples)
  const runs = `${figure.samples.length} sample${figure.samples.length === 1 ? '' : 's'}`
  const values = [min, median, max].map(plain).join(' / ')
  const line = `${figure.name.padEnd(52)} ${values} ${figure.unit} (${runs})`
  if (figure.target === null) return line
  const bound = figure.target.bound === 'below' ? 'below' : 'at least'
  const verdict = isMet(figure) === true ? 'met' : 'MISSED'
  return `${line}; ${bound} ${plain(figure.target.value)}: ${verdict}, ratio ${plain(ratio(figure) ?? Number.NaN)}`
}

/** Three digits that count. */
function plain(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}
