/** What k3s prints: logrus' text lines on standard error, and the one fatal line that it ends with. */

export type Level = 'info' | 'warning' | 'error' | 'fatal'

export function log(level: Level, message: string): void {
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  process.stderr.write(`time="${time}" level=${level} msg=${JSON.stringify(message)}\n`)
}

/** Ends the program with exit code 1 and these words, as logrus.Fatal does. */
export class Fatal extends Error {
  override readonly name = 'Fatal'
}

/** As Go writes it: `dial tcp 10.0.0.1:6443: connect: connection refused`. */
export function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ')
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? error.code : null
  const [address, port] = ['address', 'port'].map(
    (key) => Object.entries(error).find(([k]) => k === key)?.[1],
  )
  if (code === 'ECONNREFUSED') return `dial tcp ${address}:${port}: connect: connection refused`
  if (code === 'EHOSTUNREACH') return `dial tcp ${address}:${port}: connect: no route to host`
  if (code === 'ENETUNREACH') return `dial tcp ${address}:${port}: connect: network is unreachable`
  if (code === 'ECONNRESET') return 'read: connection reset by peer'
  return error.message
}
