/**
 * What makes a server one of its cluster: the authorities and the key that all servers share. k3s calls it the
 * bootstrap data. A joiner gets it over HTTPS, a server on an external datastore finds it there, encrypted with the
 * token, the first one makes it. On the disk it lies below `server/tls`.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { createAuthority, type Pair } from './pki.ts'

export const Authorities = z.record(z.string(), z.string())
export type Authorities = Readonly<Record<string, string>>

const NAMES = {
  'server-ca': 'k3s-server-ca',
  'client-ca': 'k3s-client-ca',
  'request-header-ca': 'k3s-request-header-ca',
  'etcd/server-ca': 'etcd-server-ca',
  'etcd/peer-ca': 'etcd-peer-ca',
} as const

export async function makeAuthorities(): Promise<Authorities> {
  const pairs = await Promise.all(
    Object.entries(NAMES).map(async ([file, name]) => [file, await createAuthority(name)] as const),
  )
  const all = pairs.flatMap(([file, { crt, key }]) => [
    [`${file}.crt`, crt],
    [`${file}.key`, key],
  ])
  return { ...Object.fromEntries(all), 'service.key': randomBytes(32).toString('hex') }
}

export function authorityOf(authorities: Authorities, name: keyof typeof NAMES): Pair {
  return { crt: authorities[`${name}.crt`] ?? '', key: authorities[`${name}.key`] ?? '' }
}

export function writePrivately(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, text, { mode: 0o600 })
  chmodSync(path, 0o600)
}

export function saveAuthorities(directory: string, authorities: Authorities): void {
  for (const [file, text] of Object.entries(authorities)) writePrivately(join(directory, 'tls', file), text)
}

/** Null where not all of it is there. */
export function savedAuthorities(directory: string): Authorities | null {
  const files = [...Object.keys(NAMES).flatMap((name) => [`${name}.crt`, `${name}.key`]), 'service.key']
  const all: Record<string, string> = {}
  for (const file of files) {
    const path = join(directory, 'tls', file)
    if (!existsSync(path)) return null
    all[file] = readFileSync(path, 'utf8')
  }
  return all
}

/** Where a datastore keeps it for this token. */
export const bootstrapKey = (password: string): string =>
  `/bootstrap/${createHash('sha256').update(password).digest('hex').slice(0, 12)}`

export function encryptAuthorities(password: string, authorities: Authorities): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(password), iv)
  const sealed = Buffer.concat([cipher.update(JSON.stringify(authorities), 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64')
}

export function decryptAuthorities(password: string, text: string): Authorities {
  const bytes = Buffer.from(text, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', keyOf(password), bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(12, 28))
  const open = Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()])
  return Authorities.parse(JSON.parse(open.toString('utf8')))
}

const keyOf = (password: string): Buffer => createHash('sha256').update(password).digest()
