/** Tokens: `K10<SHA-256 of the server CA's PEM>::<user>:<password>`, or a bare password, which pins nothing. */
import { createHash } from 'node:crypto'
import { Fatal } from './log.ts'

export interface Token {
  /** Empty where it pins no authority. */
  readonly caHash: string
  readonly password: string
}

export const hashOfAuthority = (pem: string): string => createHash('sha256').update(pem).digest('hex')

export const fullToken = (pem: string, user: 'server' | 'node', password: string): string =>
  `K10${hashOfAuthority(pem)}::${user}:${password}`

export function parseToken(text: string): Token {
  if (text === '') throw new Fatal('token must not be empty')
  if (!text.startsWith('K10')) return { caHash: '', password: text }
  const [hash = '', credentials] = text.slice(3).split(/::([\s\S]*)/, 2)
  if (credentials === undefined) throw new Fatal('invalid token format')
  if (hash !== '' && hash.length !== 64) throw new Fatal('invalid token CA hash length')
  const password = /^[^:]*:([\s\S]+)$/.exec(credentials)?.[1]
  if (password === undefined) throw new Fatal('invalid token format')
  return { caHash: hash, password }
}

/** Throws where the token pins another authority than the one that answered. */
export function checkAuthority(token: Token, pem: string): void {
  const hash = hashOfAuthority(pem)
  if (token.caHash === '' || token.caHash === hash) return
  throw new Error(`token CA hash does not match the Cluster CA certificate hash: ${token.caHash} != ${hash}`)
}
