/**
 * What this node puts into the DHT and what it makes of what it finds there: the outcome of an election, with
 * the votes that prove it. Decides when a leader publishes and whom a finder dials.
 */
import type { Leadership } from './election.ts'
import { type LeaderRecord, leaderRecordKey, verifyLeaderRecord } from './leader-record.ts'
import { rememberVote } from './restored.ts'
import { PUBLISH_MS } from './timing.ts'
import { after, log, type Turn } from './turn.ts'
import { certifiedOf, genesisOf } from './voters.ts'

export function publish(turn: Turn, leadership: Leadership): void {
  const { state } = turn
  const certified = certifiedOf(state)
  leadership.publishAt = after(turn, PUBLISH_MS)
  if (certified === null || state.genesisId === null) return
  const record: LeaderRecord = {
    era: state.genesisId,
    term: state.replication.leaderTerm,
    leader: state.id,
    addresses: state.addresses.slice(0, 32),
    votes: [...leadership.votes],
    chain: [...leadership.chain],
  }
  turn.effects.push({ kind: 'publish', record })
}

/** Answers of the DHT: whoever was really elected is dialled and asked. */
export function handleLeaderRecords(turn: Turn, records: readonly LeaderRecord[]): void {
  const { state, crypto } = turn
  const genesis = genesisOf(state)
  if (genesis === null || state.genesisId === null) return
  for (const record of records) {
    if (!verifyLeaderRecord(crypto, genesis, state.genesisId, record)) {
      log(turn, 'warn', 'leader-record.refused', { key: leaderRecordKey(record.era), leader: record.leader })
      continue
    }
    rememberVote(turn, record)
    if (record.leader === state.id || state.links.has(record.leader)) continue
    log(turn, 'info', 'leader-record.found', { leader: record.leader, term: record.term })
    turn.effects.push({ kind: 'dial', peer: record.leader, addresses: record.addresses })
  }
}
