/** A run as a play: who sent what to whom, what came on a disk, what a node decided, which rule broke. */
import type { Command } from '../src/core/commands.ts'
import type { Effect, Event } from '../src/core/events.ts'
import type { Message } from '../src/core/protocol.ts'
import type { Durable } from '../src/core/state.ts'
import type { Machine } from './machine.ts'
import type { World } from './world.ts'

export interface Trace {
  attach(world: World): void
  event(machine: Machine, event: Event): void
  /** Carried out, not merely decided: who dies before says nothing. */
  effect(machine: Machine, effect: Effect): void
  disk(machine: Machine, durable: Durable): void
  machine(machine: Machine, text: string): void
  note(at: number, text: string): void
}

/** What beats and gossip say all the time is left out, unless everything is wanted. */
const ROUTINE: ReadonlySet<Message['kind']> = new Set([
  'digest',
  'inventory',
  'summary',
  'records',
  'lead',
  'beat',
  'beat.answer',
])

export interface TraceOptions {
  /** Beats, gossip and wake-ups too. */
  readonly everything: boolean
  /** What is heard, too; else only what is said. */
  readonly hears: boolean
}

export function createTrace(write: (line: string) => void, { everything, hears }: TraceOptions): Trace {
  let world: World | null = null
  const stamp = (at: number): string => `${(at / 1000).toFixed(3).padStart(9)}  `
  const nameOf = (id: string): string =>
    world?.machines.find((machine) => machine.keys.id === id)?.name ?? (/\s/.test(id) ? id : shortened(id))
  const say = (machine: Machine, text: string): void =>
    write(`${stamp(world?.now ?? 0)}${machine.name}  ${text}`)

  return {
    attach: (to) => {
      world = to
    },
    note: (at, text) => write(`${stamp(at)}-- ${text}`),
    machine: say,
    effect: (machine, effect) => {
      const text = effectText(effect, nameOf, everything)
      if (text !== null) say(machine, `  ${text}`)
    },
    disk: (machine, durable) => say(machine, `  on disk: ${durableText(durable, nameOf)}`),
    event: (machine, event) => {
      const what = eventText(event, nameOf)
      const routine = event.kind === 'timer' || (event.kind === 'message' && ROUTINE.has(event.message.kind))
      const isShown = everything || (!routine && (hears || event.kind !== 'message'))
      if (what !== null && isShown) say(machine, what)
    },
  }
}

function eventText(event: Event, nameOf: (id: string) => string): string | null {
  switch (event.kind) {
    case 'timer':
      return 'wakes up'
    case 'message':
      return `hears ${nameOf(event.from)}: ${messageText(event.message, nameOf)}`
    case 'connected':
      return `is connected with ${nameOf(event.peer)}`
    case 'disconnected':
      return `has lost ${nameOf(event.peer)}`
    case 'mesh':
      return `mesh: ${event.facts.up ? 'up' : 'down'}, ${event.facts.peers.map((p) => `${nameOf(p.id)} ${p.path}`).join(', ') || 'no peers'}`
    case 'distribution': {
      const { running, healthy, clusterId, dataEpoch } = event.facts
      return `datastore: ${running ? `runs ${clusterId ?? ''}` : 'does not run'}, ${healthy ? 'healthy' : 'not healthy'}, data ${dataEpoch === null ? 'none' : `of epoch ${dataEpoch}`}`
    }
    case 'leader-records':
      return `finds in the DHT: ${event.records.map((r) => `${nameOf(r.leader)} leads term ${r.term}`).join(', ')}`
    case 'command':
      return `is commanded by ${event.who}: ${commandText(event.command)}`
    case 'addresses':
    case 'adopt':
      return null
    default:
      return event satisfies never
  }
}

function effectText(effect: Effect, nameOf: (id: string) => string, everything: boolean): string | null {
  switch (effect.kind) {
    case 'persist':
      return null
    case 'send':
      return everything || !ROUTINE.has(effect.message.kind)
        ? `to ${nameOf(effect.to)}: ${messageText(effect.message, nameOf)}`
        : null
    case 'mesh':
      return `orders the mesh: ${effect.order.address} with ${effect.order.peers.map((p) => `${nameOf(p.id)} ${p.address}`).join(', ') || 'nobody'}`
    case 'distribution':
      return effect.order.kind === 'none'
        ? 'orders no distribution'
        : `orders the datastore to ${effect.order.action} (epoch ${effect.order.epoch})`
    case 'answer':
      return `answers ${effect.request}: ${effect.ok ? 'yes' : 'no'}, ${effect.message}`
    case 'shun':
      return `has nothing to do with ${effect.peers.map(nameOf).join(', ') || 'nobody'} any more`
    case 'log':
      if (effect.level === 'debug' && !everything) return null
      return `${effect.event} ${fieldsText(effect.fields, nameOf)}`
    case 'dial':
      return `dials ${nameOf(effect.peer)}`
    case 'publish':
      return `puts into the DHT: leads term ${effect.record.term}`
    case 'lookup':
      return 'looks in the DHT for a leader'
    default:
      return effect satisfies never
  }
}

const fieldsText = (fields: Readonly<Record<string, unknown>>, nameOf: (id: string) => string): string =>
  Object.entries(fields)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? nameOf(value) : String(value)}`)
    .join(' ')

/** Digests by their beginning; IDs that are no machine's any more too. */
const shortened = (text: string): string =>
  /^[0-9a-f]{64}$/.test(text) || /^12D3KooW/.test(text) ? text.slice(0, 8) : text

/** What a power cut would leave, in one line. */
function durableText(durable: Durable, nameOf: (id: string) => string): string {
  const { founding, genesis, voting, certified } = durable
  const parts: string[] = []
  if (genesis === null) {
    parts.push(
      `promised term ${founding.term}${founding.candidate === null ? '' : ` to ${nameOf(founding.candidate)}`}`,
    )
    const last = founding.accepted?.layers.at(-1)
    if (last !== undefined) parts.push(`accepted the genesis of term ${last.term}`)
  }
  if (certified !== null) parts.push(`plan ${certified.term}.${certified.index}`)
  if (voting.term > 0)
    parts.push(`term ${voting.term}${voting.vote === null ? '' : ` voted ${nameOf(voting.vote)}`}`)
  if (voting.accepted !== null) parts.push(`signed ${voting.accepted.term}.${voting.accepted.index}`)
  return parts.length === 1 && parts[0] === 'promised term 0' ? 'nothing promised yet' : parts.join(', ')
}

/** The verb and what it is about. */
const commandText = (command: Command): string => {
  const { verb, ...about } = command
  return `${verb} ${Object.values(about)
    .map((value) => (typeof value === 'object' ? JSON.stringify(value) : value))
    .join(' ')}`
}

export function messageText(message: Message, nameOf: (id: string) => string): string {
  switch (message.kind) {
    case 'digest':
      return `digest ${message.records.slice(0, 4)}, genesis ${message.genesis?.slice(0, 8) ?? 'none'}, plan ${message.plan === null ? 'none' : `${message.plan.term}.${message.plan.index}`}`
    case 'inventory':
      return `inventory of ${message.seqs.length} records`
    case 'summary':
      return 'summary of the records'
    case 'records':
      return `records of ${message.records.map((signed) => `${nameOf(signed.record.id)}#${signed.record.seq}`).join(', ')}`
    case 'prepare':
      return `will you promise me term ${message.term}? (expect ${message.expect})`
    case 'promise': {
      const { accepted } = message.promise
      const knows =
        accepted === null ? '' : `; I accepted ${accepted.genesis.slice(0, 8)} in term ${accepted.term}`
      return `I promise you term ${message.promise.term}${knows}`
    }
    case 'founding.refused':
      return `no (${message.reason}): I am at term ${message.promised} and expect ${message.expect}`
    case 'propose':
      return `accept this genesis in term ${message.term}: ${message.proposal.genesis.members.map((m) => nameOf(m.id)).join('')}, servers ${message.proposal.genesis.voters.map(nameOf).join('')}${message.proposal.layers.length > 1 ? ', adopted' : ''}`
    case 'accepted':
      return `I accepted ${message.genesis.slice(0, 8)} in term ${message.term}`
    case 'genesis.pull':
      return 'send me the genesis'
    case 'genesis.share':
      return `here is the genesis, certified by ${message.certified.certificate.acceptances.map((a) => nameOf(a.node)).join('')}`
    case 'poll':
      return `${message.pre ? 'would you vote' : 'vote'} for me in term ${message.term}? (my last entry is ${message.lastTerm}.${message.lastIndex})`
    case 'poll.answer':
      return `${message.granted ? 'yes' : 'no'}, ${message.pre ? 'I would, in' : 'in'} term ${message.term}`
    case 'offer':
      return `sign plan ${message.term}.${message.index} on base ${message.baseIndex}: ${message.causes.map((cause) => cause.what.kind).join(', ')}`
    case 'signed':
      return `I signed ${message.term}.${message.index}`
    case 'certify':
      return `plan ${message.term}.${message.index} is certified by ${message.signatures.map((s) => nameOf(s.node)).join('')}`
    case 'resign':
      return `I lead term ${message.term} no more${message.successor === null ? '' : `, ${nameOf(message.successor)} should`}`
    case 'plan.pull':
      return `send me what is newer than plan ${message.index}`
    case 'plan.share':
      return `here is plan ${message.certified.term}.${message.certified.index}`
    case 'plan.patch':
      return `here is plan ${message.certified.term}.${message.certified.index}, from ${message.patch.baseIndex} on`
    case 'lead':
      return `I lead term ${message.term}, plan ${message.planIndex}`
    case 'beat':
      return `beat in term ${message.term}, plan ${message.planIndex}${message.facts === null ? '' : `, ${message.facts.stage}`}`
    case 'beat.answer':
      return `${whoLeads(message.leader, nameOf)} term ${message.term}, plan ${message.planIndex}`
    case 'join':
      return 'let me join'
    case 'join.answer':
      return `joining: ${message.state}${message.leader === null ? '' : `, ${nameOf(message.leader)} leads`}`
    case 'recall':
      return 'what do you hold of my words?'
    case 'recalled':
      return `you signed ${message.entry === null ? 'nothing' : `${message.entry.term}.${message.entry.index}`} and voted ${message.vote === null ? 'for nobody' : `for ${nameOf(message.vote.candidate)} in term ${message.vote.term}`}, as far as I know`
    case 'command':
      return `${message.ordered.who} commands: ${commandText(message.ordered.command)}`
    case 'command.answer':
      return `${message.ok ? 'yes' : 'no'}, ${message.message}`
    case 'permit.ask':
      return `may I ${message.act} (act ${message.attempt})?`
    case 'permit':
      return `you may ${message.act} (act ${message.attempt})`
    case 'secret.ask':
      return `give me the agents' secret ${message.generation}`
    case 'secret':
      return `here is the agents' secret ${message.generation}`
    default:
      return message satisfies never
  }
}

function whoLeads(
  leader: Extract<Message, { kind: 'beat.answer' }>['leader'],
  nameOf: (id: string) => string,
): string {
  if (leader === null) return 'nobody leads'
  return leader === 'me' ? 'I lead' : `${nameOf(leader)} leads`
}
