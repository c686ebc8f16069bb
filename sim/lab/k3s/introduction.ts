/** The first contact with a server: its authority is looked at before anything secret is sent. */
import { call, type Reply } from './https-client.ts'
import { Fatal, wordsOf } from './log.ts'
import { checkAuthority, type Token } from './token.ts'

export async function authorityAt(url: string, token: Token): Promise<string> {
  if (!url.startsWith('https://')) throw new Fatal(`only https:// URLs are supported, invalid scheme: ${url}`)
  const ask = async (ca: string | null): Promise<string> => {
    const reply = await call(`${url}/cacerts`, { ca })
    if (reply.status !== 200) throw new Error(`${url}/cacerts: ${reply.status}`)
    return reply.text
  }
  const pem = await ask(null).catch((error: unknown) => {
    throw new Error(`failed to get CA certs: Get "${url}/cacerts": ${wordsOf(error)}`)
  })
  checkAuthority(token, pem)
  await ask(pem).catch((error: unknown) => {
    throw new Error(`CA cert validation failed: Get "${url}/cacerts": ${wordsOf(error)}`)
  })
  return pem
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  503: 'Service Unavailable',
}

export async function askAs(
  user: 'server' | 'node',
  url: string,
  path: string,
  ca: string,
  password: string,
): Promise<Reply> {
  const reply = await call(`${url}${path}`, { ca, basic: { user, password } })
  if (reply.status === 200) return reply
  throw new Error(`${url}${path}: ${reply.status} ${STATUS_TEXT[reply.status] ?? ''}`.trimEnd())
}
