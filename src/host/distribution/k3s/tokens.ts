/**
 * k3s' tokens: made from the plan's secrets, anew for each epoch, and bound to the server CA as soon as there is
 * one. A server's password also encrypts what new servers get from the datastore, so it is the same on all.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'

export function serverPassword(secret: Uint8Array, epoch: number): string {
  return derive(secret, `k3s server token ${epoch}`)
}

export function agentPassword(agentSecret: Uint8Array, epoch: number): string {
  return derive(agentSecret, `k3s agent token ${epoch}`)
}

/** The full form: whoever uses it talks to servers of this CA only. */
export const pinned = (caHash: string, user: 'server' | 'node', password: string): string =>
  `K10${caHash}::${user}:${password}`

/**
 * What a token calls a CA: the hash of the file where it holds one certificate, of the root where it holds a
 * chain, so that intermediates may be renewed.
 * @returns null where it holds none
 */
export function caHash(pem: string): string | null {
  const certificates = [...pem.matchAll(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)]
  try {
    const [first, ...more] = certificates.map(([text]) => new X509Certificate(text))
    if (first === undefined) return null
    if (more.length === 0) return hex(pem)
    let root = first
    for (let steps = more.length; steps > 0 && root.issuer !== root.subject; steps--) {
      const issuer = more.find((candidate) => root.checkIssued(candidate) && root.verify(candidate.publicKey))
      if (issuer === undefined) return hex(pem)
      root = issuer
    }
    return root.issuer === root.subject ? hex(root.raw) : hex(pem)
  } catch {
    return null
  }
}

const hex = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const derive = (secret: Uint8Array, purpose: string): string =>
  Buffer.from(hkdf(sha256, secret, undefined, new TextEncoder().encode(purpose), 32)).toString('hex')
