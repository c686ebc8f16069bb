/** What can be wrong between the command and the daemon, with cause and cure. */

/** The daemon cannot offer its API. */
export class ApiServerError extends Error {
  readonly code: 'MUSTER_E_SOCKET' | 'MUSTER_E_SOCKET_IN_USE'
  readonly hint: string

  constructor(code: ApiServerError['code'], message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ApiServerError'
    this.code = code
    this.hint = hint
  }
}

/** There is no daemon at the socket. */
export class NoDaemonError extends Error {
  readonly code = 'MUSTER_E_NO_DAEMON'
  readonly hint: string

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NoDaemonError'
    this.hint = hint
  }
}

/** The daemon is there and the request failed; `code` is the daemon's where it gave one. */
export class ApiError extends Error {
  readonly code: string
  readonly hint: string

  constructor(code: string, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ApiError'
    this.code = code
    this.hint = hint
  }
}
