/**
 * Changes that people command. Decides who may command what (rule 9), that nothing is done twice, and what each
 * verb does to the plan; says in words why a command is refused.
 */
import type { CommandCause } from '../causes.ts'
import { COMMAND_WINDOW, type Command, commandStatement, isSigned } from '../commands.ts'
import type { Crypto } from '../crypto.ts'
import { assertNever, type NodeId } from '../ids.ts'
import { type K3sSettings, sameK3s } from '../k3s.ts'
import { COMMANDS_MAX, departedOf, isServer, memberOf, type Next, nameOf, type Plan } from '../plan.ts'
import type { SignedRecord } from '../record.ts'
import { k3sChangeFault } from '../revisions.ts'
import { admissionFault, enter } from './admission.ts'
import { abortedWith } from './datastore.ts'
import { beginRemoval, depart, isCounted, promote, replaced, SERVERS_MAX } from './membership.ts'
import { breakUpgrade, changeK3s, steerRollout } from './rollout.ts'

/** Why a command is not carried out, and what a person can do. */
export interface Refusal {
  readonly refused: string
  readonly hint: string
}

interface Obeyed {
  readonly changes: Partial<Plan>
  readonly node: NodeId | null
  readonly name: string
}

export const isRefusal = (result: object): result is Refusal => 'refused' in result

const refusal = (refused: string, hint: string): Refusal => ({ refused, hint })

/** @param index at which the leader first proposed it. */
export function obey(
  crypto: Crypto,
  plan: Plan,
  what: CommandCause,
  index: number,
  next: Next,
): Plan | Refusal {
  // Later causes are never of an earlier index, or what was forgotten could be replayed.
  const at = Math.max(index, plan.history.at(-1)?.index ?? 0)
  const { ordered } = what
  const unlawful = authorityFault(crypto, plan, what) ?? timeFault(plan, what, at)
  if (unlawful !== null) return unlawful
  const done = carryOut(crypto, plan, what, ordered.command)
  if (isRefusal(done)) return done
  const commands = [...plan.commands.filter((known) => at <= known.index + COMMAND_WINDOW)]
  commands.push({ id: ordered.id, index: ordered.index })
  return next({ ...done.changes, commands }, done.node, done.name)
}

function authorityFault(crypto: Crypto, plan: Plan, { ordered }: CommandCause): Refusal | null {
  const { operator, command, origin } = ordered
  if (operator === null) {
    if (isServer(plan, origin)) return null
    return refusal('it was not given on a server', 'give it on a server, or sign it with an operator key')
  }
  const isLawful =
    isSigned(crypto, plan.era, plan.settings.operators, command, operator) &&
    operator.index === ordered.index &&
    ordered.id === crypto.hash(commandStatement(plan.era, command, operator.index))
  if (isLawful) return null
  return refusal(
    'no operator of this cluster signed it',
    'sign it with a key that `operators` in the cluster’s settings names',
  )
}

function timeFault(plan: Plan, { ordered }: CommandCause, at: number): Refusal | null {
  if (plan.commands.some(({ id }) => id === ordered.id))
    return refusal('it was carried out already', 'see `muster history`')
  if (ordered.index > at || at > ordered.index + COMMAND_WINDOW) {
    return refusal(
      `it was given at plan ${ordered.index}, and the plan is at ${at}`,
      'look at the cluster again, then give it anew',
    )
  }
  const lately = plan.commands.filter((known) => at <= known.index + COMMAND_WINDOW)
  if (lately.length < COMMANDS_MAX) return null
  return refusal('too many commands came in a short time', 'wait until the plan has moved on')
}

function carryOut(
  crypto: Crypto,
  plan: Plan,
  { targets, records, sealed }: CommandCause,
  command: Command,
): Obeyed | Refusal {
  const recordOf = (id: NodeId): SignedRecord | undefined => records.find(({ record }) => record.id === id)
  const meant = (word: string, at: number): NodeId | null => {
    const id = targets[at]
    if (id === undefined) return null
    const name = memberOf(plan, id)?.name ?? recordOf(id)?.record.claim.name
    return name === word || id.startsWith(word) ? id : null
  }
  switch (command.verb) {
    case 'approve': {
      const id = meant(command.node, 0)
      return id === null ? unknown(command.node) : approve(crypto, plan, id, recordOf(id), command.as)
    }
    case 'revoke': {
      const id = meant(command.node, 0)
      return id === null ? unknown(command.node) : revoke(crypto, plan, id, recordOf(id))
    }
    case 'remove': {
      const id = meant(command.node, 0)
      return id === null ? unknown(command.node) : remove(plan, id, null)
    }
    case 'demote': {
      const id = meant(command.node, 0)
      return id === null ? unknown(command.node) : demote(plan, id)
    }
    case 'replace': {
      const [old, by] = [meant(command.old, 0), meant(command.new, 1)]
      if (old === null) return unknown(command.old)
      return by === null ? unknown(command.new) : replace(crypto, plan, old, by, recordOf(by))
    }
    case 'promote': {
      const id = meant(command.node, 0)
      if (id === null || sealed?.node !== id) return unknown(command.node)
      const changes = promote(plan, sealed)
      return changes === null ? notPromoted(plan, id) : { changes, node: id, name: 'promoted' }
    }
    case 'act-break':
      return breakAct(plan, command.attempt)
    case 'config':
      return configure(plan, command)
    case 'rollout':
      return steer(plan, command.to)
    default:
      return assertNever(command)
  }
}

const unknown = (word: string): Refusal =>
  refusal(`no node is called ${word}`, 'see `muster node list` for names and IDs')

const actHeld = (plan: Plan): Refusal => {
  const { act } = plan
  const holder = act === null ? '' : (memberOf(plan, act.node)?.name ?? act.node)
  return refusal(
    `act ${act?.attempt} is under way: ${act?.kind} of ${holder}`,
    `wait for its end, or end it with \`muster act break ${act?.attempt}\``,
  )
}

const tooManyRevoked = refusal('too many nodes were revoked', 'rotate the token: who has the old one is out')

function approve(
  crypto: Crypto,
  plan: Plan,
  id: NodeId,
  record: SignedRecord | undefined,
  as: 'agent' | 'server',
): Obeyed | Refusal {
  const member = memberOf(plan, id)
  const name = as === 'server' ? 'approved-server' : 'approved'
  if (member !== undefined) {
    if (as === 'agent' || member.mayServe)
      return refusal(`${member.name} is in already`, 'nothing is to be done')
    return { changes: { members: replaced(plan, { ...member, mayServe: true }) }, node: id, name }
  }
  if (record === undefined) return unknown(id)
  const fault = admissionFault(crypto, plan, record)
  if (fault !== null) return notAdmitted(record, fault)
  return { changes: enter(plan, record, as === 'server'), node: id, name }
}

const notAdmitted = ({ record }: SignedRecord, fault: string): Refusal =>
  refusal(
    `${record.claim.name} cannot be let in: ${fault}`,
    'a machine that left comes back as a new node, after `muster reset` on it',
  )

/** Out at once; newcomers wait for a person from now on, because it may come back with another key (rule 10). */
function revoke(crypto: Crypto, plan: Plan, id: NodeId, record: SignedRecord | undefined): Obeyed | Refusal {
  const left = departedOf(plan, id)
  if (left?.why === 'revoked') return refusal(`${left.name} is revoked already`, 'nothing is to be done')
  const member = memberOf(plan, id)
  const isOwnRecord = record !== undefined && verifiedBy(crypto, plan, record)
  if (member === undefined && left === undefined && !isOwnRecord) return unknown(id)
  const whom = member ?? {
    id,
    name: left?.name ?? record?.record.claim.name ?? id,
    address: left?.address ?? '',
    role: left?.server === true ? ('server' as const) : ('agent' as const),
  }
  const removal = revokedRemoval(plan, id)
  if (isRefusal(removal)) return removal
  const known = { ...plan, departed: plan.departed.filter((one) => one.id !== id) }
  const departed = depart(known, whom, 'revoked', left?.successor ?? null)
  if (departed === null) return tooManyRevoked
  const settings = { ...plan.settings, admission: 'approve' as const }
  return { changes: { ...removal, ...departed, settings }, node: id, name: 'revoked' }
}

/** A server that is on its way out already goes on, as revoked now. */
function revokedRemoval(plan: Plan, id: NodeId): Partial<Pick<Plan, 'acts' | 'act'>> | Refusal {
  const { act } = plan
  if (act?.kind === 'remove' && act.node === id) return { act: { ...act, why: 'revoked' } }
  return isCounted(plan, id) ? serverRemoval(plan, id, 'revoked', null) : {}
}

const verifiedBy = (crypto: Crypto, plan: Plan, record: SignedRecord): boolean =>
  admissionFault(crypto, { ...plan, members: [] }, record) !== 'its record is not its own'

function serverRemoval(
  plan: Plan,
  id: NodeId,
  why: 'removed' | 'replaced' | 'revoked' | 'demoted',
  successor: NodeId | null,
): Pick<Plan, 'acts' | 'act'> | Refusal {
  if (plan.act !== null) return actHeld(plan)
  const begun = beginRemoval(plan, id, why, successor)
  return begun ?? refusal('it is the only server', 'approve and promote another node first')
}

function remove(plan: Plan, id: NodeId, successor: NodeId | null): Obeyed | Refusal {
  const member = memberOf(plan, id)
  if (member === undefined) return refusal('it is no member of the cluster', 'nothing is to be done')
  const why = successor === null ? 'removed' : 'replaced'
  if (member.role === 'server') {
    const changes = serverRemoval(plan, id, why, successor)
    return isRefusal(changes) ? changes : { changes, node: id, name: 'remove' }
  }
  const changes = depart(plan, member, why, successor)
  return changes === null ? tooManyRevoked : { changes, node: id, name: why }
}

function demote(plan: Plan, id: NodeId): Obeyed | Refusal {
  const member = memberOf(plan, id)
  if (member?.role !== 'server') return refusal('it is no server', 'nothing is to be done')
  const changes = serverRemoval(plan, id, 'demoted', null)
  return isRefusal(changes) ? changes : { changes, node: id, name: 'demote' }
}

/** The same machine with a new identity: who vouches for that lets it in, and lets it serve as it did. */
function replace(
  crypto: Crypto,
  plan: Plan,
  old: NodeId,
  by: NodeId,
  record: SignedRecord | undefined,
): Obeyed | Refusal {
  const before = memberOf(plan, old)
  if (before === undefined)
    return refusal('the old node is no member of the cluster', 'nothing is to be done')
  const member = memberOf(plan, by)
  if (old === by || member?.role === 'server')
    return refusal('only an agent takes another node’s name', 'name the new node, which is no server yet')
  let prepared: Plan = plan
  if (member === undefined) {
    if (record === undefined) return unknown(by)
    const fault = admissionFault(crypto, plan, record)
    if (fault !== null) return notAdmitted(record, fault)
    prepared = { ...plan, ...enter(plan, record, before.mayServe) }
  } else if (before.mayServe) {
    prepared = { ...plan, members: replaced(plan, { ...member, mayServe: true }) }
  }
  const done = remove(prepared, old, by)
  if (isRefusal(done)) return done
  const { members, nextAddress } = prepared
  return { ...done, changes: { members, nextAddress, ...done.changes } }
}

function notPromoted(plan: Plan, id: NodeId): Refusal {
  if (plan.act !== null) return actHeld(plan)
  if (plan.voters.length >= SERVERS_MAX)
    return refusal(`there are ${SERVERS_MAX} servers already`, 'demote another one first')
  return memberOf(plan, id) === undefined
    ? refusal('it is no member of the cluster', 'let it in first: `muster node approve NODE --server`')
    : refusal('it is a server already', 'nothing is to be done')
}

/** A person says that it is over; what its holder still does, it does without the plan. */
function breakAct(plan: Plan, attempt: number): Obeyed | Refusal {
  const { act, datastore } = plan
  if (act === null || act.attempt !== attempt)
    return refusal(`act ${attempt} is not under way`, 'see `muster act list`')
  const aborted = act.kind === 'join' ? abortedWith(plan, act.node) : datastore.aborted
  const rollout =
    act.kind === 'upgrade'
      ? breakUpgrade(plan, act.node, `a person ended the act of ${nameOf(plan, act.node)}`)
      : plan.rollout
  const changes = { act: null, rollout, datastore: { ...datastore, aborted } }
  return { changes, node: act.node, name: 'act-broken' }
}

type ConfigCommand = Extract<Command, { verb: 'config' }>
type ChangedSettings = ConfigCommand['settings']

/** Without the keys that are there and say nothing. */
const said = (changed: ChangedSettings): Partial<Plan['settings']> =>
  Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== undefined))

/** What cannot change once there is a cluster: addresses were given, and the datastore is of its kind. */
const FIXED = ['vpnMode', 'vpnCidr', 'distribution'] as const

function configure(plan: Plan, { settings: changed, acceptDowntime }: ConfigCommand): Obeyed | Refusal {
  const fixed = FIXED.filter((key) => changed[key] !== undefined && changed[key] !== plan.settings[key])
  if (fixed.length > 0)
    return refusal(
      `${fixed.join(' and ')} cannot change after founding`,
      'found a new cluster with the other setting, and move to it',
    )
  const settings: Plan['settings'] = { ...plan.settings, ...said(changed) }
  if ((settings.k3s === null) !== (settings.distribution !== 'k3s'))
    return refusal(
      'settings of k3s are for a cluster of that kind, and needed there',
      'leave them as they are',
    )
  if (settings.maxNodes < plan.members.length)
    return refusal(`${plan.members.length} nodes are in already`, 'remove some, or allow as many')
  if (settings.admission === 'open' && plan.departed.some(({ why }) => why === 'revoked'))
    return refusal(
      'a node was revoked, and could come back with another key',
      'rotate the token first; until then approve newcomers one by one',
    )
  const rolled = rollOut(plan, settings.k3s, acceptDowntime)
  if (isRefusal(rolled)) return rolled
  return { changes: { ...rolled, settings }, node: null, name: 'configured' }
}

/** Settings of k3s reach the nodes one by one. */
function rollOut(plan: Plan, k3s: K3sSettings | null, acceptDowntime: boolean): Partial<Plan> | Refusal {
  const current = plan.settings.k3s
  if (k3s === null || current === null || sameK3s(k3s, current)) return {}
  const change = { settings: k3s, acceptDowntime }
  const fault = k3sChangeFault(plan, change)
  return fault === null ? (changeK3s(plan, change) ?? {}) : refusal(fault, 'see `muster rollout status`')
}

function steer(plan: Plan, to: 'pause' | 'resume'): Obeyed | Refusal {
  const changes = steerRollout(plan, to)
  if (changes !== null) return { changes, node: null, name: to === 'pause' ? 'paused' : 'resumed' }
  return plan.rollout === null || plan.rollout.state === 'done'
    ? refusal('no rollout is under way', 'nothing is to be done')
    : refusal(`the rollout is ${plan.rollout.state} already`, 'nothing is to be done')
}
