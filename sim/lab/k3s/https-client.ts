/** One HTTPS request, with a limit for the whole of it. */
import { type Agent, request } from 'node:https'

export interface Call {
  readonly method?: string
  /** Authority that the server must be of; null trusts anybody. */
  readonly ca: string | null
  readonly cert?: { readonly crt: string; readonly key: string }
  readonly basic?: { readonly user: string; readonly password: string }
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly timeoutMs?: number
  readonly agent?: Agent
}

export interface Reply {
  readonly status: number
  readonly text: string
}

export function call(url: string, options: Call): Promise<Reply> {
  const { method = 'GET', ca, cert, basic, headers = {}, body, timeoutMs = 10_000, agent } = options
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        method,
        agent: agent ?? false,
        ...(ca === null ? { rejectUnauthorized: false } : { ca }),
        ...(cert === undefined ? {} : { cert: cert.crt, key: cert.key }),
        ...(basic === undefined ? {} : { auth: `${basic.user}:${basic.password}` }),
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', fail)
        incoming.on('end', () => {
          clearTimeout(timer)
          resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') })
        })
      },
    )
    const fail = (error: Error): void => {
      clearTimeout(timer)
      reject(error)
    }
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`${url}: context deadline exceeded`)),
      timeoutMs,
    )
    outgoing.on('error', fail)
    outgoing.end(body)
  })
}
