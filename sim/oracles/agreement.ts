/**
 * Rule 11 at the end: when faults are over, what each node's status says of the cluster is what an all-seeing eye
 * sees: who leads, who is alive and how far, whose datastore, and that nothing is waited for which is there.
 */
import type { Member } from '../../src/core/genesis.ts'
import type { Plan } from '../../src/core/plan.ts'
import type { StatusDocument } from '../../src/core/status.ts'
import type { Machine } from '../machine.ts'
import type { World } from '../world.ts'

/** In what the status differs from the truth; null where it does not. */
export function differs(world: World, status: StatusDocument, plan: Plan): string | null {
  const { cluster, distribution, waitingFor } = status
  const { liars, replication } = world.oracles
  const newest = replication.newest(plan.era)
  // An only voter tells nobody that it leads a later term; and one that lies may be believed that it does.
  const { leader, term } = cluster
  const isLater = leader !== null && term > (newest?.term ?? 0)
  const isAgreed = isLater && replication.isElected(plan.era, term, leader, plan.voters)
  const isMisled = plan.voters.some((id) => liars.has(id))
  if (
    !isAgreed &&
    !isMisled &&
    newest !== null &&
    (cluster.leader !== newest.leader || cluster.term !== newest.term)
  ) {
    return `it takes ${cluster.leader} for the leader of term ${cluster.term}, not ${newest.leader} of ${newest.term}`
  }
  const servers = plan.members.filter(({ role }) => role === 'server')
  if (plan.settings.distribution === 'etcd') {
    if (!distribution.healthy) return 'it takes the datastore for unhealthy'
    const store = world.datastores.find(({ id }) => id === plan.datastore.clusterId)
    const known = distribution.members.map(({ name }) => name).sort()
    const real = (store?.members ?? []).map(({ name }) => name).sort()
    if (known.join() !== real.join())
      return `it says that the datastore is on ${known.join()}, not ${real.join()}`
    const isComplete = plan.act === null && servers.every(({ id }) => plan.datastore.members.includes(id))
    if (isComplete && waitingFor.length > 0) return `it waits for ${waitingFor.join('; ')}`
  } else if (plan.settings.distribution === 'none' && waitingFor.length > 0)
    return `it waits for ${waitingFor.join('; ')}`
  return differsInHealth(world, status, plan)
}

/** Who is alive, and whether the cluster is whole: where messages are lost for good, both come and go. */
function differsInHealth(world: World, status: StatusDocument, plan: Plan): string | null {
  if (world.lossy) return null
  const { liars } = world.oracles
  const machines = new Map(world.machines.filter(isUp).map((other) => [other.keys.id, other]))
  const wrong = plan.members.find(
    (member) => !liars.has(member.id) && seesWrongly(status, member, machines.get(member.id)),
  )
  if (wrong !== undefined) return `it is wrong about ${wrong.name}`
  const servers = plan.members
    .filter(({ role, id }) => role === 'server' && !liars.has(id))
    .map(({ id }) => machines.get(id))
  const isHurt = servers.some((server) => server === undefined)
  // A machine that waits for a person does not beat, and shows now as alive, now not.
  const isUnclear = servers.some((server) => server?.state?.blocked != null)
  const isBlamed = status.problems.some(({ severity }) => severity === 'error')
  const { state } = status.cluster
  if (isHurt && state === 'formed') return 'it is formed, though a server is gone'
  if (!isHurt && !isUnclear && !isBlamed && state !== 'formed')
    return `it is ${state}, though all servers are here`
  return null
}

const isUp = ({ state, paused }: Machine): boolean => state !== null && !paused

function seesWrongly(status: StatusDocument, member: Member, there: Machine | undefined): boolean {
  const shown = status.nodes.find(({ id }) => id === member.id)
  if (shown === undefined || shown.address !== member.address || shown.role !== member.role) return true
  const isSilent = status.problems.some(({ code }) => code === `node.silent.${member.name}`)
  if (there === undefined) return shown.alive || !isSilent
  if (there.state?.blocked != null) return false
  return !shown.alive || isSilent
}
