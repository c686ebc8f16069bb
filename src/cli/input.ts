/** What a person or a pipe hands to the command: a line, or all of a small file. */
import { readFile, stat } from 'node:fs/promises'
import { UsageError } from './errors.ts'
import type { Input, Io } from './io.ts'

/** Nothing that the command reads comes near. */
const INPUT_MAX = 64 * 1024

/** The first line; what there is where the input ends without a line feed. */
export async function readLine(input: Input): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of input) {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    if (text.includes('\n')) break
    if (text.length > INPUT_MAX) throw tooLong('the standard input')
  }
  return text.split('\n')[0] ?? ''
}

/** A file's text; `-` is the first line of the standard input. */
export async function readFileOrStdin(path: string, io: Io): Promise<string> {
  if (path === '-') return readLine(io.stdin)
  try {
    if ((await stat(path)).size > INPUT_MAX) throw tooLong(path)
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof UsageError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new UsageError(`cannot read ${path}: ${reason}`, 'give a file that exists and that you may read')
  }
}

const tooLong = (what: string): UsageError =>
  new UsageError(`${what} is longer than ${INPUT_MAX} bytes`, 'give the right file')
