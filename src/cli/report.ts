/** Failures on their way to people and scripts. */
import { CommanderError } from 'commander'
import type { Context } from './context.ts'
import { EXIT, type Explanation, type Failure, failureOf, UsageError } from './errors.ts'
import { plain } from './plain.ts'

/**
 * Says what went wrong on stderr; with `isJson` also as the one document on stdout. Answers the exit code.
 * @param help the command line that explains the verb.
 */
export function reportError(error: unknown, help: string, isJson: boolean, context: Context): number {
  const failure = failureOf(understood(error, help)) ?? unforeseen(error)
  const { exitCode, code, message, hint, data, explanations } = failure
  if (isJson) context.printJson({ error: { code, message, hint }, ...data })
  for (const explanation of explanations) explain(explanation, context)
  return exitCode
}

function explain({ message, hint }: Explanation, { io }: Context): void {
  const [first = '', ...more] = message.split('\n').map(plain)
  const lines = [`muster: ${first}`, ...more.map((line) => `  ${line}`)]
  if (hint !== '') lines.push(`  hint: ${plain(hint)}`)
  io.stderr.write(`${lines.join('\n')}\n`)
}

/** The parser's complaints in our form. */
function understood(error: unknown, help: string): unknown {
  if (!(error instanceof CommanderError)) return error
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ')
  return new UsageError(message, `see \`${help}\``)
}

function unforeseen(error: unknown): Failure {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  const hint = 'this is a fault of muster: please report it with these lines'
  return {
    exitCode: EXIT.failed,
    code: 'MUSTER_E_UNEXPECTED',
    message,
    hint,
    data: {},
    explanations: [{ message, hint }],
  }
}
