/** What can be wrong with getting an artefact, with cause and cure. */
import type { HostProblem } from '../../core/orders.ts'

export type ContentErrorCode =
  | 'MUSTER_E_CONTENT_CHECKSUM'
  | 'MUSTER_E_CONTENT_ORIGIN'
  | 'MUSTER_E_CONTENT_FILE'
  | 'MUSTER_E_CONTENT_SPACE'
  | 'MUSTER_E_CONTENT_NOBODY'
  | 'MUSTER_E_CONTENT_SIGNATURE'

export class ContentError extends Error {
  override readonly name = 'ContentError'
  readonly code: ContentErrorCode
  /** What a person can do. */
  readonly hint: string

  constructor(code: ContentErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = hint
  }
}

const PROBLEM_CODES: Readonly<Record<ContentErrorCode, string>> = {
  MUSTER_E_CONTENT_CHECKSUM: 'content.checksum',
  MUSTER_E_CONTENT_ORIGIN: 'content.origin',
  MUSTER_E_CONTENT_FILE: 'content.file',
  MUSTER_E_CONTENT_SPACE: 'content.no-space',
  MUSTER_E_CONTENT_NOBODY: 'content.nobody-has',
  MUSTER_E_CONTENT_SIGNATURE: 'content.signature',
}

/** As status shows it; the artefact makes it one of several. */
export const problemOf = (error: ContentError): HostProblem => ({
  code: PROBLEM_CODES[error.code],
  severity: 'error',
  message: error.message,
  hint: error.hint,
})

export const wrongSum = (
  artefact: { readonly name: string; readonly sha256: string },
  source: string,
  found: string,
): ContentError =>
  new ContentError(
    'MUSTER_E_CONTENT_CHECKSUM',
    `${artefact.name} from ${source} has the SHA-256 ${found}, but ${artefact.sha256} is wanted`,
    'correct the checksum or the address in the configuration, or put the right file there',
  )

export const wrongSize = (
  artefact: { readonly name: string; readonly size: number | null },
  source: string,
  found: number,
): ContentError =>
  new ContentError(
    'MUSTER_E_CONTENT_CHECKSUM',
    `${artefact.name} from ${source} has ${found} bytes or more, but ${artefact.size ?? 'fewer'} are wanted`,
    'correct the size or the address in the configuration, or put the right file there',
  )

export const nobodyHas = (artefact: { readonly name: string; readonly sha256: string }): ContentError =>
  new ContentError(
    'MUSTER_E_CONTENT_NOBODY',
    `nobody in sight has ${artefact.name} (SHA-256 ${artefact.sha256}), and no address is given for it`,
    'put the file on one of the machines, or give its address in the configuration',
  )

/** Errors of the file system: a full disk is told apart, for a person can free it. */
export function storeFault(error: unknown, what: string): ContentError {
  if (error instanceof ContentError) return error
  const errno = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = error instanceof Error ? error.message : String(error)
  if (errno === 'ENOSPC' || errno === 'EDQUOT' || errno === 'EFBIG') return noSpace(what, reason)
  return new ContentError(
    'MUSTER_E_CONTENT_FILE',
    `${what}: ${reason}`,
    'look at that file, its disk, and `dmesg`; muster tries again by itself',
    { cause: error },
  )
}

export const noSpace = (what: string, why: string): ContentError =>
  new ContentError(
    'MUSTER_E_CONTENT_SPACE',
    `${what}: too little space (${why})`,
    'free some space on the file system of the state directory; muster goes on by itself then',
  )
