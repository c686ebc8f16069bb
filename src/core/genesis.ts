/**
 * The genesis: plan 0 as a value, made once from the promises of the founders. Decides what a genesis says
 * given those promises, and whether a certificate proves one. Pure functions; no state.
 */
import { z } from 'zod'
import { addressFor, firstAddressNumber } from './addresses.ts'
import { hashOf, type Statement, sortedBy, statement } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { compareText, type Digest, digest, type NodeId } from './ids.ts'
import { k3sSettingsSchema } from './k3s.ts'
import { uniqueName } from './names.ts'
import {
  bytesSchema,
  type Claim,
  countSchema,
  digestSchema,
  keySchema,
  NAME_PATTERN,
  nodeIdSchema,
  signatureSchema,
} from './record.ts'
import { chooseServers } from './roles.ts'
import type { ClusterSettings } from './settings.ts'

export const clusterSettingsSchema = z.strictObject({
  servers: z.union([z.literal('auto'), z.literal(1), z.literal(3), z.literal(5), z.literal(7)]),
  admission: z.enum(['open', 'approve']),
  promote: z.enum(['founders', 'any']),
  replaceAfterMs: countSchema,
  operators: z.array(nodeIdSchema).max(16).readonly(),
  maxNodes: z.number().int().min(1).max(4_096),
  vpnMode: z.enum(['wireguard', 'none']),
  vpnCidr: z.cidrv4(),
  distribution: z.enum(['k3s', 'etcd', 'none']),
  k3s: k3sSettingsSchema.nullable(),
})

export const memberSchema = z.strictObject({
  id: nodeIdSchema,
  name: z.string().regex(NAME_PATTERN),
  address: z.string().max(64),
  role: z.enum(['server', 'agent']),
  /** May become a server without a person's further word: a founder, or approved as one. */
  mayServe: z.boolean(),
  sealKey: keySchema,
  wireguardKey: keySchema,
})
export type Member = z.infer<typeof memberSchema>

export const sealedSecretSchema = z.strictObject({ node: nodeIdSchema, sealed: bytesSchema(512) })
export type SealedSecret = z.infer<typeof sealedSecretSchema>

export const genesisSchema = z.strictObject({
  version: z.literal(1),
  network: z.string().max(63),
  networkId: digestSchema,
  expect: z.number().int().min(1).max(512),
  settings: clusterSettingsSchema,
  /** Ordered by ID. */
  members: z.array(memberSchema).min(1).max(513),
  /** The servers, ordered by ID. */
  voters: z.array(nodeIdSchema).min(1).max(7),
  nextAddress: countSchema,
  /** The servers' common secret, sealed to each. */
  secrets: z.array(sealedSecretSchema).max(7),
})
export type Genesis = z.infer<typeof genesisSchema>

/** One founder's acceptance of a genesis in a term. */
export const acceptanceSchema = z.strictObject({ node: nodeIdSchema, signature: signatureSchema })
export const genesisCertificateSchema = z.strictObject({
  term: countSchema,
  acceptances: z.array(acceptanceSchema).min(1).max(513),
})

export const certifiedGenesisSchema = z.strictObject({
  genesis: genesisSchema,
  certificate: genesisCertificateSchema,
})
export type CertifiedGenesis = z.infer<typeof certifiedGenesisSchema>

/** S of DESIGN.md section 7: how many identities beyond `expect` a founding survives. */
export const slackOf = (expect: number): number => (expect === 1 ? 0 : 1)

/** Q of DESIGN.md section 7: any two sets of this size, out of expect + slack, share a member. */
export const foundingQuorum = (expect: number): number => Math.floor((expect + slackOf(expect)) / 2) + 1

/** The genesis' name for ever: over its content, without term and certificate. */
export const genesisIdOf = (crypto: Crypto, genesis: Genesis): Digest => hashOf(crypto, 'genesis', genesis)

/** Order of nodes that nobody can choose: by hash of network and ID. */
export const rankOf = (crypto: Crypto, networkId: Digest, id: NodeId): string =>
  crypto.hash(statement('rank', networkId, id))

export const acceptanceStatement = (
  networkId: Digest,
  expect: number,
  term: number,
  genesisId: Digest,
): Statement => statement('accepted', networkId, expect, term, genesisId)

/** A founder as its promise shows it. */
export interface Founder {
  readonly node: NodeId
  readonly claim: Claim
}

/** Everything of a genesis but the sealed secrets: what every acceptor recomputes from the promises. */
export function genesisWithoutSecrets(
  crypto: Crypto,
  network: string,
  networkId: Digest,
  expect: number,
  settings: ClusterSettings,
  founders: readonly Founder[],
): Omit<Genesis, 'secrets'> {
  const places = founders.map((founder) => ({ founder, rank: rankOf(crypto, networkId, founder.node) }))
  const ranked = sortedBy(places, ({ rank }) => rank).map(({ founder }) => founder)
  const voters = chooseServers(ranked, settings.servers).sort(compareText)
  const names = new Set<string>()
  const members = ranked.map((founder, i): Member => {
    const name = uniqueName(founder.claim.name, founder.node, names)
    names.add(name)
    return {
      id: founder.node,
      name,
      address: addressFor(settings, firstAddressNumber + i, founder.claim),
      role: voters.includes(founder.node) ? 'server' : 'agent',
      mayServe: true,
      sealKey: founder.claim.sealKey,
      wireguardKey: founder.claim.wireguardKey,
    }
  })
  return {
    version: 1,
    network,
    networkId,
    expect,
    settings: { ...settings },
    members: sortedBy(members, (member) => member.id),
    voters,
    nextAddress: firstAddressNumber + members.length,
  }
}

/** Whether genesis and certificate prove each other, alone: a quorum signed one identical tuple. */
export function verifyCertifiedGenesis(
  crypto: Crypto,
  networkId: Digest,
  certified: CertifiedGenesis,
): Digest | null {
  const { genesis, certificate } = certified
  if (genesis.networkId !== networkId) return null
  const id = genesisIdOf(crypto, genesis)
  const bytes = acceptanceStatement(networkId, genesis.expect, certificate.term, id)
  const signers = new Set<NodeId>()
  for (const { node, signature } of certificate.acceptances) {
    if (!signers.has(node) && crypto.verify(node, bytes, signature)) signers.add(node)
  }
  return signers.size >= foundingQuorum(genesis.expect) ? digest(id) : null
}
