/**
 * What is wrong with who is in and who serves, in words that a person can act on: newcomers that wait, servers
 * that nobody replaces, acts that last, secrets that left with the revoked. Reads the state, changes nothing.
 */
import { isAlive } from './beats.ts'
import { freshRecords } from './gossip.ts'
import type { Millis } from './ids.ts'
import type { HostProblem } from './orders.ts'
import { departedOf, memberOf, nameOf, type Plan } from './plan.ts'
import type { NodeState } from './state.ts'
import { ACT_LONG_MS } from './timing.ts'

export function membershipProblems(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  return [
    ...pendingNewcomers(state, plan, now),
    ...lostServers(state, plan, now),
    ...longAct(state, plan, now),
    ...exposedSecrets(plan),
  ]
}

/** Nodes of this cluster's genesis that no plan has, and that did not leave it. */
const newcomers = (state: NodeState, plan: Plan, now: Millis): readonly { id: string; name: string }[] =>
  freshRecords(state, now)
    .filter(({ id, genesis }) => genesis === state.genesisId && memberOf(plan, id) === undefined)
    .filter(({ id }) => departedOf(plan, id) === undefined)
    .map(({ id, claim }) => ({ id, name: claim.name }))

function pendingNewcomers(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  if (plan.settings.admission === 'open') return []
  const waiting = newcomers(state, plan, now)
  if (waiting.length === 0) return []
  const [first] = waiting
  return [
    {
      code: 'node.pending',
      severity: 'info',
      message: `${waiting.map(({ name }) => name).join(', ')} ${waiting.length === 1 ? 'waits' : 'wait'} for approval`,
      hint: `on a server: \`muster node approve ${first?.name}\` (with --server where it may become one)`,
    },
  ]
}

/** By one's own ears and the leader's word; whether its grace is over is the leader's to say. */
function lostServers(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  const { leader } = state.replication
  const silent = plan.members.filter(({ id, role }) => role === 'server' && !isAlive(state, id, now))
  if (leader === null || silent.length === 0) return []
  const { promote, replaceAfterMs } = plan.settings
  const spares = plan.members.filter(
    ({ id, role, mayServe }) =>
      role === 'agent' && (mayServe || promote === 'any') && isAlive(state, id, now),
  )
  const names = silent.map(({ name }) => name).join(', ')
  if (replaceAfterMs === 0) {
    const hint = 'bring it back, or `muster node remove` it and promote another node'
    return [
      problem('server.not-replaced', `${names}: lost servers are not replaced (replace_after is 0)`, hint),
    ]
  }
  if (spares.length > 0) return []
  return [
    problem(
      'server.no-spare',
      `nobody may take the place of ${names}`,
      'bring it back, or approve another node as server: `muster node approve NODE --server`',
    ),
  ]
}

function longAct(state: NodeState, plan: Plan, now: Millis): HostProblem[] {
  const { act } = plan
  const since = act === null ? null : actSince(state, plan)
  if (act === null || since === null || now - since < ACT_LONG_MS) return []
  const minutes = Math.floor((now - since) / 60_000)
  return [
    problem(
      'act.long',
      `act ${act.attempt} (${act.kind} of ${nameOf(plan, act.node)}) is under way for ${minutes} minutes: nothing else is done meanwhile`,
      `look at ${nameOf(plan, act.node)}; where it will never end: \`muster act break ${act.attempt}\``,
    ),
  ]
}

/** When the act was taken, on this node's own clock as far as the leader's wall clock can be compared with it. */
export function actSince(state: NodeState, plan: Plan): number | null {
  const { act } = plan
  if (act === null) return null
  const causes = act.kind === 'remove' ? REMOVALS : [act.kind]
  const at = plan.history.findLast(({ cause, node }) => causes.includes(cause) && node === act.node)?.at
  return at === undefined ? null : at - state.wallOffsetMs
}

const REMOVALS: readonly string[] = ['remove', 'replace-dead', 'demote', 'revoked']

function exposedSecrets(plan: Plan): HostProblem[] {
  const exposed = plan.departed.filter(({ why, server }) => why === 'revoked' && server)
  if (exposed.length === 0) return []
  return [
    problem(
      'secrets.exposed',
      `${exposed.map(({ name }) => name).join(', ')} had the servers’ secrets when it was revoked, and may have copied them`,
      'rotate the tokens, and found anew where the certificate authority must be trusted again',
    ),
  ]
}

const problem = (code: string, message: string, hint: string): HostProblem => ({
  code,
  severity: 'warning',
  message,
  hint,
})
