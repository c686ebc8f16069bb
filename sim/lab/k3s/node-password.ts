/** Node names are bound to a password when they are first used, in a secret that goes with the node. */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { KubeError, type Objects, SECRETS } from './objects.ts'

export const passwordSecret = (node: string): string => `${node}.node-password.k3s`

/** @returns whether it is the password that the name was first used with */
export async function ensurePassword(objects: Objects, node: string, password: string): Promise<boolean> {
  const name = passwordSecret(node)
  for (;;) {
    try {
      const secret = await objects.get(SECRETS, 'kube-system', name)
      return verify(z.object({ hash: z.string() }).parse(secret.data).hash, password)
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'NotFound')) throw error
    }
    const data = { hash: hashOf(password) }
    try {
      await objects.create(SECRETS, 'kube-system', {
        metadata: { name },
        type: 'Opaque',
        immutable: true,
        data,
      })
      return true
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error
    }
  }
}

const scrypt = (password: string, salt: Buffer): Buffer => scryptSync(password, salt, 32, { N: 1024 })

function hashOf(password: string): string {
  const salt = randomBytes(8)
  return Buffer.from(`$1:${salt.toString('hex')}:${scrypt(password, salt).toString('base64')}`).toString(
    'base64',
  )
}

function verify(data: string, password: string): boolean {
  const [, salt = '', hash = ''] = Buffer.from(data, 'base64').toString('utf8').split(':')
  const given = scrypt(password, Buffer.from(salt, 'hex'))
  const known = Buffer.from(hash, 'base64')
  return known.length === given.length && timingSafeEqual(known, given)
}
