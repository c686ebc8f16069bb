/**
 * Rules 2 and 3 of the plan's replication: one vote and one plan per position, on disk before they are said;
 * one really elected leader per term. Also keeps who signed what, for the oracle of plans.
 */
import type { NodeId } from '../../src/core/ids.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { Durable } from '../../src/core/state.ts'
import type { Machine } from '../machine.ts'
import { contentOf, short } from './contents.ts'
import { isBefore, type Oracle, type Position, type Violate } from './watch.ts'

interface Voter {
  readonly votes: Map<string, NodeId>
  readonly signed: Map<string, string>
  highestVote: number
  lastSigned: Position
}

export interface ReplicationOracle extends Oracle {
  /** Who had this plan on its disk as signed for this position. */
  signersOf(position: Position, plan: string): ReadonlySet<NodeId>
  /** Whether it led this term, or has the votes on disks to do so. */
  isElected(era: string, inTerm: number, id: string, voters: readonly NodeId[]): boolean
  wasLed(era: string, inTerm: number, voters: readonly NodeId[]): boolean
  /** The newest term that was led, and by whom. */
  newest(era: string): { readonly term: number; readonly leader: NodeId } | null
}

const NOWHERE: Position = { term: -1, index: -1 }

export function createReplicationOracle(violate: Violate): ReplicationOracle {
  const voters = new Map<NodeId, Voter>()
  const leaders = new Map<string, NodeId>()
  const newest = new Map<string, { readonly term: number; readonly leader: NodeId }>()
  const signers = new Map<string, Set<NodeId>>()
  /** Positions that the only voter of a crowd passed on as a patch. */
  const patchedAlone = new Map<string, NodeId>()

  const voterOf = (id: NodeId): Voter => {
    let voter = voters.get(id)
    if (voter === undefined) {
      voter = { votes: new Map(), signed: new Map(), highestVote: -1, lastSigned: NOWHERE }
      voters.set(id, voter)
    }
    return voter
  }

  const noteVote = (id: NodeId, era: string, inTerm: number, candidate: NodeId): void => {
    const { votes } = voterOf(id)
    const key = `${era} ${inTerm}`
    const known = votes.get(key)
    if (known !== undefined && known !== candidate) {
      violate(2, `${id} voted in term ${inTerm} for ${known} and for ${candidate}`)
    }
    votes.set(key, candidate)
  }

  const noteSigned = (id: NodeId, position: Position, plan: string): void => {
    const key = `${position.term}.${position.index}`
    const { signed } = voterOf(id)
    const known = signed.get(key)
    if (known !== undefined && known !== plan) violate(2, `${id} signed two plans at ${key}`)
    signed.set(key, plan)
    const whole = `${key} ${plan}`
    const set = signers.get(whole) ?? new Set()
    set.add(id)
    signers.set(whole, set)
  }

  const noteVoting = (id: NodeId, durable: Durable, before: Durable | null): void => {
    const { voting } = durable
    const era = durable.certified?.plan.era ?? ''
    if (voting.vote !== null) noteVote(id, era, voting.term, voting.vote)
    if (voting.accepted !== null) noteSigned(id, voting.accepted, contentOf(voting.accepted.plan))
    if (before === null) return
    if (voting.term < before.voting.term) {
      violate(2, `${id} went back from term ${before.voting.term} to ${voting.term}`)
    }
    if (
      voting.term === before.voting.term &&
      before.voting.vote !== null &&
      voting.vote !== before.voting.vote
    ) {
      violate(2, `${id} forgot its vote of term ${voting.term}`)
    }
    const held = before.voting.accepted
    const now = voting.accepted ?? durable.certified ?? NOWHERE
    if (held !== null && isBefore(now, held)) {
      violate(2, `${id} forgot the entry that it signed at ${held.term}.${held.index}`)
    }
  }

  const votesFor = (key: string, id: string, electorate: readonly NodeId[]): NodeId[] =>
    electorate.filter((voter) => voters.get(voter)?.votes.get(key) === id)

  const isElected: ReplicationOracle['isElected'] = (era, inTerm, id, electorate) => {
    const key = `${era} ${inTerm}`
    return leaders.get(key) === id || votesFor(key, id, electorate).length * 2 > electorate.length
  }

  const checkLeader = (machine: Machine, inTerm: number): void => {
    const { id } = machine.keys
    const certified = machine.disk.durable?.certified
    if (certified == null) return
    const { era } = certified.plan
    const key = `${era} ${inTerm}`
    const known = leaders.get(key)
    if (known === id) return
    if (known !== undefined) violate(3, `term ${inTerm} has two leaders: ${known} and ${id}`)
    leaders.set(key, id)
    if (inTerm > (newest.get(era)?.term ?? -1)) newest.set(era, { term: inTerm, leader: id })
    const votes = votesFor(key, id, certified.plan.voters)
    if (votes.length * 2 <= certified.plan.voters.length) {
      violate(3, `${id} leads term ${inTerm} with the votes of ${votes.join(', ') || 'nobody'}`)
    }
  }

  const checkSent = (machine: Machine, to: NodeId, message: Message): void => {
    const { id } = machine.keys
    const { durable } = machine.disk
    switch (message.kind) {
      case 'lead':
      case 'offer':
        checkLeader(machine, message.term)
        return
      case 'poll': {
        if (message.pre) return
        noteVote(id, message.era, message.term, id)
        if ((durable?.voting.term ?? -1) < message.term) {
          violate(2, `${id} stands in term ${message.term}, which is not on its disk`)
        }
        return
      }
      case 'poll.answer': {
        if (!message.granted && message.term > (durable?.voting.term ?? -1)) {
          violate(2, `${id} says that it is in term ${message.term}, which is not on its disk`)
        }
        if (message.pre || !message.granted) return
        noteVote(id, message.era, message.term, to)
        const voter = voterOf(id)
        voter.highestVote = Math.max(voter.highestVote, message.term)
        const voting = durable?.voting
        const isOnDisk =
          voting !== undefined &&
          (voting.term > message.term || (voting.term === message.term && voting.vote === to))
        if (!isOnDisk) violate(2, `${id} voted in term ${message.term} before it was on its disk`)
        return
      }
      case 'signed': {
        const voter = voterOf(id)
        const position = { term: message.term, index: message.index }
        if (voter.highestVote > message.term) {
          violate(2, `${id} signed in term ${message.term} after it voted in ${voter.highestVote}`)
        }
        if (isBefore(position, voter.lastSigned)) {
          violate(
            2,
            `${id} signed ${message.term}.${message.index} after ${voter.lastSigned.term}.${voter.lastSigned.index}`,
          )
        }
        voter.lastSigned = position
        const last = durable?.voting.accepted ?? durable?.certified ?? NOWHERE
        if (isBefore(last, position)) {
          violate(
            2,
            `${id} signed ${short(message.plan)} at ${message.term}.${message.index} before it was on its disk`,
          )
        }
        return
      }
      case 'plan.share': {
        // The only voter of a cluster may say two plans after the one write that holds both.
        const { certified } = message
        const isOnDisk = (durable?.certified?.index ?? -1) >= certified.index
        if (certified.plan.voters.join() === id && isOnDisk) {
          noteSigned(id, certified, contentOf(certified.plan))
        }
        return
      }
      case 'plan.patch': {
        // As above, but what it says stands in what the reader has: the position alone is noted.
        const { term, index } = message.certified
        const isOnDisk = (durable?.certified?.index ?? -1) >= index
        if (message.patch.rest.voters.join() === id && isOnDisk) patchedAlone.set(`${term}.${index}`, id)
        return
      }
      default:
        return
    }
  }

  return {
    persisted: (id, durable, before) => {
      if (durable.voting !== before?.voting) noteVoting(id, durable, before)
      // The only voter of a cluster certifies what it signs in one write.
      const { certified } = durable
      const wasOnly = before?.certified?.plan.voters.join() === id
      if (
        certified !== null &&
        certified !== before?.certified &&
        (wasOnly || certified.plan.voters.join() === id)
      ) {
        noteSigned(id, certified, contentOf(certified.plan))
      }
    },
    sent: checkSent,
    signersOf: ({ term, index }, plan) => {
      const known = signers.get(`${term}.${index} ${plan}`) ?? new Set()
      const alone = patchedAlone.get(`${term}.${index}`)
      return alone === undefined ? known : new Set([...known, alone])
    },
    isElected,
    wasLed: (era, inTerm, electorate) =>
      leaders.has(`${era} ${inTerm}`) || electorate.some((id) => isElected(era, inTerm, id, electorate)),
    newest: (era) => newest.get(era) ?? null,
  }
}
