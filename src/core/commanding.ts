/**
 * How a command comes to the leader, and its answer back to the socket where it was given. Decides where commands
 * are taken (rule 9), which nodes their words mean, whether this is a moment for them, and when a person is told
 * that there is no leader. What a command does to the plan, and that it does it once, is in changes/commands.ts.
 */
import type { CommandCause } from './causes.ts'
import { isRefusal } from './changes/commands.ts'
import { isCounted } from './changes/membership.ts'
import { change } from './changes.ts'
import { sortedBy, statement } from './codec.ts'
import {
  type Command,
  type CommandAnswer,
  commandStatement,
  isSigned,
  type OrderedCommand,
} from './commands.ts'
import type { Event } from './events.ts'
import { recordOf } from './gossip.ts'
import { assertNever, compareText, type Digest, type Millis, millis, type NodeId } from './ids.ts'
import { isCaughtUp, promotionFault, removalFault } from './membership.ts'
import { COMMANDS_MAX, departedOf, isServer, memberOf, nameOf, type Plan } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import type { SignedRecord } from './record.ts'
import { isQueued, request } from './replication.ts'
import { runningVersionFault } from './rolling.ts'
import { sealServerSecret } from './secrets.ts'
import type { NodeState } from './state.ts'
import { COMMAND_RETRY_MS, COMMAND_WAIT_MS } from './timing.ts'
import { after, type Deadline, log, refuse, send, type Turn } from './turn.ts'
import { certifiedOf, isLeader, planOf } from './voters.ts'

type Given = Extract<Event, { kind: 'command' }>

interface Waiting {
  readonly request: string
  readonly ordered: OrderedCommand
  readonly until: Millis
  askAt: Millis
  /** Whoever was asked last: a new leader is asked at once. */
  asked: NodeId | null
}

export interface CommandState {
  /** Commands given to this run, so that no two have one number. */
  given: number
  /** Given at this node's socket and not answered yet, by their numbers. */
  readonly waiting: Map<Digest, Waiting>
  /** A leader's: what it proposed, what it will say of it, and to whom. */
  readonly proposed: Map<
    Digest,
    { readonly what: CommandCause; readonly done: string; to: NodeId; readonly term: number }
  >
  /** Which server an agent asks next while it knows no leader. */
  askNext: number
}

export const startCommands = (): CommandState => ({
  given: 0,
  waiting: new Map(),
  proposed: new Map(),
  askNext: 0,
})

const no = (message: string, hint: string): CommandAnswer => ({ ok: false, message, hint })

// --- where it is given -----------------------------------------------------------------------------------

/** A person's command at this node's own socket. */
export function takeCommand(turn: Turn, given: Given): void {
  const { state } = turn
  const certified = certifiedOf(state)
  const refused = certified === null ? NO_CLUSTER : whyNotHere(turn, certified.plan, given)
  if (certified === null || refused !== null) {
    answerHere(turn, given.request, refused ?? NO_CLUSTER)
    return
  }
  const { commands } = state
  const { command, operator } = given
  const index = operator?.index ?? certified.index
  commands.given += 1
  const { era } = certified.plan
  const number =
    operator === null
      ? statement('command number', state.id, state.session, commands.given)
      : commandStatement(era, command, index)
  const ordered: OrderedCommand = {
    id: turn.crypto.hash(number),
    command,
    origin: state.id,
    index,
    who: given.who.slice(0, 64),
    why: given.why?.slice(0, 256) ?? null,
    operator,
  }
  if (commands.waiting.has(ordered.id)) {
    answerHere(turn, given.request, no('the same command is under way already', 'wait for its answer'))
    return
  }
  const until = after(turn, COMMAND_WAIT_MS)
  commands.waiting.set(ordered.id, { request: given.request, ordered, until, askAt: turn.now, asked: null })
  log(turn, 'info', 'command.given', { verb: command.verb, who: ordered.who })
}

const NO_CLUSTER = no('this node is in no cluster yet', 'see `muster status` for what it waits for')

/** Rule 9: who merely holds the token, or an agent's machine, commands nothing. */
function whyNotHere({ crypto, state }: Turn, plan: Plan, given: Given): CommandAnswer | null {
  if (state.commands.waiting.size >= COMMANDS_MAX)
    return no('too many commands wait', 'wait for their answers')
  if (given.operator !== null) {
    if (isSigned(crypto, plan.era, plan.settings.operators, given.command, given.operator)) return null
    return no(
      'no operator of this cluster signed it',
      'sign it with a key that the cluster’s `operators` name',
    )
  }
  if (state.blocked !== null) return no(state.blocked.message, state.blocked.hint)
  if (isServer(plan, state.id)) return null
  const names = plan.voters.map((id) => nameOf(plan, id))
  return no(
    'this node is no server',
    `give it on a server (${names.join(', ')}), or sign it with an operator key`,
  )
}

export function tickCommands(turn: Turn): void {
  const { state, now } = turn
  for (const [id, waiting] of state.commands.waiting) {
    if (now >= waiting.until) giveUp(turn, id, waiting)
    else handOn(turn, waiting)
  }
  if (state.commands.proposed.size > 0) lookAtProposed(turn)
}

function handOn(turn: Turn, waiting: Waiting): void {
  const { state, now } = turn
  const { leader, role } = state.replication
  const isNewLeader = leader !== null && leader !== waiting.asked
  if (now < waiting.askAt && !isNewLeader) return
  waiting.askAt = after(turn, COMMAND_RETRY_MS)
  // A voter knows when nobody leads; anyone else may only not have heard.
  const to = leader ?? (role === 'idle' ? nextServer(state) : undefined)
  const era = planOf(state)?.era
  if (to === undefined || era === undefined) return
  waiting.asked = to
  if (to === state.id) execute(turn, to, waiting.ordered)
  else send(turn, to, { kind: 'command', era, ordered: waiting.ordered })
}

/** Of a node that hears no leader, such as one that no plan has: the servers in turn, one of them leads. */
function nextServer(state: NodeState): NodeId | undefined {
  const servers = planOf(state)?.voters.filter((id) => id !== state.id && state.links.has(id)) ?? []
  state.commands.askNext += 1
  return servers[state.commands.askNext % Math.max(1, servers.length)]
}

function giveUp(turn: Turn, id: Digest, waiting: Waiting): void {
  turn.state.commands.waiting.delete(id)
  const seconds = COMMAND_WAIT_MS / 1000
  const said =
    waiting.asked === null
      ? no(
          `no leader for ${seconds} s: nothing was done`,
          'see `muster status` for which servers are missing',
        )
      : no(
          `no answer from a leader for ${seconds} s`,
          'it may still be carried out: see `muster history` before giving it again',
        )
  answerHere(turn, waiting.request, said)
}

export function handleCommandAnswer(turn: Turn, from: NodeId, message: MessageOf<'command.answer'>): void {
  const { state } = turn
  const plan = planOf(state)
  const waiting = state.commands.waiting.get(message.id)
  // Only who was asked answers, and only servers are asked.
  if (plan === null || waiting === undefined || waiting.asked !== from || message.era !== plan.era) return
  state.commands.waiting.delete(message.id)
  const { ok, message: text, hint } = message
  answerHere(turn, waiting.request, { ok, message: text, hint })
}

function answerHere(turn: Turn, request: string, said: CommandAnswer): void {
  turn.effects.push({ kind: 'answer', request, ...said })
}

// --- the leader ------------------------------------------------------------------------------------------

export function handleCommand(turn: Turn, from: NodeId, message: MessageOf<'command'>): void {
  const { state } = turn
  const plan = planOf(state)
  const { ordered } = message
  if (plan === null || message.era !== plan.era || !isLeader(state)) return
  if (ordered.operator === null && (ordered.origin !== from || !isServer(plan, from))) {
    refuse(turn, from, 'command', 'neither a server’s nor an operator’s')
    return
  }
  execute(turn, from, ordered)
}

function execute(turn: Turn, to: NodeId, ordered: OrderedCommand): void {
  const { state } = turn
  const { proposed } = state.commands
  const certified = certifiedOf(state)
  if (certified === null) return
  const { plan, index } = certified
  const known = proposed.get(ordered.id)
  if (known !== undefined) {
    known.to = to
    return
  }
  if (plan.commands.some(({ id }) => id === ordered.id)) {
    answer(turn, to, ordered.id, { ok: true, message: 'it was carried out already', hint: null })
    return
  }
  const meant = targetsOf(state, plan, ordered.command)
  if ('ok' in meant) {
    answer(turn, to, ordered.id, meant)
    return
  }
  const untimely = whyNotNow(turn, plan, ordered.command, meant.targets)
  if (untimely !== null) {
    answer(turn, to, ordered.id, untimely)
    return
  }
  const [first] = meant.targets
  const member = first === undefined ? undefined : memberOf(plan, first)
  const sealed =
    ordered.command.verb === 'promote' && member !== undefined ? sealServerSecret(turn, plan, member) : null
  const what: CommandCause = { kind: 'command', ordered, ...meant, sealed }
  const refused = refusalNow(turn, plan, what, index + 1)
  if (refused !== null) {
    answer(turn, to, ordered.id, refused)
    return
  }
  const done = doneText(plan, ordered.command, meant)
  proposed.set(ordered.id, { what, done, to, term: state.replication.leaderTerm })
  request(turn, what)
}

function refusalNow(turn: Turn, plan: Plan, what: CommandCause, index: number): CommandAnswer | null {
  const { state, crypto } = turn
  const result = change(crypto, plan, { what, by: state.id, term: state.durable.voting.term, index, at: 0 })
  if (result === null) return no('it does not fit the plan', 'look at `muster status`, then give it again')
  return isRefusal(result) ? no(result.refused, result.hint) : null
}

/** What became of proposals: certified, overtaken by something else, or the next leader's business. */
function lookAtProposed(turn: Turn): void {
  const { state } = turn
  const certified = certifiedOf(state)
  if (certified === null) return
  for (const [id, { what, done, to, term }] of state.commands.proposed) {
    if (certified.plan.commands.some((known) => known.id === id)) {
      state.commands.proposed.delete(id)
      answer(turn, to, id, { ok: true, message: done, hint: null })
    } else if (!isLeader(state) || state.replication.leaderTerm !== term) {
      state.commands.proposed.delete(id)
    } else if (!isQueued(state, (queued) => queued.kind === 'command' && queued.ordered.id === id)) {
      state.commands.proposed.delete(id)
      const refused = refusalNow(turn, certified.plan, what, certified.index + 1)
      answer(turn, to, id, refused ?? no('something else came first', 'look again, then give it anew'))
    }
  }
}

function answer(turn: Turn, to: NodeId, id: Digest, said: CommandAnswer): void {
  const { state } = turn
  if (to !== state.id) {
    const era = planOf(state)?.era
    if (era !== undefined) send(turn, to, { kind: 'command.answer', era, id, ...said })
    return
  }
  const waiting = state.commands.waiting.get(id)
  if (waiting === undefined) return
  state.commands.waiting.delete(id)
  answerHere(turn, waiting.request, said)
}

// --- whom it means, and whether now ----------------------------------------------------------------------

interface Meant {
  targets: NodeId[]
  records: SignedRecord[]
}

const wordsOf = (command: Command): string[] => {
  switch (command.verb) {
    case 'approve':
    case 'revoke':
    case 'remove':
    case 'promote':
    case 'demote':
      return [command.node]
    case 'replace':
      return [command.old, command.new]
    case 'act-break':
    case 'config':
    case 'rollout':
      return []
    default:
      return assertNever(command)
  }
}

function targetsOf(state: NodeState, plan: Plan, command: Command): Meant | CommandAnswer {
  const meant: Meant = { targets: [], records: [] }
  for (const word of wordsOf(command)) {
    const found = candidates(state, plan, word)
    const [id] = found
    if (id === undefined) return no(`no node is called ${word}`, 'see `muster node list` for names and IDs')
    if (found.length > 1)
      return no(`${word} may be ${found.join(' or ')}`, 'write more of the ID of the one that you mean')
    meant.targets.push(id)
    const stranger = memberOf(plan, id) === undefined ? state.gossip.records.get(id)?.signed : undefined
    if (stranger !== undefined) meant.records.push(stranger)
  }
  return meant
}

/** By name: members before those who wait; by ID: the beginning of it. */
function candidates(state: NodeState, plan: Plan, word: string): NodeId[] {
  const member = plan.members.find(({ name }) => name === word)
  if (member !== undefined) return [member.id]
  const strangers = sortedBy(state.gossip.records.values(), ({ signed }) => signed.record.id)
    .map(({ signed }) => signed.record)
    .filter(({ id, genesis }) => memberOf(plan, id) === undefined && genesis === state.genesisId)
  const named = strangers.filter(({ id, claim }) => claim.name === word && departedOf(plan, id) === undefined)
  if (named.length > 0) return named.map(({ id }) => id)
  const ids = [...plan.members, ...plan.departed, ...strangers].map(({ id }) => id)
  return [...new Set(ids.filter((id) => id.startsWith(word)))].sort(compareText)
}

/** What the plan alone cannot say: who is there, and what is healthy. */
function whyNotNow(
  { state, now }: Turn,
  plan: Plan,
  command: Command,
  [id]: readonly NodeId[],
): CommandAnswer | null {
  if (command.verb === 'config') {
    const fault = runningVersionFault({ state, now }, plan, command.settings.k3s?.version ?? null)
    return fault === null
      ? null
      : no(fault, 'take the version between first; `muster status` shows who runs what')
  }
  if (id === undefined) return null
  switch (command.verb) {
    case 'remove':
    case 'revoke':
    case 'demote':
    case 'replace': {
      const isUnderWay = plan.act?.kind === 'remove' && plan.act.node === id
      const fault = isCounted(plan, id) && !isUnderWay ? removalFault(state, plan, id, now) : null
      return fault === null
        ? null
        : no(`${nameOf(plan, id)} cannot go now: ${fault}`, 'bring the others back first, then give it again')
    }
    case 'promote': {
      const fault = promotionFault(state, plan, now)
      if (fault !== null) return no(`nobody can be promoted now: ${fault}`, 'wait, or mend that first')
      if (recordOf(state, id)?.claim.serverPreference === 'never')
        return no(
          `${nameOf(plan, id)} is configured never to be a server`,
          'change that on the machine first',
        )
      if (memberOf(plan, id)?.role !== 'agent' || isCaughtUp(state, id, now)) return null
      return no(
        `${nameOf(plan, id)} is not ready, or does not know the newest plan yet`,
        'see `muster status`; give it again in a moment',
      )
    }
    case 'approve':
    case 'act-break':
    case 'rollout':
      return null
    default:
      return assertNever(command)
  }
}

function doneText(plan: Plan, command: Command, { targets, records }: Meant): string {
  const [id, other] = targets.map(
    (target) =>
      memberOf(plan, target)?.name ??
      records.find(({ record }) => record.id === target)?.record.claim.name ??
      nameOf(plan, target),
  )
  const isLeavingSlowly = targets[0] !== undefined && isCounted(plan, targets[0])
  const slowly = isLeavingSlowly ? ': first out of the datastore, then out of the servers' : ''
  switch (command.verb) {
    case 'approve':
      return command.as === 'server' ? `${id} is in, and may become a server` : `${id} is in`
    case 'revoke':
      return `${id} is revoked${slowly}; newcomers wait for approval from now on`
    case 'remove':
      return `${id} ${isLeavingSlowly ? 'leaves' : 'has left'} the cluster${slowly}`
    case 'replace':
      return `${other} takes the place of ${id}${slowly}`
    case 'promote':
      return `${id} is a server, and joins the datastore next`
    case 'demote':
      return `${id} becomes an agent${slowly}`
    case 'act-break':
      return `act ${command.attempt} is over`
    case 'config':
      return `the cluster’s settings are changed: ${Object.keys(command.settings).join(', ')}`
    case 'rollout':
      return command.to === 'pause' ? 'the rollout is paused' : 'the rollout goes on'
    default:
      return assertNever(command)
  }
}

export function commandDeadlines({ commands }: NodeState): Deadline[] {
  return [...commands.waiting.values()].map(({ askAt, until }) => ({
    at: millis(Math.min(askAt, until)),
    why: 'waiting for a command’s answer',
  }))
}
