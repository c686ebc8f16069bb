/** How a verb can fail, and the exit code that each failure has. */
import { ConfigError, placeText } from '../config/faults.ts'
import { TokenError } from '../core/token.ts'
import { ApiError, ApiServerError, NoDaemonError } from '../host/api/errors.ts'
import { NetworkError } from '../host/network/errors.ts'
import { StoreError } from '../host/store-errors.ts'

export const EXIT = { fine: 0, failed: 1, usage: 2, noDaemon: 3 } as const

/** The command line is wrong. */
export class UsageError extends Error {
  readonly code = 'MUSTER_E_USAGE'
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.name = 'UsageError'
    this.hint = hint
  }
}

export type VerbErrorCode =
  | 'MUSTER_E_NOT_REACHED'
  | 'MUSTER_E_NOT_FOUNDED'
  | 'MUSTER_E_PINNED'
  | 'MUSTER_E_REFUSED'
  | 'MUSTER_E_DECLINED'
  | 'MUSTER_E_OPERATOR_KEY'

/** The command line is right, and what it asks for did not happen. */
export class VerbError extends Error {
  readonly code: VerbErrorCode
  readonly hint: string
  /** What a script may want to know beside the error; appears in the document of `--json`. */
  readonly data: Readonly<Record<string, unknown>>

  constructor(
    code: VerbErrorCode,
    message: string,
    hint: string,
    data: Readonly<Record<string, unknown>> = {},
  ) {
    super(message)
    this.name = 'VerbError'
    this.code = code
    this.hint = hint
    this.data = data
  }
}

/** An error as the command shows it. */
export interface Failure {
  readonly exitCode: number
  readonly code: string
  readonly message: string
  readonly hint: string
  /** What a script may want to know beside the error. */
  readonly data: Readonly<Record<string, unknown>>
  /** For people; more than one where one error has several causes. */
  readonly explanations: readonly Explanation[]
}

export interface Explanation {
  readonly message: string
  readonly hint: string
}

/** What an error means to whoever gave the command; null for one that nobody foresaw. */
export function failureOf(error: unknown): Failure | null {
  if (error instanceof VerbError) return failure(EXIT.failed, error, error.data)
  if (error instanceof UsageError || error instanceof TokenError) return failure(EXIT.usage, error)
  if (error instanceof ConfigError) {
    const explanations = error.faults.map((fault) => ({
      message: [placeText(fault), fault.message].filter((part) => part !== '').join(': '),
      hint: fault.hint,
    }))
    return { ...failure(EXIT.usage, error, { faults: error.faults }), explanations }
  }
  if (error instanceof NoDaemonError) return failure(EXIT.noDaemon, error)
  if (error instanceof ApiError || error instanceof StoreError) return failure(EXIT.failed, error)
  if (error instanceof NetworkError || error instanceof ApiServerError) return failure(EXIT.failed, error)
  return null
}

const failure = (
  exitCode: number,
  { code, message, hint }: { readonly code: string; readonly message: string; readonly hint: string },
  data: Failure['data'] = {},
): Failure => ({ exitCode, code, message, hint, data, explanations: [{ message, hint }] })
