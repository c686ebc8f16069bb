/**
 * What is wrong and what is waited for, in words that a person can act on. Decides nothing but the words:
 * reads the whole state, changes only the memory of since when each problem is there.
 */
import { isAlive } from './beats.ts'
import { sortedBy } from './codec.ts'
import { distributionProblems, waitingForDistribution } from './distribution-problems.ts'
import { eligibleFounders } from './founding.ts'
import { foundingQuorum } from './genesis.ts'
import { freshInAnyOrder, recordOf } from './gossip.ts'
import type { Millis } from './ids.ts'
import { visibleGeneses } from './joining.ts'
import { k3sDifferences } from './k3s.ts'
import { membershipProblems } from './membership-problems.ts'
import type { HostProblem } from './orders.ts'
import { unreachablePeers } from './paths.ts'
import { memberOf, type Plan } from './plan.ts'
import { isRecalling } from './restored.ts'
import type { NodeState } from './state.ts'
import { COMPANY_MS, LEADERLESS_MS, PROBLEMS_MS, RECORD_FORMED_RENEW_MS, SILENT_MS } from './timing.ts'
import { after, type Deadline, log, type Turn } from './turn.ts'
import { genesisOf, planOf } from './voters.ts'

/** Every problem that this node can name now, its host's included. */
export function problemsOf(state: NodeState, now: Millis): HostProblem[] {
  return [
    ...ownProblems(state, now),
    ...foundingProblems(state, now),
    ...planProblems(state, now),
    ...distributionProblems(state, now),
    ...state.mesh.problems,
    ...state.distribution.problems,
  ]
}

function ownProblems(state: NodeState, now: Millis): HostProblem[] {
  const { blocked, genesisId, fingerprint } = state
  const problems: HostProblem[] = []
  if (blocked !== null) problems.push({ ...blocked, severity: 'error' })
  if (fingerprint === null) {
    problems.push({
      code: 'state.no-fingerprint',
      severity: 'info',
      message: 'this machine has no ID of its own: a copied disk cannot be told from the original',
      hint: 'give it a DMI product UUID or /etc/machine-id',
    })
  }
  const others = conflictingGeneses(state, now)
  if (genesisId !== null && others.length > 0) {
    const list = others.map((id) => `${id.slice(0, 12)} (${holders(state, id)})`).join(', ')
    problems.push({
      code: 'genesis.conflict',
      severity: 'error',
      message: `another cluster of this token is in sight: this one is ${genesisId.slice(0, 12)}, the other ${list}`,
      hint: 'both keep running; decide which to keep, run `muster reset` on the machines of the other, and hand out pinned tokens',
    })
  }
  if (state.distribution.dataPresent && genesisId === null) {
    problems.push({
      code: 'datastore.orphan',
      severity: 'error',
      message: 'data of a datastore is on this machine’s disk, but no plan that it belongs to',
      hint: 'restore the state directory, or run `muster reset`, which moves the data aside',
    })
  }
  return problems
}

/** Living or lately seen nodes of another genesis than ours. */
function conflictingGeneses(state: NodeState, now: Millis): string[] {
  const ids = [...state.gossip.records.values()]
    .filter((known) => now - known.advancedAt < 2 * RECORD_FORMED_RENEW_MS)
    .map((known) => known.signed.record.genesis)
    .filter((id) => id !== null && id !== state.genesisId)
  return [...new Set(ids.filter((id) => id !== null))].sort()
}

function holders(state: NodeState, genesis: string): string {
  const names = [...state.gossip.records.values()]
    .map((known) => known.signed.record)
    .filter((record) => record.genesis === genesis)
    .map((record) => record.claim.name)
  return `${names.length} node${names.length === 1 ? '' : 's'}: ${names.sort().slice(0, 5).join(', ')}`
}

function foundingProblems(state: NodeState, now: Millis): HostProblem[] {
  if (state.genesisId !== null) return []
  const problems: HostProblem[] = []
  const { expect } = state.settings
  const fresh = freshInAnyOrder(state, now)
  const differing = sortedBy(
    fresh.filter((record) => record.expect !== expect),
    (record) => record.id,
  )
  if (differing.length > 0) {
    const list = differing.map((record) => `${record.claim.name} expects ${record.expect}`).join(', ')
    problems.push({
      code: 'founding.expect-differs',
      severity: 'error',
      message: `this node expects ${expect} machines, ${list}`,
      hint: 'give all machines the same token, and the same `muster.expect` where it is set',
    })
  }
  const withData = sortedBy(
    fresh.filter((record) => record.datastore && record.genesis === null && record.id !== state.id),
    (record) => record.id,
  )
  if (withData.length > 0) {
    problems.push({
      code: 'founding.datastore-found',
      severity: 'error',
      message: `${withData.map((record) => record.claim.name).join(', ')} has data of a datastore but no plan: nobody founds beside it`,
      hint: 'restore its state directory, or run `muster reset` there, which moves the data aside',
    })
  }
  const geneses = visibleGeneses(state, now)
  if (geneses.length > 1) {
    problems.push({
      code: 'genesis.conflict',
      severity: 'error',
      message: `two clusters of this token are in sight (${geneses.map((id) => id.slice(0, 12)).join(', ')}): this node joins neither`,
      hint: 'use a token pinned to the right one (`muster token pin`), or `muster reset` the machines of the other',
    })
  }
  const lonely = loneliness(state, now)
  if (lonely !== null) problems.push(lonely)
  return problems
}

/** Waiting for others is no problem at first; later a person wants to know what to do. */
function loneliness(state: NodeState, now: Millis): HostProblem | null {
  if (state.blocked !== null) return null
  const { key, text } = waitingToFound(state, now)
  // Machines that come and go do not begin anew what this one has been waiting for since its start.
  const isEnough = key === 'founding' || key === 'settle'
  const since = isEnough ? (state.since.get(`waiting.${key}`) ?? now) : state.startedAt
  if (now - since < COMPANY_MS + (key === 'settle' ? state.settings.settleMs : 0)) return null
  switch (key) {
    case 'founding':
    case 'settle':
      return {
        code: 'founding.unanswered',
        severity: 'warning',
        message: 'enough machines are in sight to found the cluster, but too few of them answer',
        hint: 'check that TCP passes in both directions between all machines, and that none of them is blocked (`muster status` there)',
      }
    case 'machines':
      return {
        code: 'founding.machines-missing',
        severity: 'warning',
        message: `this node has long been waiting for ${text}`,
        hint: 'power on the missing machines, with the same token; where multicast does not pass between them, list one under `muster.discovery.peers`',
      }
    case 'pin':
      return {
        code: 'genesis.pinned-missing',
        severity: 'warning',
        message: `this node has long been waiting for ${text}`,
        hint: 'check that machines of that cluster are on and reachable, or give this one the token of the right cluster',
      }
    default:
      return null
  }
}

function planProblems(state: NodeState, now: Millis): HostProblem[] {
  const plan = planOf(state)
  const genesis = genesisOf(state)
  if (plan === null || genesis === null) return []
  const problems: HostProblem[] = []
  const nameOf = (id: Plan['voters'][number]): string => memberOf(plan, id)?.name ?? id
  const { leader, leaderlessSince } = state.replication
  const isLeaderless = leaderlessSince !== null && now - leaderlessSince >= LEADERLESS_MS
  if (leader === null && isLeaderless && state.blocked === null) {
    const silent = plan.voters.filter((id) => !isAlive(state, id, now)).map(nameOf)
    const needed = Math.floor(plan.voters.length / 2) + 1
    problems.push({
      code: 'leader.none',
      severity: 'error',
      message:
        silent.length === 0
          ? 'no leader at the moment: the servers are electing one'
          : `no leader: ${needed} of ${plan.voters.length} servers are needed, ${silent.join(', ')} ${silent.length === 1 ? 'is' : 'are'} silent`,
      hint: 'everything that runs keeps running; power on or reconnect the silent servers; where most are lost for good: `muster recover`',
    })
  } else if (now - state.startedAt >= SILENT_MS) {
    const silent = plan.members.filter((member) => !isAlive(state, member.id, now))
    for (const member of silent) {
      problems.push({
        code: `node.silent.${member.name}`,
        severity: 'warning',
        message: `${member.name} (${member.role}, ${member.address}) is silent`,
        hint: 'check its power and network; it comes back as itself',
      })
    }
  }
  const unreachable = unreachablePeers(state, now)
  if (unreachable.length > 0 && state.mesh.up && state.meshed) {
    problems.push({
      code: 'mesh.unreachable',
      severity: 'warning',
      message: `no mesh path to ${unreachable.map((id) => nameOf(id)).join(', ')}`,
      hint: `check that UDP passes between the machines (${unreachable
        .flatMap((id) => recordOf(state, id)?.endpoints[0] ?? [])
        .join(', ')})`,
    })
  }
  problems.push(...membershipProblems(state, plan, now))
  const { cluster } = state.settings
  const differing = (
    [
      'servers',
      'admission',
      'promote',
      'replaceAfterMs',
      'operators',
      'maxNodes',
      'vpnMode',
      'vpnCidr',
      'distribution',
    ] as const
  ).filter((key) => String(cluster[key]) !== String(plan.settings[key]))
  const shown = (value: unknown): string => String(value) || 'none'
  const list = differing.map(
    (key) => `${key} is ${shown(cluster[key])} here, ${shown(plan.settings[key])} in the plan`,
  )
  for (const key of k3sDifferences(cluster.k3s, plan.settings.k3s)) list.push(`k3s: ${key}`)
  if (list.length > 0) {
    problems.push({
      code: 'config.differs',
      severity: 'warning',
      message: `the configuration differs from the plan: ${list.join('; ')}`,
      hint: 'the plan wins: make the file agree with it, or change the plan with `muster config apply`',
    })
  }
  return problems
}

/** What this node waits for, each with a stable key for its "since". */
export function waitingFor(state: NodeState, now: Millis): { readonly key: string; readonly text: string }[] {
  const plan = planOf(state)
  if (state.blocked !== null) return [{ key: 'person', text: 'a person (see problems)' }]
  if (state.genesisId === null) return [waitingToFound(state, now)]
  if (plan === null || memberOf(plan, state.id) === undefined) {
    const pending = plan?.settings.admission === 'approve' || state.admission.answer === 'pending'
    const text = pending ? 'a person to approve this node' : 'a server that admits this node'
    return [{ key: 'admission', text }]
  }
  const items: { key: string; text: string }[] = []
  if (isRecalling(state)) {
    items.push({ key: 'recall', text: 'the other nodes to say what they hold of this server’s signatures' })
  }
  if (!state.mesh.up)
    items.push({ key: 'mesh', text: `the mesh interface with ${memberOf(plan, state.id)?.address}` })
  const unreachable = unreachablePeers(state, now)
  if (state.mesh.up && !state.meshed && unreachable.length > 0) {
    const names = unreachable.map((id) => memberOf(plan, id)?.name ?? id)
    items.push({ key: 'paths', text: `mesh paths to ${names.join(', ')}` })
  }
  if (plan.settings.distribution !== 'none') items.push(...waitingForDistribution(state, plan))
  return items
}

function waitingToFound(state: NodeState, now: Millis): { key: string; text: string } {
  const { expect, pin } = state.settings
  if (pin !== null) return { key: 'pin', text: `cluster ${pin.slice(0, 12)}, which the token is pinned to` }
  if (visibleGeneses(state, now).length > 0)
    return { key: 'genesis', text: 'the genesis of the cluster in sight' }
  const eligible = eligibleFounders(state, now)
  if (eligible.length > 0 && eligible.every(({ claim }) => claim.serverPreference === 'never')) {
    return { key: 'servers', text: 'a machine that may be a server: all that are here have the role agent' }
  }
  const here = eligible.length
  const missing = expect - here
  if (missing > 0 && here < foundingQuorum(expect)) {
    return {
      key: 'machines',
      text: `${missing} more machine${missing === 1 ? '' : 's'}: ${here} of ${expect} are here`,
    }
  }
  if (missing > 0)
    return { key: 'settle', text: `late machines: ${here} of ${expect} are here, enough to found soon` }
  return { key: 'founding', text: 'the founding to complete' }
}

/** Keeps the memory of since when; logs what came and what went. */
export function tickProblems(turn: Turn): void {
  const { state, now } = turn
  if (now < state.problemsAt) return
  state.problemsAt = after(turn, PROBLEMS_MS)
  const problems = problemsOf(state, now)
  const current = new Set([
    ...problems.map((problem) => problem.code),
    ...waitingFor(state, now).map((item) => `waiting.${item.key}`),
  ])
  for (const problem of problems) {
    if (state.since.has(problem.code)) continue
    log(turn, problem.severity === 'info' ? 'info' : 'warn', 'problem.appeared', {
      code: problem.code,
      message: problem.message,
    })
  }
  for (const code of current) if (!state.since.has(code)) state.since.set(code, now)
  for (const code of [...state.since.keys()]) {
    if (current.has(code)) continue
    state.since.delete(code)
    if (!code.startsWith('waiting.')) log(turn, 'info', 'problem.gone', { code })
  }
}

export const problemDeadlines = (state: NodeState): Deadline[] => [
  { at: state.problemsAt, why: 'looking for problems' },
]
