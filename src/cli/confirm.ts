/** Asking a person before something that cannot be taken back by a command. */
import { UsageError, VerbError } from './errors.ts'
import { readLine } from './input.ts'
import type { Io } from './io.ts'
import { plain } from './plain.ts'

/** @throws UsageError where there is nobody to ask: a script has to say --yes by itself. */
export function requireSomebodyToAsk({ stdin }: Io): void {
  if (stdin.isTTY === true) return
  throw new UsageError('this has to be confirmed, and there is no terminal to ask on', 'add --yes')
}

/** @throws VerbError unless the answer is yes. */
export async function confirm(question: string, { stdin, stderr }: Io): Promise<void> {
  stderr.write(`${plain(question)}\nGo on? [y/N] `)
  if (/^y(es)?$/i.test((await readLine(stdin)).trim())) return
  throw new VerbError('MUSTER_E_DECLINED', 'nothing was changed', 'answer y, or give --yes')
}
