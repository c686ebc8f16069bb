/** Who asks a server: by client certificate, by password, or by bootstrap token; and what they belong to. */
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'

export interface Caller {
  readonly user: string
  readonly groups: readonly string[]
}

export interface Passwords {
  /** Of user `server`: may fetch the authorities and join as server. */
  readonly server: string
  /** Of user `node`: may join as agent. */
  readonly node: string
}

export const ADMIN = 'system:masters'
export const NODE = 'system:nodes'
export const SERVER = 'k3s:server'
export const AGENT = 'k3s:agent'

/** `wrong`: said who it is, but not truly. Null: said nothing. A password counts before a certificate. */
export function callerOf(request: IncomingMessage, passwords: Passwords): Caller | 'wrong' | null {
  const { authorization } = request.headers
  if (authorization === undefined) return certified(request)
  const [, encoded] = /^Basic (\S+)$/.exec(authorization) ?? []
  const [, user, password] =
    /^([^:]*):([\s\S]*)$/.exec(Buffer.from(encoded ?? '', 'base64').toString('utf8')) ?? []
  if (user === 'server' && password === passwords.server) return { user, groups: [SERVER] }
  if (user === 'node' && password === passwords.node) return { user, groups: [AGENT] }
  return 'wrong'
}

function certified({ socket }: IncomingMessage): Caller | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null
  const { subject } = socket.getPeerCertificate()
  const groups = subject?.O
  return subject === undefined
    ? null
    : { user: String(subject.CN), groups: groups === undefined ? [] : [groups].flat() }
}

export const isOneOf = (caller: Caller, groups: readonly string[]): boolean =>
  caller.groups.some((group) => groups.includes(group))
