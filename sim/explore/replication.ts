/**
 * One change of the plan and a change of the leader as a model: voters that hold the genesis, a machine outside
 * that has asked each of them to join. More can happen here than in truth, never less: pre-votes, stickiness
 * and check-quorum only forbid, so every voter may stand at any moment, and a leader that stepped down is one
 * that nobody hears; what is certified may be shown by anyone who has it to anyone, at any later moment, which
 * is what pulls, gossip and beats come to; heartbeats say nothing that an offer does not.
 */
import { type NodeId, term as termOf } from '../../src/core/ids.ts'
import type { Plan } from '../../src/core/plan.ts'
import type { Durable, NodeState } from '../../src/core/state.ts'
import { contentOf } from '../oracles/contents.ts'
import type { Bounds, Claim, Letter, Model } from './model.ts'
import { takeTimesOut } from './times.ts'

/** Every line of a plan's history at its place: a plan that lost or changed one contradicts those that have it. */
const historyOf = (plan: Plan): Claim[] =>
  plan.history.map((line, i) => ({
    rule: 3,
    key: `line ${i} of the certified history`,
    value: JSON.stringify(line),
  }))

const continues = (plan: Plan, earlier: Plan): boolean =>
  earlier.history.every((line, i) => JSON.stringify(line) === JSON.stringify(plan.history[i]))

export function replicationModel(
  bounds: Bounds,
  cluster: Model['cluster'],
  disks: readonly Durable[],
  letters: readonly Letter[],
): Model {
  const machines = disks.length
  return {
    name: `a plan of ${machines} voters`,
    machines,
    expect: machines,
    bounds,
    cluster,
    hears: new Set(['poll', 'poll.answer', 'offer', 'signed', 'certify', 'join']),
    moves: [
      {
        name: 'stands',
        comes: ({ id, replication, durable, links }) => {
          const { term } = durable.voting
          const era = durable.certified?.plan.era
          const [peer] = links.keys()
          if (replication.role === 'idle' || term >= bounds.terms || era === undefined || peer === undefined)
            return null
          replication.leadership = null
          replication.role = 'pre-candidate'
          replication.votes.clear()
          replication.votes.set(id, new Uint8Array())
          const asked = termOf(term + 1)
          const message = { kind: 'poll.answer', pre: true, era, term: asked, granted: true } as const
          return { kind: 'message', from: peer, message: { ...message, signature: null } }
        },
      },
    ],
    disks,
    letters,
    shares: (before, { certified }) =>
      certified === null || certified === before.certified ? [] : [{ kind: 'plan.share', certified }],
    settle: (state) => {
      takeTimesOut(state)
      const { replication, durable } = state
      replication.leader = null
      if (replication.role !== 'candidate') replication.votes.clear()
      if (replication.leadership === null) replication.leaderTerm = durable.voting.term
      else replication.leadership = { ...replication.leadership, votes: [] }
    },
    isOver: (letter, receiver, sender) => isOver(letter, receiver, sender, bounds.terms),
    onDisk: (id, { voting, certified }) => [
      ...(voting.vote === null
        ? []
        : [{ rule: 2, key: `${id} voted in ${voting.term}`, value: voting.vote }]),
      ...(voting.accepted === null
        ? []
        : [
            {
              rule: 2,
              key: `${id} signed ${voting.accepted.term}.${voting.accepted.index}`,
              value: contentOf(voting.accepted.plan),
            },
          ]),
      ...(certified === null
        ? []
        : [
            { rule: 3, key: `certified plan ${certified.index}`, value: contentOf(certified.plan) },
            ...historyOf(certified.plan),
          ]),
    ],
    said: ({ sender, receiver, message }) => {
      switch (message.kind) {
        case 'poll':
          return message.pre ? [] : [{ rule: 2, key: `${sender} voted in ${message.term}`, value: sender }]
        case 'poll.answer':
          return message.pre || !message.granted
            ? []
            : [{ rule: 2, key: `${sender} voted in ${message.term}`, value: receiver }]
        case 'offer':
          return [
            { rule: 3, key: `leader of term ${message.term}`, value: sender },
            { rule: 3, key: `offered at ${message.term}.${message.index}`, value: message.plan },
          ]
        case 'signed':
          return [{ rule: 3, key: `offered at ${message.term}.${message.index}`, value: message.plan }]
        case 'plan.share': {
          const { index, plan } = message.certified
          return [{ rule: 3, key: `certified plan ${index}`, value: contentOf(plan) }, ...historyOf(plan)]
        }
        default:
          return []
      }
    },
    faultOfStep: (before, after, id, said) => {
      const [was, is] = [before.voting, after.voting]
      if (is.term < was.term) return { rule: 2, message: `${id} went back to term ${is.term}` }
      if (is.term === was.term && was.vote !== null && is.vote !== was.vote)
        return { rule: 2, message: `${id} changed its vote of term ${is.term}` }
      if (after.restored) return { rule: 2, message: `${id} takes its whole disk for an old copy` }
      const [index, earlier] = [after.certified?.index ?? -1, before.certified?.index ?? -1]
      if (index < earlier) return { rule: 3, message: `${id} went back from plan ${earlier} to ${index}` }
      if (isBefore(lastOf(after), lastOf(before)))
        return { rule: 2, message: `${id} forgot the entry that it signed` }
      for (const { receiver, message } of said) {
        if (message.kind === 'poll.answer' && message.granted && !message.pre) {
          if (is.term !== message.term || is.vote !== receiver)
            return { rule: 2, message: `${id} votes in term ${message.term}, which is not on its disk` }
        } else if (message.kind === 'poll' && !message.pre) {
          if (is.term !== message.term || is.vote !== id)
            return { rule: 2, message: `${id} stands in term ${message.term}, which is not on its disk` }
        } else if (message.kind === 'signed' || message.kind === 'offer') {
          if (is.term !== message.term)
            return { rule: 2, message: `${id} signs in term ${message.term} while in ${is.term}` }
          if (isBefore(lastOf(after), message))
            return {
              rule: 2,
              message: `${id} signs ${message.term}.${message.index}, which is not on its disk`,
            }
        }
      }
      return null
    },
    proves: (before, after, said) =>
      said.some(({ kind }) => kind === 'offer') ||
      (after.certified !== before.certified && said.some(({ kind }) => kind === 'certify')),
    faultOfProof: ({ certified, voting }, id, all) => {
      if (certified === null) return null
      const { voters } = certified.plan
      const isMajority = (test: (disk: Durable, voter: NodeId) => boolean): boolean =>
        [...all].filter(([voter, disk]) => voters.includes(voter) && test(disk, voter)).length * 2 >
        voters.length
      const holds = ({ voting: { accepted }, certified: other }: Durable): boolean =>
        (accepted !== null && continues(accepted.plan, certified.plan)) ||
        (other !== null && continues(other.plan, certified.plan))
      if (!isMajority(holds))
        return { rule: 3, message: `${id} certified plan ${certified.index}, which no majority has on disk` }
      // Who has since gone to a later term may have voted for it.
      const { term } = voting
      const votes = isMajority(({ voting: other }) => other.term > term || other.vote === id)
      return votes ? null : { rule: 3, message: `${id} leads term ${term} without a majority's votes` }
    },
  }
}

interface Position {
  readonly term: number
  readonly index: number
}

const isBefore = (a: Position, b: Position): boolean =>
  a.term < b.term || (a.term === b.term && a.index < b.index)

function lastOf({ voting, certified }: Durable): Position {
  const known: Position = certified ?? { term: -1, index: -1 }
  return voting.accepted !== null && isBefore(known, voting.accepted) ? voting.accepted : known
}

/** It stands no more in this term, nor will it ever: a candidacy begins in a term above the disk's. */
const hasStood = ({ durable, replication }: NodeState, term: number): boolean =>
  durable.voting.term > term || (durable.voting.term === term && replication.role !== 'candidate')

/** The leader of this entry waits for this voter's signature no more. */
function isCounted({ replication }: NodeState, voter: NodeId, { index }: Position): boolean {
  const offer = replication.leadership?.offer ?? null
  return offer === null || offer.entry.index > index || offer.signatures.has(voter)
}

/**
 * Refusals carry the refuser's term, also a later one; so that what may bring one about is over only when its
 * sender is in the highest term that there is.
 */
function isOver({ sender, message }: Letter, receiver: NodeState, from: NodeState, highest: number): boolean {
  const { voting, certified } = receiver.durable
  const { role, votes } = receiver.replication
  const index = certified?.index ?? -1
  switch (message.kind) {
    case 'poll.answer':
      if (!message.granted || message.pre) return message.term <= voting.term
      return hasStood(receiver, message.term) || (role === 'candidate' && votes.has(sender))
    case 'poll': {
      if (from.durable.voting.term < highest) return false
      if (voting.term !== message.term) return voting.term > message.term
      return voting.vote !== null && (voting.vote !== sender || hasStood(from, message.term))
    }
    case 'offer': {
      if (from.durable.voting.term < highest || voting.term < message.term) return false
      if (voting.term > message.term) return true
      // Who lost in this term learns it by the offer.
      if (role === 'candidate') return false
      if (index >= message.index) return true
      // Signed, and the leader has counted it.
      const { accepted } = voting
      return accepted !== null && !isBefore(accepted, message) && isCounted(from, receiver.id, message)
    }
    case 'signed': {
      if (voting.term !== message.term) return voting.term > message.term
      return isCounted(receiver, sender, message)
    }
    case 'certify':
      return message.index <= index
    case 'plan.share':
      return message.certified.index <= index
    case 'join':
      return certified?.plan.members.some(({ id }) => id === sender) ?? false
    default:
      return false
  }
}
