/** What a person or a pipe hands to the command on the standard input. */
import { UsageError } from './errors.ts'
import type { Input } from './io.ts'

/** Nothing that the command reads comes near. */
const INPUT_MAX = 64 * 1024

/** The first line that is wanted, read no further than needed; empty where there is none. */
export async function readLine(input: Input, isWanted = (_line: string): boolean => true): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of input) {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    if (text.length > INPUT_MAX) {
      throw new UsageError(
        `the standard input is longer than ${INPUT_MAX} characters`,
        'give the right input',
      )
    }
    const complete = text.split('\n').slice(0, -1).find(isWanted)
    if (complete !== undefined) return complete
  }
  return text.split('\n').find(isWanted) ?? ''
}
