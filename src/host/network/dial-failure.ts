/** Why a dial failed, in a word for machines and a few for people. */

export interface DialFailure {
  /**
   * self: the address leads to this machine. refused: somebody answers, but not with this network's token.
   * other: another peer of this network lives there now. unreachable: nobody answers.
   */
  readonly kind: 'self' | 'refused' | 'other' | 'unreachable'
  readonly text: string
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network unreachable',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'the name server does not answer',
  ETIMEDOUT: 'no answer',
  TimeoutError: 'no answer',
  AbortError: 'no answer',
}

export function dialFailure(error: unknown): DialFailure {
  if (error instanceof AggregateError && error.errors.length > 0)
    return worthTelling(error.errors.map(dialFailure))
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  const code = error instanceof Error && 'code' in error ? String(error.code) : name
  if (message.includes('dial self')) return { kind: 'self', text: 'this machine itself' }
  if (name === 'EncryptionFailedError' && message.includes('does not match'))
    return { kind: 'other', text: 'another peer answers there' }
  if (name === 'EncryptionFailedError')
    return { kind: 'refused', text: 'it does not know this network’s token' }
  return { kind: 'unreachable', text: WORDS[code] ?? message.slice(0, 200) }
}

/** Of several addresses, the one that got furthest says most. */
function worthTelling(failures: readonly DialFailure[]): DialFailure {
  const found = (['refused', 'other', 'self'] as const)
    .map((kind) => failures.find((failure) => failure.kind === kind))
    .find((failure) => failure !== undefined)
  return found ?? failures[0] ?? { kind: 'unreachable', text: 'no answer' }
}
