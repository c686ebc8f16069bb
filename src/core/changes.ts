/**
 * `plan × cause → plan`: the pure change that every voter computes again before it signs. Decides which area
 * a cause belongs to (changes/…), and that a cause which does not follow changes nothing. Reads plan and cause.
 */
import type { Cause } from './causes.ts'
import { admit } from './changes/admission.ts'
import { isRefusal, obey, type Refusal } from './changes/commands.ts'
import { abortJoin, endAct, initialise, join } from './changes/datastore.ts'
import { leave, leaveDatastore, promoteSpare, removeServer, rename } from './changes/membership.ts'
import { endRollout, haltRollout, turnAgent, turnedAgent, upgrade } from './changes/rollout.ts'
import type { OrderedCommand } from './commands.ts'
import type { Crypto } from './crypto.ts'
import { assertNever } from './ids.ts'
import { HISTORY_MAX, type Next, type Plan } from './plan.ts'

/** The change that a cause makes, or null where it does not follow from the plan: then no honest voter signs it. */
export function applyCause(crypto: Crypto, plan: Plan, cause: Cause): Plan | null {
  const result = change(crypto, plan, cause)
  return result === null || isRefusal(result) ? null : result
}

/** As {@link applyCause}, but a refused command says why. */
export function change(crypto: Crypto, plan: Plan, cause: Cause): Plan | Refusal | null {
  const { what } = cause
  const next: Next = (changes, node, name = what.kind) => ({
    ...plan,
    ...changes,
    history: [
      ...plan.history,
      { index: cause.index, term: cause.term, cause: name, node, at: cause.at, by: givenBy(what) },
    ].slice(-HISTORY_MAX),
  })
  switch (what.kind) {
    case 'lead':
      return plan.voters.includes(cause.by) ? next({}, cause.by) : null
    case 'admit':
      return admit(crypto, plan, what.record, next)
    case 'initialise':
      return initialise(plan, what.node, next)
    case 'join':
      return join(plan, what.node, next)
    case 'outcome':
      return endAct(crypto, plan, what.outcome, next)
    case 'abort':
      return abortJoin(plan, what.node, what.attempt, next)
    case 'upgrade':
      return upgrade(plan, what.node, cause.by, next)
    case 'turn':
      return turnAgent(plan, what.node, next)
    case 'turned':
      return turnedAgent(plan, what.node, what.number, next)
    case 'halt':
      return haltRollout(plan, what.node, what.number, what.reason, next)
    case 'rolled':
      return endRollout(plan, what.number, next)
    case 'promote':
      return promoteSpare(plan, what.sealed, next)
    case 'remove':
      return removeServer(plan, what.node, what.why, next)
    case 'datastore-left':
      return leaveDatastore(plan, what.node, what.attempt, next)
    case 'left':
      return leave(plan, what.node, what.attempt, next)
    case 'rename':
      return rename(plan, what.node, next)
    case 'command':
      return obey(crypto, plan, what, cause.index, next)
    default:
      return assertNever(what)
  }
}

const givenBy = (what: Cause['what']): Plan['history'][number]['by'] =>
  what.kind === 'command'
    ? { who: giverOf(what.ordered), where: what.ordered.origin, why: what.ordered.why }
    : null

/** Whoever hands on what an operator signed cannot say that it was somebody else. */
const giverOf = ({ who, operator }: OrderedCommand): string =>
  operator === null ? who : `operator …${operator.operator.slice(-8)}`

/** All causes in turn; null as soon as one does not follow. */
export function applyCauses(crypto: Crypto, plan: Plan, causes: readonly Cause[]): Plan | null {
  let result: Plan | null = plan
  for (const cause of causes) {
    result = applyCause(crypto, result, cause)
    if (result === null) return null
  }
  return result
}
