/**
 * Changes of the datastore's membership: becoming a learner, becoming a voter, clearing away a learner that
 * never became one. Each looks at what is true first, so that each may be cut off anywhere and done again.
 * A voter is removed only as an act of the plan orders it, by name (DESIGN.md section 12).
 */
import type { DatastoreMember } from '../../core/orders.ts'
import { type EtcdApi, EtcdApiError, type EtcdMember, type MemberList } from './etcd-api.ts'
import type { Observation } from './observe.ts'
import { changeRefused, noMemberReachable, staleMember, wrongCluster } from './problems.ts'
import { EVICT_AFTER_MS } from './timing.ts'

/** Who wants in, and through whom. */
export interface Joining {
  readonly name: string
  readonly peerUrl: string
  /** Cluster that the plan knows, null where it knows none yet. */
  readonly clusterId: string | null
  /** Members to ask. */
  readonly members: readonly { readonly name: string; readonly clientUrl: string }[]
}

/**
 * Makes sure that the cluster has an entry for this member, which has no data yet.
 * @returns the peer URLs of all others, with which etcd may be started
 * @throws DatastoreError where that cannot be now
 */
export async function enter(api: EtcdApi, joining: Joining): Promise<string[]> {
  const { url, list } = await healthyMember(api, joining)
  const own = list.members.find((member) => member.peerUrls.includes(joining.peerUrl))
  if (own === undefined) {
    return othersOf(await changed('add a learner', () => api.addLearner(url, joining.peerUrl)), joining)
  }
  // An entry without a name belongs to an etcd that never started: an earlier attempt of ours got so far.
  if (own.name === '') return othersOf(list, joining)
  // Its data was here once and is gone; etcd must never start empty under an ID that has acknowledged entries.
  if (!own.isLearner) throw staleMember(joining.name)
  await changed('remove the learner that lost its data', () => api.remove(url, own.id))
  return othersOf(await changed('add a learner', () => api.addLearner(url, joining.peerUrl)), joining)
}

/** @returns whether it is a voter now; false while it has not caught up. */
export async function promote(api: EtcdApi, joining: Joining, memberId: string): Promise<boolean> {
  const { url } = await healthyMember(api, joining)
  try {
    await api.promote(url, memberId)
    return true
  } catch (error) {
    if (!(error instanceof EtcdApiError)) throw error
    if (error.refusal === 'not-in-sync') return false
    throw changeRefused('promote this learner', error.message)
  }
}

/** Removes leftover learners, but only those that stay leftovers under its eyes. */
export class Evictor {
  /** Since when each leftover is seen, by member ID; monotonic milliseconds. */
  #seen: ReadonlyMap<string, number> = new Map()

  /**
   * @param names learners by these names, or without a name at an address that nobody known has
   * @returns names or URLs of those that were removed
   */
  async evict(
    api: EtcdApi,
    url: string,
    observed: Observation,
    names: readonly string[],
    known: readonly DatastoreMember[],
    now: number,
  ): Promise<string[]> {
    const isKnown = (member: EtcdMember): boolean =>
      member.id === observed.memberId ||
      member.peerUrls.some((peerUrl) => known.some(({ address }) => hostOf(peerUrl) === address))
    const leftovers = observed.members.filter(
      (member) => member.isLearner && !isKnown(member) && (member.name === '' || names.includes(member.name)),
    )
    this.#seen = new Map(names.length === 0 ? [] : leftovers.map(({ id }) => [id, this.#seen.get(id) ?? now]))
    const removed: string[] = []
    for (const { id, name, peerUrls } of leftovers) {
      const since = this.#seen.get(id)
      if (since === undefined || now - since < EVICT_AFTER_MS) continue
      await changed('remove a leftover learner', () => api.remove(url, id))
      removed.push(name === '' ? (peerUrls[0] ?? id) : name)
    }
    return removed
  }
}

/**
 * Takes members out that the plan gave up, voters too. Never this one, and never one at the address of a member
 * that the plan has: a name may have passed on to another machine.
 * @returns names of those that were removed
 */
export async function removeGone(
  api: EtcdApi,
  url: string,
  observed: Observation,
  names: readonly string[],
  known: readonly DatastoreMember[],
): Promise<string[]> {
  const isKept = (member: EtcdMember): boolean =>
    member.id === observed.memberId ||
    member.peerUrls.some((peerUrl) => known.some(({ address }) => hostOf(peerUrl) === address))
  const gone = observed.members.filter((member) => names.includes(member.name) && !isKept(member))
  for (const { id } of gone) await changed('remove a member that left the cluster', () => api.remove(url, id))
  return gone.map(({ name }) => name)
}

/** Address within a URL, without the brackets of IPv6. */
export const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '')

/** Whoever answers first with a working quorum: its list then is as new as the quorum's. */
async function healthyMember(api: EtcdApi, joining: Joining): Promise<{ url: string; list: MemberList }> {
  const asked = joining.members.map(async ({ clientUrl }) => {
    if (!(await api.isHealthy(clientUrl))) throw new Error(`${hostOf(clientUrl)} has no quorum`)
    return { url: clientUrl, list: await api.members(clientUrl) }
  })
  const found = await Promise.any(asked).catch((error: unknown) => {
    const reasons = error instanceof AggregateError ? error.errors.map(messageOf) : []
    throw noMemberReachable(
      joining.members.map(({ name }) => name),
      reasons.join('; ') || 'there is nobody to ask',
    )
  })
  const { clusterId } = found.list
  if (joining.clusterId !== null && clusterId !== joining.clusterId) {
    throw wrongCluster(clusterId, joining.clusterId)
  }
  return found
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const othersOf = (list: MemberList, joining: Joining): string[] =>
  list.members.flatMap(({ peerUrls }) => (peerUrls.includes(joining.peerUrl) ? [] : peerUrls))

async function changed<T>(what: string, change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    if (error instanceof EtcdApiError) throw changeRefused(what, error.message)
    throw error
  }
}
