/** k3s' authorities and certificates. All servers hold the same authorities; each signs its own certificates. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const
const YEAR_MS = 365 * 24 * 3600 * 1000
const engine = webcrypto as unknown as Crypto

/** Certificate and key, PEM. */
export interface Pair {
  readonly crt: string
  readonly key: string
}

export async function createAuthority(name: string): Promise<Pair> {
  const keys = await engine.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=${name}@${Math.floor(Date.now() / 1000)}`,
      notBefore: new Date(Date.now() - 3600_000),
      notAfter: new Date(Date.now() + 10 * YEAR_MS),
      signingAlgorithm: SIGNING,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign |
            x509.KeyUsageFlags.digitalSignature |
            x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, engine),
      ],
    },
    engine,
  )
  return { crt: `${certificate.toString('pem')}\n`, key: await pemOfKey(keys.privateKey) }
}

export interface Subject {
  readonly commonName: string
  readonly organization?: string
  readonly hosts?: readonly string[]
  readonly uses: readonly ('server' | 'client')[]
}

/** Signs a new certificate for a new key. */
export async function sign(authority: Pair, subject: Subject): Promise<Pair> {
  const issuer = new x509.X509Certificate(authority.crt)
  const signingKey = await engine.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.key),
    ALGORITHM,
    false,
    ['sign'],
  )
  const keys = await engine.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const { commonName, organization, hosts = [], uses } = subject
  const names = [...new Set(hosts)].map((host) => ({
    type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
    value: host,
  }))
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: [...(organization === undefined ? [] : [{ O: [organization] }]), { CN: [commonName] }],
      issuer: issuer.subject,
      notBefore: new Date(Date.now() - 3600_000),
      notAfter: new Date(Date.now() + YEAR_MS),
      signingAlgorithm: SIGNING,
      publicKey: keys.publicKey,
      signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        new x509.ExtendedKeyUsageExtension(
          uses.map((use) => x509.ExtendedKeyUsage[use === 'server' ? 'serverAuth' : 'clientAuth']),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, engine),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    },
    engine,
  )
  return { crt: `${certificate.toString('pem')}\n`, key: await pemOfKey(keys.privateKey) }
}

async function pemOfKey(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await engine.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}
