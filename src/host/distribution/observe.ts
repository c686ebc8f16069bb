/** What this machine's member of the datastore, and through it the others, say about themselves. */
import { type EtcdApi, EtcdApiError, type EtcdMember, type MemberList } from './etcd-api.ts'

export interface Observation {
  /** This machine's member answers at all. */
  readonly answers: boolean
  /** Decimal ID of this machine's member, null until known. */
  readonly memberId: string | null
  readonly clusterId: string | null
  readonly standing: 'voter' | 'learner' | 'unknown'
  /** A read through leader and quorum works at this member. */
  readonly reads: boolean
  /** The space quota is used up: no more writes. */
  readonly isFull: boolean
  readonly members: readonly ObservedMember[]
}

export interface ObservedMember extends EtcdMember {
  readonly isHealthy: boolean
}

export const SILENT: Observation = {
  answers: false,
  memberId: null,
  clusterId: null,
  standing: 'unknown',
  reads: false,
  isFull: false,
  members: [],
}

/**
 * @param ownUrl client URL of this machine's member
 * @param clientUrl where another member serves clients, null where that cannot be told
 * @param others client URLs of members that may know the list when the own one, a learner, does not say it
 */
export async function observe(
  api: EtcdApi,
  ownUrl: string,
  clientUrl: (member: EtcdMember) => string | null,
  others: readonly string[],
): Promise<Observation> {
  const view = await ownView(api, ownUrl, others)
  if (view === null) return SILENT
  const { memberId, clusterId, members } = view
  const answersWell = async (member: EtcdMember): Promise<boolean> => {
    if (member.id === memberId) return reads
    const url = clientUrl(member)
    return url !== null && member.name !== '' && (await isHealthy(api, url))
  }
  const reads = await isHealthy(api, ownUrl)
  const observed = await Promise.all(
    members.map(async (member) => ({ ...member, isHealthy: await answersWell(member) })),
  )
  return {
    answers: true,
    memberId,
    clusterId,
    standing: view.standing,
    reads,
    // etcd's health check fails with an alarm, so only then is there something to ask.
    isFull: !reads && (await hasSpaceAlarm(api, ownUrl)),
    members: observed,
  }
}

/** `false` also where nobody answers. */
export async function isHealthy(api: EtcdApi, url: string): Promise<boolean> {
  try {
    return await api.isHealthy(url)
  } catch (error) {
    if (error instanceof EtcdApiError) return false
    throw error
  }
}

/** What it says of itself; null where it says nothing. */
export async function versionOf(api: EtcdApi, url: string): Promise<string | null> {
  try {
    return await api.version(url)
  } catch (error) {
    if (error instanceof EtcdApiError) return null
    throw error
  }
}

interface View extends MemberList {
  readonly standing: 'voter' | 'learner'
}

async function ownView(api: EtcdApi, ownUrl: string, others: readonly string[]): Promise<View | null> {
  try {
    const list = await api.members(ownUrl)
    const own = list.members.find((member) => member.id === list.memberId)
    return { ...list, standing: own === undefined || own.isLearner ? 'learner' : 'voter' }
  } catch (error) {
    if (!(error instanceof EtcdApiError)) throw error
    if (error.refusal !== 'learner') return null
  }
  try {
    const { clusterId, memberId } = await api.status(ownUrl)
    return { clusterId, memberId, members: await firstList(api, others), standing: 'learner' }
  } catch (error) {
    if (error instanceof EtcdApiError) return null
    throw error
  }
}

async function firstList(api: EtcdApi, urls: readonly string[]): Promise<readonly EtcdMember[]> {
  const lists = urls.map(async (url) => (await api.members(url)).members)
  return Promise.any(lists).catch(() => [])
}

async function hasSpaceAlarm(api: EtcdApi, url: string): Promise<boolean> {
  try {
    return (await api.status(url)).errors.some((text) => text.includes('NOSPACE'))
  } catch (error) {
    if (error instanceof EtcdApiError) return false
    throw error
  }
}
