/**
 * What is wrong with the distribution, and what it waits for, in words that a person can act on. Decides nothing
 * but the words; what only the driver sees is in its facts.
 */
import { isAlive } from './beats.ts'
import { isDistributed } from './distribution.ts'
import type { Millis, NodeId } from './ids.ts'
import type { DistributionFacts, HostProblem } from './orders.ts'
import { isUnreachable } from './paths.ts'
import { isServer, memberOf, nameOf, type Plan } from './plan.ts'
import { agentsLeft, revisionFor, rolloutUnderWay, serversLeft } from './revisions.ts'
import { lacksSecret } from './secrets.ts'
import type { NodeState } from './state.ts'
import { LEADERLESS_MS } from './timing.ts'
import { planOf } from './voters.ts'

export function distributionProblems(state: NodeState, now: Millis): HostProblem[] {
  const plan = planOf(state)
  if (plan === null || plan.settings.distribution === 'none') return []
  return [
    ...datastoreLost(state, plan, now),
    ...serversUnreachable(state, plan, now),
    ...rolloutHalted(plan),
    ...nodeProblems(state, plan, now),
  ]
}

/** Too few members answer for a quorum: nothing is done by itself, and everybody says who is missing. */
function datastoreLost(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  const { clusterId, members } = plan.datastore
  const isKept = plan.settings.k3s?.external !== true
  if (clusterId === null || !isKept || now - state.startedAt < LEADERLESS_MS) return []
  const word = wordOf(state, plan)
  // Whoever works with a quorum knows better than a list that may be old.
  if (word?.healthy === true) return []
  const down = members.filter((id) => {
    const told = word?.members.find(({ name }) => name === nameOf(plan, id))
    return !isAlive(state, id, now) || told?.healthy === false
  })
  const needed = Math.floor(members.length / 2) + 1
  if (members.length - down.length >= needed) return []
  const names = down.map((id) => nameOf(plan, id))
  const are = names.length === 1 ? 'does' : 'do'
  return [
    {
      code: 'datastore-lost',
      severity: 'error',
      message: `the datastore has no quorum: ${needed} of its ${members.length} members are needed, ${names.join(', ')} ${are} not answer`,
      hint: 'nothing is changed meanwhile: power on or reconnect them; if they are gone for good, run `muster recover` on the server that is left',
    },
  ]
}

type Word = Pick<DistributionFacts, 'healthy' | 'members'>

/** A server that is alive may still have a datastore that is not: its own word, or what a leader tells now. */
function wordOf({ id, distribution, beats, replication }: NodeState, plan: Plan): Word | null {
  if (isServer(plan, id) && distribution.running) return distribution
  return replication.leader === null ? null : beats.view.datastore
}

/** An agent reaches the API through any server: without one it goes on with what it has, and gets nothing new. */
function serversUnreachable(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  const { clusterId, members } = plan.datastore
  if (plan.settings.distribution !== 'k3s' || isServer(plan, state.id) || clusterId === null) return []
  if (memberOf(plan, state.id) === undefined || state.distribution.ready || !state.mesh.up) return []
  if (members.some((id) => isAlive(state, id, now) && !isUnreachable(state, id, now))) return []
  return [
    {
      code: 'distribution.no-server',
      severity: 'error',
      message: `this agent reaches none of the servers: ${members.map((id) => nameOf(plan, id)).join(', ')}`,
      hint: 'power them on, or check the network between this machine and them; it joins again by itself',
    },
  ]
}

function rolloutHalted(plan: Plan): HostProblem[] {
  const rollout = rolloutUnderWay(plan)
  if (rollout?.state !== 'halted') return []
  const left = serversLeft(plan).length + agentsLeft(plan).length
  return [
    {
      code: 'rollout.halted',
      severity: 'error',
      message: `the rollout of ${targetText(plan)} is halted, ${left} nodes stay as they are: ${rollout.reason ?? ''}`,
      hint: 'mend that node and run `muster rollout resume`, or give settings that work with `muster config apply FILE`',
    },
  ]
}

/** What a rollout brings, in a word. */
export const targetText = ({ settings, rollout }: Plan): string =>
  `${settings.k3s?.version ?? 'k3s’ settings'} (revision ${rollout?.number ?? 0})`

/** What the API server says of the nodes, where this one can ask it; silent ones have a problem of their own. */
function nodeProblems(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  const problems: HostProblem[] = []
  for (const { name, ready, version } of state.distribution.nodes) {
    const member = plan.members.find((candidate) => candidate.name === name)
    if (member === undefined || !isAlive(state, member.id, now) || isChanging(plan, member.id)) continue
    if (!ready) {
      problems.push({
        code: `distribution.not-ready.${name}`,
        severity: 'warning',
        message: `Kubernetes says that ${name} is not ready`,
        hint: `\`k3s kubectl describe node ${name}\` on a server tells why`,
      })
    }
    const wanted = revisionFor(plan, member.id)?.settings.version ?? null
    if (wanted === null || version === null || version === wanted) continue
    problems.push({
      code: `distribution.version.${name}`,
      severity: 'warning',
      message: `${name} runs ${version}, the plan says ${wanted}`,
      hint: 'look at the problems on that machine; the version is changed with `muster config apply FILE` only',
    })
  }
  return problems
}

const isChanging = ({ act, rollout }: Plan, id: NodeId): boolean =>
  (act?.kind === 'upgrade' && act.node === id) || (rollout?.under.includes(id) ?? false)

const ACT_TEXTS = {
  initialise: 'initialise the datastore',
  join: 'join the datastore',
  upgrade: 'be healthy with the new settings',
  remove: 'leave the datastore and the servers',
} as const

export function waitingForDistribution(
  state: NodeState,
  plan: Plan,
): { readonly key: string; readonly text: string }[] {
  const { act, datastore } = plan
  const servers = plan.members.filter((member) => member.role === 'server')
  const items: { key: string; text: string }[] = []
  if (act !== null) {
    items.push({ key: `act.${act.attempt}`, text: `${nameOf(plan, act.node)} to ${ACT_TEXTS[act.kind]}` })
  } else {
    const missing = servers.filter((server) => !datastore.members.includes(server.id))
    if (missing.length > 0) {
      const names = missing.map((m) => m.name).join(', ')
      items.push({ key: 'members', text: `${names} to be ready for the datastore` })
    }
  }
  items.push(...waitingForRollout(plan))
  if (lacksSecret(state)) items.push({ key: 'secret', text: 'a server to give the agents’ secret' })
  if (items.length > 0 || isDistributed(state)) return items
  const what =
    plan.settings.distribution === 'k3s' ? 'k3s to be ready here' : 'the datastore to be healthy here'
  return [{ key: 'healthy', text: what }]
}

function waitingForRollout(plan: Plan): { key: string; text: string }[] {
  const rollout = rolloutUnderWay(plan)
  if (rollout === null) return []
  const left = [...serversLeft(plan), ...agentsLeft(plan)]
  if (rollout.state !== 'running' || left.length === 0) return []
  const names = left.map((id) => nameOf(plan, id)).join(', ')
  return [{ key: 'rollout', text: `${targetText(plan)} to reach ${names}` }]
}
