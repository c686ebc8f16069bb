/**
 * The datastore's own certificate authority and this member's certificates. Every server derives the same CA
 * key from the plan's secret, so a certificate signed by any of them is good for all, and no CA key is ever
 * sent or stored. Who lacks the secret cannot talk to the datastore at all.
 *
 * Loaded when first needed: the X.509 library takes 20 MB and 100 ms that only servers need to pay.
 */
import 'reflect-metadata'
import { chmod, mkdir } from 'node:fs/promises'
import { isIP } from 'node:net'
import { p256 } from '@noble/curves/nist.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import * as x509 from '@peculiar/x509'
import { writeDurably } from '../durable-file.ts'
import { type ClientCredentials, credentialPaths } from './credentials.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const
const CA_SUBJECT = 'CN=muster datastore CA'
const CA_SERIAL = '01'

/**
 * From the beginning of Unix time to RFC 5280's "no well-defined expiration date" (§4.1.2.5). A machine
 * without a clock battery boots in 1970, or in the year its OS was built, and must reach its datastore before
 * it can reach a time server; and a cluster must not die of old age on a shelf. What ends a certificate's use
 * is a new secret, not a date.
 */
const NOT_BEFORE = new Date(0)
const NOT_AFTER = new Date('9999-12-31T23:59:59Z')

/**
 * Signs fresh server, peer and client certificates for one member and puts them, mode 0600, into `directory`
 * (mode 0700). A certificate shares its file with its key, so that replacing it is one rename: a running
 * etcd reads these files at each handshake and must never see one of the new pair with one of the old.
 *
 * @param secret 32 bytes from the plan
 * @returns what this process needs to speak to the members
 */
export async function issueCredentials(
  directory: string,
  secret: Uint8Array,
  member: { readonly name: string; readonly address: string },
): Promise<ClientCredentials> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
  const authority = await deriveAuthority(secret)
  const hosts = [member.name, member.address]
  const paths = credentialPaths(directory)
  // etcd's own gateway calls etcd with the server's certificate, and a peer is as often caller as callee.
  const [server, peer, client] = await Promise.all([
    signLeaf(authority, member.name, hosts, ['server', 'client']),
    signLeaf(authority, member.name, hosts, ['server', 'client']),
    signLeaf(authority, `muster ${member.name}`, [], ['client']),
  ])
  const ca = `${authority.certificate.toString('pem')}\n`
  await writeDurably(paths.ca, ca)
  await writeDurably(paths.server, server)
  await writeDurably(paths.peer, peer)
  await writeDurably(paths.client, client)
  return { ca, client }
}

interface Authority {
  readonly key: CryptoKey
  readonly certificate: x509.X509Certificate
}

/** Same key, subject, serial and dates on every server; only the signature's randomness differs. */
async function deriveAuthority(secret: Uint8Array): Promise<Authority> {
  const seed = hkdf(sha256, secret, undefined, new TextEncoder().encode('muster datastore CA key'), 48)
  // 48 bytes for a 32-byte scalar: the reduction's bias vanishes (FIPS 186-5 A.2.1).
  const scalar = p256.utils.randomSecretKey(seed)
  const point = p256.getPublicKey(scalar, false)
  const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  const publicJwk = {
    kty: 'EC',
    crv: 'P-256',
    x: base64url(point.subarray(1, 33)),
    y: base64url(point.subarray(33)),
  }
  const [key, publicKey] = await Promise.all([
    crypto.subtle.importKey('jwk', { ...publicJwk, d: base64url(scalar) }, ALGORITHM, false, ['sign']),
    crypto.subtle.importKey('jwk', publicJwk, ALGORITHM, true, ['verify']),
  ])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: CA_SERIAL,
      name: CA_SUBJECT,
      notBefore: NOT_BEFORE,
      notAfter: NOT_AFTER,
      signingAlgorithm: SIGNING,
      keys: { privateKey: key, publicKey },
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
      ],
    },
    crypto,
  )
  return { key, certificate }
}

/** @returns certificate and PKCS #8 key as one PEM text. */
async function signLeaf(
  authority: Authority,
  commonName: string,
  hosts: readonly string[],
  uses: readonly ('server' | 'client')[],
): Promise<string> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const names = hosts.map((host) => ({
    type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
    value: host,
  }))
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: [{ CN: [commonName] }],
      issuer: authority.certificate.subject,
      notBefore: NOT_BEFORE,
      notAfter: NOT_AFTER,
      signingAlgorithm: SIGNING,
      publicKey: pair.publicKey,
      signingKey: authority.key,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(
          uses.map((use) => x509.ExtendedKeyUsage[use === 'server' ? 'serverAuth' : 'clientAuth']),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(authority.certificate, false, crypto),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    },
    crypto,
  )
  const key = await crypto.subtle.exportKey('pkcs8', pair.privateKey)
  return `${certificate.toString('pem')}\n${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`
}
