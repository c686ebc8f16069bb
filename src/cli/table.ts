/** Rows and columns of text, no wider than what is in them. */
import { widthOf } from './terminal.ts'

/**
 * One line per row, the header's first. Columns in which no row says anything are left out. Cells may be
 * coloured.
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const isUsed = (column: number): boolean => rows.some((row) => (row[column] ?? '') !== '')
  const columns = [...header.keys()].filter(isUsed)
  const cellsOf = (row: readonly string[]): string[] => columns.map((column) => row[column] ?? '')
  const lines = [header, ...rows].map(cellsOf)
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => widthOf(cells[column] ?? ''))))
  return lines.map((cells) =>
    cells
      .map((cell, column) => padded(cell, widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

const padded = (cell: string, width: number): string => cell + ' '.repeat(Math.max(0, width - widthOf(cell)))
