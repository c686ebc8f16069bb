/** Time taken out of a state: nothing comes due by itself, and what merely counts or spreads is constant. */
import { millis } from '../../src/core/ids.ts'
import type { NodeState } from '../../src/core/state.ts'
import { FAR, NOW } from './model.ts'

/**
 * Gossip, beats, problems and orders are in no model: their deadlines never come. Where a deadline is part of
 * the protocol its module's model lets it come by a move.
 */
export function takeTimesOut(state: NodeState): void {
  const { founding, gossip, replication, beats, admission, recall } = state
  // No disk is an old copy here: what others would remind a voter of is on it.
  recall.remembered = null
  recall.told.clear()
  recall.entries.clear()
  recall.votes.clear()
  state.jitter = 1
  state.problemsAt = millis(FAR)
  state.since.clear()
  state.heard.clear()
  state.lastOrders = { ...state.lastOrders, meshBasis: [], mesh: '', distributionBasis: [], distribution: '' }
  gossip.renewAt = millis(FAR)
  gossip.roundAt = millis(FAR)
  gossip.changes = 0
  gossip.digest = null
  beats.beatAt = millis(FAR)
  beats.sentFacts = ''
  beats.sentNews = ''
  admission.askAt = millis(FAR)
  admission.lookupAt = millis(FAR)
  founding.standAt = millis(FAR)
  founding.backoffMs = 1
  founding.readySince = millis(NOW)
  founding.othersAt = null
  const { candidacy } = founding
  if (candidacy !== null) {
    candidacy.retryAt = millis(FAR)
    if (candidacy.quorumAt !== null) candidacy.quorumAt = millis(NOW)
  }
  replication.electionAt = millis(FAR)
  replication.heardLeader = millis(NOW)
  replication.leaderlessSince = null
  const { leadership, acked } = replication
  for (const id of acked.keys()) acked.set(id, millis(NOW))
  if (leadership === null) {
    acked.clear()
    return
  }
  leadership.heartbeatAt = millis(FAR)
  leadership.publishAt = millis(FAR)
  if (leadership.offer !== null) leadership.offer.retryAt = millis(FAR)
}
