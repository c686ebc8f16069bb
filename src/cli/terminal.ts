/** What the place that a text goes to can show: colours, and how wide a line may be. */
import { stripVTControlCharacters, styleText } from 'node:util'
import type { Io, Output } from './io.ts'

type Style = (text: string) => string

export interface Terminal {
  readonly strong: Style
  readonly faint: Style
  readonly good: Style
  readonly warn: Style
  readonly bad: Style
  /** Columns; infinite where no person looks, so that one thing stays one line. */
  readonly width: number
}

const NARROWEST = 40

/** Colours only for people, and only for those who want them (no-color.org). */
export function terminalOf(output: Output, env: Io['env']): Terminal {
  const isTerminal = output.isTTY === true
  const coloured = isTerminal && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
  const style =
    (format: Parameters<typeof styleText>[0]): Style =>
    (text) =>
      coloured && text !== '' ? styleText(format, text, { validateStream: false }) : text
  return {
    strong: style('bold'),
    faint: style('dim'),
    good: style('green'),
    warn: style('yellow'),
    bad: style('red'),
    width:
      isTerminal && output.columns !== undefined && output.columns > 0
        ? Math.max(NARROWEST, output.columns)
        : Number.POSITIVE_INFINITY,
  }
}

/** Characters as seen, without colours. */
export const widthOf = (text: string): number => [...stripVTControlCharacters(text)].length

/** The lines of a text that begins with `head` and continues below its end. */
export function paragraph(head: string, text: string, width: number): string[] {
  const indent = ' '.repeat(widthOf(head))
  const lines: string[] = []
  let line = head
  let isFresh = true
  for (const word of text.split(' ')) {
    if (!isFresh && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line)
      line = indent
      isFresh = true
    }
    line += isFresh ? word : ` ${word}`
    isFresh = false
  }
  return [...lines, line]
}
