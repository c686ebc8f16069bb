/** `k3s token generate|rotate`. Bootstrap tokens, which k3s could also make, nobody here uses. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Flags } from './command-line.ts'
import { call } from './https-client.ts'
import { Fatal, log, wordsOf } from './log.ts'
import { DATA_DIRECTORY } from './settings.ts'
import { parseToken } from './token.ts'

export async function runToken(verb: string, flags: Flags): Promise<void> {
  switch (verb) {
    case 'generate':
      process.stdout.write(`${randomBytes(3).toString('hex')}.${randomBytes(8).toString('hex')}\n`)
      return
    case 'rotate':
      return rotate(flags)
    default:
      throw new Fatal(`No help topic for '${verb}'`)
  }
}

async function rotate(flags: Flags): Promise<void> {
  const server = join(flags.text('data-dir') || DATA_DIRECTORY, 'server')
  const url = flags.text('server') || 'https://127.0.0.1:6443'
  const newToken = flags.text('new-token') || randomBytes(16).toString('hex')
  const given = flags.text('token') || readFileSync(join(server, 'token'), 'utf8').trim()
  const { password } = parseToken(given)
  const reply = await call(`${url}/v1-k3s/token`, {
    method: 'PUT',
    ca: readFileSync(join(server, 'tls/server-ca.crt'), 'utf8'),
    basic: { user: 'server', password },
    body: JSON.stringify({ oldToken: password, newToken: parseToken(newToken).password }),
  }).catch((error: unknown) => {
    throw new Fatal(`see server log for details: ${wordsOf(error)}`)
  })
  if (reply.status !== 200)
    throw new Fatal(`see server log for details: ${url}/v1-k3s/token: ${reply.status}`)
  log('info', 'Token rotated, restart k3s nodes with new token')
}
