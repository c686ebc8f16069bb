/**
 * What a set of status documents says of the cluster as a whole. Pure: the demo, the benchmark and the
 * scenarios ask the same questions through it.
 */
import type { StatusDocument, StatusNode } from '../../src/core/status.ts'

/** The latest status of each host that answers, by host number. */
export type View = ReadonlyMap<number, StatusDocument>

const all = (view: View, hosts: number, test: (status: StatusDocument) => boolean): boolean =>
  view.size >= hosts && [...view.values()].every(test)

/** Someone sees someone. */
export function hasContact(view: View): boolean {
  return [...view.values()].some((status) => status.nodes.some((node) => node.id !== status.self.id))
}

/** Every genesis that anyone holds: more than one breaks the first rule. */
export function geneses(view: View): string[] {
  return [...new Set([...view.values()].flatMap((status) => status.cluster.id ?? []))]
}

/** All `hosts` hosts hold one and the same genesis. */
export function isFounded(view: View, hosts: number): boolean {
  return all(view, hosts, (status) => status.cluster.id !== null) && geneses(view).length === 1
}

/** All `hosts` hosts are in the plan, with an address, and have a path to all the others. */
export function isMeshed(view: View, hosts: number): boolean {
  return all(view, hosts, (status) => {
    const members = status.nodes.filter((node) => node.address !== null)
    return (
      status.self.address !== null &&
      members.length >= hosts &&
      status.self.stage !== 'meshing' &&
      members.every((node) => node.path !== 'none')
    )
  })
}

/** All hosts know the same living leader. */
export function commonLeader(view: View): string | null {
  const leaders = new Set([...view.values()].map((status) => status.cluster.leader))
  const [leader] = leaders
  return leaders.size === 1 && leader !== undefined ? leader : null
}

/** Every server's datastore member is a healthy voter and says so of all the others. */
export function isDistributed(view: View, hosts: number): boolean {
  return all(view, hosts, ({ distribution, nodes }) => {
    if (distribution.kind === 'none') return true
    const servers = nodes.filter((node) => node.role === 'server').length
    const voters = distribution.members.filter((member) => member.voter && member.healthy).length
    return distribution.healthy && servers > 0 && voters === servers
  })
}

/** Everyone is where the plan wants it. */
export function isReady(view: View, hosts: number): boolean {
  return all(view, hosts, (status) => status.self.stage === 'ready') && commonLeader(view) !== null
}

/** Host number of the leader that all agree on; null while there is none. */
export function leaderHost(view: View): number | null {
  const leader = commonLeader(view)
  for (const [index, status] of view) if (status.self.id === leader) return index
  return null
}

export function nodeOf(status: StatusDocument, id: string): StatusNode | undefined {
  return status.nodes.find((node) => node.id === id)
}
