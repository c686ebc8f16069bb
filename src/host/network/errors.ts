/** What can be wrong with the network at the start: everything later is a problem in status, not an error. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError'
  readonly code: 'MUSTER_E_ADDRESS' | 'MUSTER_E_PORT_TAKEN' | 'MUSTER_E_LISTEN'
  /** What a person can do. */
  readonly hint: string

  constructor(code: NetworkError['code'], message: string, hint: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}
