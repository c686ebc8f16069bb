/**
 * What a node hears: every message goes to the module that it is for, and every sender is remembered as alive.
 * Decides nothing but that strangers are forgotten first.
 */
import { handlePermit, handlePermitAsk } from './acts.ts'
import { handleJoin, handleJoinAnswer } from './admission.ts'
import { handleBeat, handleBeatAnswer, handleLead } from './beats.ts'
import { handlePlanPatch, handlePlanPull, handlePlanShare } from './certified.ts'
import { handleCommand, handleCommandAnswer } from './commanding.ts'
import { handlePoll, handlePollAnswer, handleResign } from './election.ts'
import { handleAccepted, handlePrepare, handlePromise, handlePropose, handleRefused } from './founding.ts'
import { handleDigest, handleInventory, handleRecords, handleSummary } from './gossip.ts'
import { assertNever, type NodeId } from './ids.ts'
import { considerGenesis, handleGenesisPull, handleGenesisShare } from './joining.ts'
import type { Facts, Message } from './protocol.ts'
import { handleCertify, handleOffer, handleSigned } from './replication.ts'
import { handleRecall, handleRecalled } from './restored.ts'
import { handleSecret, handleSecretAsk } from './secrets.ts'
import { RECORDS_MAX } from './timing.ts'
import { send, type Turn } from './turn.ts'
import { certifiedOf } from './voters.ts'

/** Strangers are forgotten first: who holds the token can come under any number of IDs. */
export function hear(turn: Turn, from: NodeId): void {
  const { heard, links, durable } = turn.state
  if (!heard.has(from) && heard.size >= RECORDS_MAX) {
    const members = new Set(durable.certified?.plan.members.map((member) => member.id))
    for (const id of heard.keys()) if (!members.has(id) && !links.has(id)) heard.delete(id)
  }
  heard.set(from, turn.now)
}

export function handleMessage(
  turn: Turn,
  from: NodeId,
  message: Message,
  factsOf: (turn: Turn) => Facts,
): void {
  switch (message.kind) {
    case 'digest':
      if (message.genesis !== null) considerGenesis(turn, from, message.genesis)
      pullNewerPlan(turn, from, message.plan?.index ?? -1)
      handleDigest(turn, from, message)
      return
    case 'inventory':
      handleInventory(turn, from, message)
      return
    case 'summary':
      handleSummary(turn, from, message)
      return
    case 'records':
      for (const record of handleRecords(turn, from, message)) {
        if (record.id === from) considerGenesis(turn, from, record.genesis)
      }
      return
    case 'prepare':
      handlePrepare(turn, from, message)
      return
    case 'promise':
      handlePromise(turn, from, message)
      return
    case 'founding.refused':
      handleRefused(turn, from, message)
      if (message.reason === 'formed') send(turn, from, { kind: 'genesis.pull' })
      return
    case 'propose':
      handlePropose(turn, from, message)
      return
    case 'accepted':
      handleAccepted(turn, from, message)
      return
    case 'genesis.pull':
      handleGenesisPull(turn, from)
      return
    case 'genesis.share':
      handleGenesisShare(turn, from, message)
      return
    case 'poll':
      handlePoll(turn, from, message)
      return
    case 'poll.answer':
      handlePollAnswer(turn, from, message)
      return
    case 'offer':
      handleOffer(turn, from, message)
      return
    case 'signed':
      handleSigned(turn, from, message)
      return
    case 'certify':
      handleCertify(turn, from, message)
      return
    case 'resign':
      handleResign(turn, from, message)
      return
    case 'plan.pull':
      handlePlanPull(turn, from, message)
      return
    case 'plan.share':
      handlePlanShare(turn, from, message)
      return
    case 'plan.patch':
      handlePlanPatch(turn, from, message)
      return
    case 'lead':
      handleLead(turn, from, message, factsOf(turn))
      return
    case 'beat':
      handleBeat(turn, from, message)
      return
    case 'beat.answer':
      handleBeatAnswer(turn, from, message)
      return
    case 'join':
      handleJoin(turn, from, message)
      return
    case 'join.answer':
      handleJoinAnswer(turn, from, message)
      return
    case 'recall':
      handleRecall(turn, from, message)
      return
    case 'recalled':
      handleRecalled(turn, from, message)
      return
    case 'command':
      handleCommand(turn, from, message)
      return
    case 'command.answer':
      handleCommandAnswer(turn, from, message)
      return
    case 'permit.ask':
      handlePermitAsk(turn, from, message)
      return
    case 'permit':
      handlePermit(turn, from, message)
      return
    case 'secret.ask':
      handleSecretAsk(turn, from, message)
      return
    case 'secret':
      handleSecret(turn, from, message)
      return
    default:
      assertNever(message)
  }
}

function pullNewerPlan(turn: Turn, from: NodeId, index: number): void {
  const certified = certifiedOf(turn.state)
  if (certified !== null && index > certified.index) {
    send(turn, from, { kind: 'plan.pull', era: certified.plan.era, index: certified.index })
  }
}
