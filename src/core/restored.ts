/**
 * How a voter finds out that its disk is an old copy (DESIGN.md section 8): somebody shows it its own signature
 * over something later than all that its disk remembers. A voter writes before it signs, so that this never
 * happens to a disk that kept its word. Decides that it votes no more and that its datastore stops; a person
 * resets the machine, which then joins as a new one.
 */
import { type LeaderRecord, voteStatement } from './leader-record.ts'
import { type CertifiedPlan, planHashOf, planStatement, votersBefore } from './plan.ts'
import type { Blocked } from './state.ts'
import { log, persist, type Turn } from './turn.ts'
import { genesisOf, isAfter, lastEntry } from './voters.ts'

export const RESTORED: Blocked = {
  code: 'state.restored',
  message: 'the state on this disk is an old copy: this server signed what the disk does not remember',
  hint: 'run `muster reset` here: the machine joins again as a new node; where most servers were restored from a backup, compare `muster history` on all of them first',
}

/** @param certified proven by its signatures and chain. */
export function rememberSigned(turn: Turn, certified: CertifiedPlan): void {
  const { state, crypto } = turn
  const genesis = genesisOf(state)
  const own = certified.signatures.find(({ node }) => node === state.id)
  if (genesis === null || own === undefined || !isAfter(certified, lastEntry(state))) return
  const { plan, base, chain } = certified
  const old = votersBefore(genesis, chain)
  const bytes = planStatement(crypto, plan.era, old, plan.voters, certified, planHashOf(crypto, plan), base)
  if (crypto.verify(state.id, bytes, own.signature)) {
    findRestored(turn, `plan ${certified.term}.${certified.index}`)
  }
}

/** @param record proven by its votes. */
export function rememberVote(turn: Turn, record: LeaderRecord): void {
  const { state, crypto } = turn
  const { voting, certified } = state.durable
  const own = record.votes.find(({ node }) => node === state.id)
  if (own === undefined || certified === null || record.term < voting.term) return
  if (record.term === voting.term && voting.vote === record.leader) return
  const bytes = voteStatement(crypto, record.era, certified.plan.voters, record.term, record.leader)
  if (crypto.verify(state.id, bytes, own.signature)) findRestored(turn, `the vote in term ${record.term}`)
}

function findRestored(turn: Turn, forgotten: string): void {
  const { state } = turn
  if (state.durable.restored) return
  persist(turn, { restored: true })
  state.blocked ??= RESTORED
  log(turn, 'warn', 'state.restored', { forgotten })
}
