/** The status document and the history, as this node sees the cluster. Reads the state, changes nothing. */
import { isAlive } from './beats.ts'
import { sortedBy } from './codec.ts'
import { freshRecords, recordOf } from './gossip.ts'
import type { Millis, NodeId } from './ids.ts'
import { actSince } from './membership-problems.ts'
import { stageOf } from './node.ts'
import type { HostProblem } from './orders.ts'
import { departedOf, isServer, memberOf, nameOf, type Plan } from './plan.ts'
import { problemsOf, waitingFor } from './problems.ts'
import { hasMoved, rolloutUnderWay } from './revisions.ts'
import type { NodeState } from './state.ts'
import type { HistoryEntry, StatusDocument, StatusNode, StatusProblem, StatusRollout } from './status.ts'
import { certifiedOf, planOf } from './voters.ts'

const NO_OS = { slot: null, version: null, digest: null } as const

/** @param hostProblems what only the host sees beyond mesh and distribution: store, network. */
export function statusOf(
  state: NodeState,
  now: Millis,
  hostProblems: readonly HostProblem[] = [],
): StatusDocument {
  const plan = planOf(state)
  const certified = certifiedOf(state)
  const member = plan === null ? undefined : memberOf(plan, state.id)
  const since = (code: string): string => wallTime(state, state.since.get(code) ?? now)
  const problems: StatusProblem[] = [...problemsOf(state, now), ...hostProblems].map((problem) => ({
    code: problem.code,
    severity: problem.severity,
    since: since(problem.code),
    message: problem.message,
    hint: problem.hint,
  }))
  return {
    apiVersion: 'muster/v1',
    self: {
      id: state.id,
      name: member?.name ?? state.claim.name,
      stage: stageOf(state, now),
      address: member?.address ?? null,
      role: member?.role ?? 'pending',
    },
    cluster: {
      id: state.genesisId,
      network: state.settings.network,
      state: clusterState(state, now, problems),
      expect: state.settings.expect,
      era: plan?.era ?? null,
      term: state.replication.leaderTerm,
      leader: state.replication.leader,
      planIndex: certified?.index ?? null,
    },
    nodes: plan === null ? strangers(state, now) : members(state, plan, now),
    distribution: datastore(state, plan),
    act: actOf(state, plan, now),
    rollout: plan === null ? null : rolloutOf(plan),
    waitingFor: waitingFor(state, now).map((item) => `${item.text} (since ${since(`waiting.${item.key}`)})`),
    problems,
  }
}

const wallTime = (state: NodeState, at: number): string => new Date(at + state.wallOffsetMs).toISOString()

function clusterState(
  state: NodeState,
  now: Millis,
  problems: readonly StatusProblem[],
): StatusDocument['cluster']['state'] {
  if (problems.some((problem) => problem.code === 'genesis.conflict' || problem.code === 'plan.conflict'))
    return 'conflict'
  const plan = planOf(state)
  if (state.genesisId === null || plan === null) {
    return stageOf(state, now) === 'founding' ? 'founding' : 'discovering'
  }
  const servers = plan.members.filter((member) => member.role === 'server')
  const hurt =
    state.replication.leader === null ||
    servers.some((server) => !isAlive(state, server.id, now)) ||
    problems.some((problem) => problem.severity === 'error')
  return hurt ? 'degraded' : 'formed'
}

function members(state: NodeState, plan: Plan, now: Millis): StatusNode[] {
  const listed = plan.members.map(
    (member): StatusNode => ({
      id: member.id,
      name: member.name,
      address: member.address,
      role: member.role,
      stage:
        member.id === state.id ? stageOf(state, now) : (state.beats.view.nodes.get(member.id)?.stage ?? null),
      alive: isAlive(state, member.id, now),
      lastSeenMs: lastSeen(state, member.id, now),
      path: pathTo(state, plan, member.id, now),
      os: NO_OS,
    }),
  )
  const pending = freshRecords(state, now)
    .filter(({ genesis }) => genesis === null || genesis === state.genesisId)
    .filter(({ id }) => memberOf(plan, id) === undefined && departedOf(plan, id) === undefined)
    .map((record) => stranger(state, record.id, now))
  return sortedBy([...listed, ...pending], (node) => `${node.name} ${node.id}`)
}

function strangers(state: NodeState, now: Millis): StatusNode[] {
  const nodes = freshRecords(state, now).map((record) => stranger(state, record.id, now))
  return sortedBy(nodes, (node) => `${node.name} ${node.id}`)
}

function stranger(state: NodeState, id: NodeId, now: Millis): StatusNode {
  return {
    id,
    name: recordOf(state, id)?.claim.name ?? id,
    address: null,
    role: 'pending',
    stage: id === state.id ? stageOf(state, now) : null,
    alive: id === state.id || state.links.has(id),
    lastSeenMs: lastSeen(state, id, now),
    path: id === state.id ? 'self' : 'none',
    os: NO_OS,
  }
}

function lastSeen(state: NodeState, id: NodeId, now: Millis): number | null {
  if (id === state.id) return 0
  const heard = state.heard.get(id)
  return heard === undefined ? null : Math.max(0, now - heard)
}

/** Without a mesh there is nothing to look at: the path to a node that is silent is not known to exist. */
function pathTo(state: NodeState, plan: Plan, id: NodeId, now: Millis): StatusNode['path'] {
  if (id === state.id) return 'self'
  if (plan.settings.vpnMode === 'none' && !isAlive(state, id, now)) return 'none'
  return state.mesh.peers.find((peer) => peer.id === id)?.path ?? 'none'
}

/** A server's own word, or, on an agent, what the leader tells. */
function datastore(state: NodeState, plan: Plan | null): StatusDocument['distribution'] {
  const kind = plan?.settings.distribution ?? state.settings.cluster.distribution
  const facts = state.distribution
  const isOwn = facts.running && (plan === null || isServer(plan, state.id))
  const own = isOwn ? facts : state.beats.view.datastore
  if (kind === 'none') return { kind, version: null, healthy: plan !== null, members: [] }
  return {
    kind,
    version: facts.version ?? own?.version ?? null,
    healthy: own?.healthy ?? false,
    members: own?.members ?? [],
  }
}

function actOf(state: NodeState, plan: Plan | null, now: Millis): StatusDocument['act'] {
  const act = plan?.act ?? null
  if (plan === null || act === null) return null
  const ageMs = Math.max(0, Math.round(now - (actSince(state, plan) ?? now)))
  return { kind: act.kind, node: nameOf(plan, act.node), attempt: act.attempt, ageMs }
}

function rolloutOf(plan: Plan): StatusRollout | null {
  const { rollout } = plan
  if (rollout === null) return null
  const isOver = rolloutUnderWay(plan) === null
  const { kind, number, state, reason, under } = rollout
  const isChanging = (id: NodeId): boolean =>
    under.includes(id) || (plan.act?.kind === 'upgrade' && plan.act.node === id)
  return {
    kind,
    number,
    state,
    reason,
    target: plan.settings.k3s?.version ?? null,
    nodes: sortedBy(plan.members, ({ name }) => name).map(({ id, name, role }) => ({
      name,
      role,
      state: isChanging(id) ? 'changing' : isOver || hasMoved(plan, id) ? 'done' : 'waiting',
    })),
  }
}

const TEXTS: Readonly<Record<string, string>> = {
  lead: 'leads',
  admitted: 'was admitted',
  initialise: 'was asked to initialise the datastore',
  initialised: 'initialised the datastore',
  join: 'was asked to join the datastore',
  joined: 'joined the datastore',
  abort: 'gave up joining the datastore',
  upgrade: 'was asked to change to the new settings',
  upgraded: 'is healthy with the new settings',
  turn: 'was asked to change to the new settings',
  turned: 'is healthy with the new settings',
  halt: 'failed with the new settings: the rollout is halted',
  rolled: 'has the new settings everywhere',
  promote: 'is a server now',
  promoted: 'is a server now',
  approved: 'was let in',
  'approved-server': 'was let in, and may become a server',
  remove: 'is to leave the cluster',
  'replace-dead': 'is dead: another takes its place',
  demote: 'is to become an agent',
  revoked: 'was revoked',
  removed: 'has left the cluster',
  replaced: 'has left the cluster for its successor',
  'datastore-left': 'is out of the datastore',
  left: 'serves no more',
  rename: 'has its old name back',
  'act-broken': 'lost its act to a person',
  configured: 'has other settings',
  paused: 'waits with the rollout',
  resumed: 'goes on with the rollout',
}

const byText = ({ who, why }: NonNullable<Plan['history'][number]['by']>): string =>
  `, by ${who}${why === null ? '' : `: ${why}`}`

/** What the plan went through, oldest first, as far back as plans remember. */
export function historyOf(state: NodeState): HistoryEntry[] {
  const plan = planOf(state)
  if (plan === null) return []
  const nameOfNode = (id: NodeId | null): string => (id === null ? 'the cluster' : nameOf(plan, id))
  const founded: HistoryEntry = {
    index: 0,
    term: 0,
    at: null,
    cause: 'founded',
    node: null,
    text: `founded as ${plan.era.slice(0, 12)}`,
    by: null,
  }
  const rest = plan.history.map(({ index, term, at, cause, node, by }) => ({
    index,
    term,
    at: new Date(at).toISOString(),
    cause,
    node,
    text: `${nameOfNode(node)} ${TEXTS[cause] ?? cause}${by === null ? '' : byText(by)}`,
    by: by === null ? null : { ...by, where: nameOf(plan, by.where) },
  }))
  return [founded, ...rest]
}
