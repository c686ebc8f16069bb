/** What can be wrong with the state directory, with cause and cure. */

export type StoreErrorCode =
  | 'MUSTER_E_STATE_IN_USE'
  | 'MUSTER_E_STATE_LOCK'
  | 'MUSTER_E_STATE_FULL'
  | 'MUSTER_E_STATE_READ_ONLY'
  | 'MUSTER_E_STATE_DENIED'
  | 'MUSTER_E_STATE_IO'
  | 'MUSTER_E_STATE_NEWER'
  | 'MUSTER_E_STATE_DAMAGED'
  | 'MUSTER_E_STATE_CLOSED'
  | 'MUSTER_E_IDENTITY_DAMAGED'

export class StoreError extends Error {
  readonly code: StoreErrorCode
  readonly hint: string
  readonly data: Readonly<Record<string, string | number | null>>

  constructor(
    code: StoreErrorCode,
    message: string,
    hint: string,
    data: Readonly<Record<string, string | number | null>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
    this.hint = hint
    this.data = data
  }
}

/** The StoreError that an error of the file system amounts to. */
export function storeErrorOf(error: unknown, what: string): StoreError {
  if (error instanceof StoreError) return error
  const errno = error instanceof Error && 'code' in error ? String(error.code) : ''
  const [code, hint] = causeOf(errno)
  const reason = error instanceof Error ? error.message : String(error)
  return new StoreError(code, `${what}: ${reason}`, hint, { errno }, { cause: error })
}

function causeOf(errno: string): readonly [StoreErrorCode, string] {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return ['MUSTER_E_STATE_FULL', 'free some space on that file system; muster goes on by itself then']
    case 'EROFS':
      return [
        'MUSTER_E_STATE_READ_ONLY',
        'mount that file system read-write, or give a writable directory with --state',
      ]
    case 'EACCES':
    case 'EPERM':
      return ['MUSTER_E_STATE_DENIED', 'run muster as root, or give a directory of your own with --state']
    case 'EBUSY':
    case 'EXDEV':
      return [
        'MUSTER_E_STATE_IO',
        'it is a mount point or in use: move what is in it away by hand, then repeat',
      ]
    default:
      return [
        'MUSTER_E_STATE_IO',
        'look at the disk and at `dmesg`; the state must be a directory on a local disk',
      ]
  }
}
