/**
 * What becomes of who is out: it learns so, says so in its status, and nobody serves it (rule 10). Decides which
 * messages of the departed are heard, what they are told, and with whom no connection may be.
 */
import type { NodeId } from './ids.ts'
import { type Departed, departedOf } from './plan.ts'
import type { Message } from './protocol.ts'
import type { Blocked, NodeState } from './state.ts'
import { TOLD_OUT_MS } from './timing.ts'
import { after, log, send, type Turn } from './turn.ts'
import { certifiedOf, leftOf, planOf } from './voters.ts'

const isOut = (state: NodeState, id: NodeId): boolean => {
  const plan = planOf(state)
  return plan !== null && departedOf(plan, id) !== undefined
}

/**
 * A message of who left is not served; the plan that says so is its answer. Only a leader that goes may still
 * name who leads next, and who slept through the founding learns what the plan is of.
 * @returns whether the message is to be heard.
 */
export function mayHear(turn: Turn, from: NodeId, message: Message): boolean {
  const isHarmless = message.kind === 'resign' || message.kind === 'genesis.pull'
  if (!isOut(turn.state, from) || isHarmless) return true
  tellOut(turn, from)
  return false
}

/** Certified, so that it need not believe who tells it. */
export function tellOut(turn: Turn, to: NodeId): void {
  const { state, now } = turn
  const certified = certifiedOf(state)
  const { toldOut } = state.admission
  if (certified === null || !isOut(state, to) || now < (toldOut.get(to) ?? now)) return
  toldOut.set(to, after(turn, TOLD_OUT_MS))
  send(turn, to, { kind: 'plan.share', certified })
}

/** The revoked in order, whenever their list changed, and again when one is connected all the same. */
export function shunRevoked(turn: Turn, connected: NodeId | null = null): void {
  const { state } = turn
  const plan = planOf(state)
  if (plan === null) return
  const peers = plan.departed.filter(({ why }) => why === 'revoked').map(({ id }) => id)
  const text = peers.join()
  if (text === state.lastOrders.shunned && (connected === null || !peers.includes(connected))) return
  state.lastOrders.shunned = text
  turn.effects.push({ kind: 'shun', peers })
}

/** By the plan that it holds, this node is out: it stops what it runs, and waits for a person. */
export function blockIfOut(turn: Turn): void {
  const { state } = turn
  const left = leftOf(state)
  if (left === undefined || state.blocked?.code === 'node.revoked' || state.blocked?.code === 'node.removed')
    return
  state.blocked = blockedAs(state, left)
  log(turn, 'warn', state.blocked.code, { name: left.name, why: left.why })
}

function blockedAs(state: NodeState, left: Departed): Blocked {
  const by = planOf(state)?.history.findLast((line) => line.node === state.id && line.by !== null)?.by
  const who = by == null ? '' : ` by ${by.who}${by.why === null ? '' : ` (${by.why})`}`
  if (left.why === 'revoked') {
    return {
      code: 'node.revoked',
      message: `this node was revoked${who}: it is in no cluster any more`,
      hint: 'where that was a mistake: run `muster reset` here, and approve the new node on a server',
    }
  }
  const why = left.why === 'dead' ? ': it was silent for too long, and its place was taken' : who
  return {
    code: 'node.removed',
    message: `this node was removed from the cluster${why}`,
    hint: 'run `muster reset` here: the machine joins again as a new node; `muster node replace` gives it its name back',
  }
}
