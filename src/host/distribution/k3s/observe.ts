/** What k3s on this machine, and through it the cluster, says about itself. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatastoreMember } from '../../../core/orders.ts'
import type { EtcdMember } from '../etcd-api.ts'
import { urlOf } from '../etcd-flags.ts'
import { hostOf } from '../membership.ts'
import { ApiError, type K3sApi, type KubernetesNode } from './api.ts'
import type { K3sOrder } from './configuration.ts'
import { EtcdCallError, type EtcdCredentials, type K3sEtcd } from './etcd-grpc.ts'
import { ETCD_CLIENT_PORT, type Places } from './places.ts'
import { caHash } from './tokens.ts'

export interface ObservedMember extends EtcdMember {
  /** Of the node, as far as can be told. */
  readonly node: string
  readonly isHealthy: boolean
}

export interface Observation {
  /** Hash of the CA that the supervisor here shows. */
  readonly clusterId: string | null
  readonly version: string | null
  /** Its own etcd's standing; voter also where the datastore is somewhere else and the API server reads it. */
  readonly standing: 'voter' | 'learner' | 'unknown'
  /** A read through the datastore's leader and quorum works here. */
  readonly reads: boolean
  readonly isFull: boolean
  readonly members: readonly ObservedMember[]
  /** API server and supervisor say that they are ready. */
  readonly apiReady: boolean
  readonly nodes: readonly KubernetesNode[]
  /** This machine's Node; null where there is none. */
  readonly self: KubernetesNode | null
}

export const SILENT: Observation = {
  clusterId: null,
  version: null,
  standing: 'unknown',
  reads: false,
  isFull: false,
  members: [],
  apiReady: false,
  nodes: [],
  self: null,
}

/** etcd's member is called by its node, with eight random characters after it. */
export const nodeOfMember = (name: string): string => name.replace(/-[0-9a-f]{8}$/, '')

/** What k3s made for its own etcd client; null while it has not. */
export async function etcdCredentials(places: Places): Promise<EtcdCredentials | null> {
  const directory = join(places.server, 'tls/etcd')
  return credentials(
    join(directory, 'server-ca.crt'),
    join(directory, 'client.crt'),
    join(directory, 'client.key'),
  )
}

/** The administrator's on a server, the kubelet's on an agent; null while k3s has not made them. */
export function apiCredentials(places: Places, role: K3sOrder['role']): Promise<EtcdCredentials | null> {
  const tls = join(places.server, 'tls')
  return role === 'server'
    ? credentials(join(tls, 'server-ca.crt'), join(tls, 'client-admin.crt'), join(tls, 'client-admin.key'))
    : credentials(
        join(places.agent, 'server-ca.crt'),
        join(places.agent, 'client-kubelet.crt'),
        join(places.agent, 'client-kubelet.key'),
      )
}

async function credentials(...paths: [string, string, string]): Promise<EtcdCredentials | null> {
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => null)))
  const [ca, cert, key] = texts
  return ca && cert && key ? { ca, cert, key } : null
}

export interface Connections {
  /** The supervisor here, whoever it is. */
  readonly open: K3sApi
  /** The API server here, as whom k3s itself lets in; null while it has made no certificates. */
  readonly api: K3sApi | null
  readonly etcd: K3sEtcd | null
}

export async function observeServer(
  order: K3sOrder,
  { open, api, etcd }: Connections,
  password: string | null,
): Promise<Observation> {
  const clusterId = await answered(open.cacerts().then(caHash))
  const [isReady, isSupervising, version, nodes] = await Promise.all([
    api?.isWell('/readyz') ?? false,
    password === null ? true : (api?.isWell('/v1-k3s/readyz', { user: 'node', password }) ?? false),
    api === null ? null : answered(api.version()),
    api === null ? null : answered(api.nodes()),
  ])
  const datastore = order.settings.external
    ? {
        standing: isReady ? ('voter' as const) : ('unknown' as const),
        reads: isReady,
        isFull: false,
        members: [],
      }
    : await observeEtcd(order, etcd)
  return {
    clusterId,
    version,
    ...datastore,
    apiReady: isReady && isSupervising,
    nodes: nodes ?? [],
    self: nodes?.find(({ name }) => name === order.self.name) ?? null,
  }
}

export async function observeAgent(order: K3sOrder, api: K3sApi | null): Promise<Observation> {
  const self = api === null ? null : await answered(api.node(order.self.name))
  return { ...SILENT, self, version: self?.version ?? null, apiReady: self !== null }
}

type Datastore = Pick<Observation, 'standing' | 'reads' | 'isFull' | 'members'>

async function observeEtcd(order: K3sOrder, etcd: K3sEtcd | null): Promise<Datastore> {
  const nothing: Datastore = { standing: 'unknown', reads: false, isFull: false, members: [] }
  const own = urlOf('127.0.0.1', ETCD_CLIENT_PORT)
  const status = etcd === null ? null : await told(etcd.status(own))
  if (etcd === null || status === null) return nothing
  const list = await listOf(order, etcd, own)
  const reads = !status.isLearner && status.hasLeader && (await works(etcd.read(own)))
  const members = await Promise.all(
    list.map(async (member): Promise<ObservedMember> => {
      const node = nameOf(member, order)
      if (member.id === status.memberId) return { ...member, node, isHealthy: reads }
      const [url] = member.peerUrls
      const other = url === undefined || member.name === '' ? null : urlOf(hostOf(url), ETCD_CLIENT_PORT)
      const theirs = other === null ? null : await told(etcd.status(other))
      return { ...member, node, isHealthy: theirs?.hasLeader ?? false }
    }),
  )
  return {
    standing: status.isLearner ? 'learner' : 'voter',
    reads,
    isFull: status.errors.some((text) => text.includes('NOSPACE')),
    members,
  }
}

/** A learner does not tell the list; others do. */
async function listOf(order: K3sOrder, etcd: K3sEtcd, own: string): Promise<readonly EtcdMember[]> {
  const list = await told(etcd.members(own))
  if (list !== null) return list.members
  const asked = order.members.map(
    async ({ address }) => (await etcd.members(urlOf(address, ETCD_CLIENT_PORT))).members,
  )
  return Promise.any(asked).catch(() => [])
}

/** One that never started has no name: then the plan's, else its address. */
export function nameOf({ id, name, peerUrls }: EtcdMember, order: K3sOrder): string {
  if (name !== '') return nodeOfMember(name)
  const known: readonly DatastoreMember[] = [order.self, ...order.members, ...order.servers]
  const hosts = peerUrls.map(hostOf)
  return known.find(({ address }) => hosts.includes(address))?.name ?? hosts[0] ?? id
}

/** Null where nobody answers, or not so. */
async function answered<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call
  } catch (error) {
    if (error instanceof ApiError) return null
    throw error
  }
}

async function told<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call
  } catch (error) {
    if (error instanceof EtcdCallError) return null
    throw error
  }
}

const works = async (call: Promise<void>): Promise<boolean> => (await told(call.then(() => true))) ?? false
