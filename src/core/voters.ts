/**
 * Who votes, and what "enough of them" means: reads of the state that elections and entries share. Decides
 * nothing, emits nothing.
 */
import type { Genesis } from './genesis.ts'
import { type NodeId, type Term, term } from './ids.ts'
import {
  type CertifiedPlan,
  type Departed,
  departedOf,
  isMajority,
  memberOf,
  type Plan,
  planHashOf,
  votersBefore,
} from './plan.ts'
import type { NodeState } from './state.ts'
import { CROWD_FROM } from './timing.ts'
import type { Turn } from './turn.ts'

export const certifiedOf = (state: NodeState): CertifiedPlan | null => state.durable.certified
export const genesisOf = (state: NodeState): Genesis | null => state.durable.genesis?.genesis ?? null
export const planOf = (state: NodeState): Plan | null => state.durable.certified?.plan ?? null
export const isMember = (state: NodeState): boolean => {
  const plan = planOf(state)
  return plan !== null && memberOf(plan, state.id) !== undefined
}
export const isCrowd = ({ members }: Plan): boolean => members.length >= CROWD_FROM
export const isLeader = (state: NodeState): boolean => state.replication.leadership !== null

/** Whether orders are given here: also to who is out, so that what must not run stops. */
export const mayOrder = (state: NodeState): boolean =>
  state.blocked === null || state.durable.restored || leftOf(state) !== undefined

/** How this node left the cluster; undefined while it is in, or was never. */
export function leftOf(state: NodeState): Departed | undefined {
  const plan = planOf(state)
  return plan === null ? undefined : departedOf(plan, state.id)
}

/** Sets of voters each of which must agree by majority: the certified ones, and those of an entry under way. */
function electorates(state: NodeState): (readonly NodeId[])[] {
  const { certified, voting } = state.durable
  if (certified === null) return []
  const current = certified.plan.voters
  const next = voting.accepted?.plan.voters
  return next === undefined || sameIds(next, current) ? [current] : [current, next]
}

export const sameIds = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i])

export const votersOf = (state: NodeState): NodeId[] => [...new Set(electorates(state).flat())]
export const isVoter = (state: NodeState): boolean => votersOf(state).includes(state.id)
export const agreed = (state: NodeState, ids: ReadonlySet<NodeId>): boolean =>
  electorates(state).every((voters) => isMajority(voters, ids))

export interface Position {
  readonly term: number
  readonly index: number
}

export const isAfter = (a: Position, b: Position): boolean =>
  a.term > b.term || (a.term === b.term && a.index > b.index)

/** Position of the newest entry that this voter signed or knows to be certified: what elections compare. */
export function lastEntry(state: NodeState): { readonly term: Term; readonly index: number } {
  const { certified, voting } = state.durable
  const none = { term: term(0), index: -1 }
  const known = certified ?? none
  const { accepted } = voting
  return accepted !== null && isAfter(accepted, known) ? accepted : known
}

/** The chain of voter changes as the plan after `certified` needs it: with its own change, if it made one. */
export function chainAfter(turn: Turn, certified: CertifiedPlan): CertifiedPlan['chain'] {
  const genesis = genesisOf(turn.state)
  if (genesis === null || sameIds(votersBefore(genesis, certified.chain), certified.plan.voters))
    return certified.chain
  return [
    ...certified.chain,
    {
      term: certified.term,
      index: certified.index,
      plan: planHashOf(turn.crypto, certified.plan),
      base: certified.base,
      voters: certified.plan.voters,
      signatures: certified.signatures,
    },
  ]
}
