/**
 * The person: commands at any moment, on any machine, often at bad ones; with an operator's key where there is
 * one. And the thief, who has a machine of the cluster and no right to command: it tries on that machine's own
 * socket, over the wire in its own and in servers' names, and replays what operators signed.
 */
import { type Command, commandStatement, type OrderedCommand } from '../src/core/commands.ts'
import { assertNever, type Digest, type NodeId } from '../src/core/ids.ts'
import { COMMAND_WAIT_MS } from '../src/core/timing.ts'
import type { Keys } from './crypto.ts'
import type { Machine } from './machine.ts'
import { OPERATOR } from './oracles/people.ts'
import type { Fault } from './schedule.ts'
import type { World } from './world.ts'

type CommandFault = Extract<Fault, { kind: 'command' }>

export interface Operator {
  /** Its key; null where the cluster has no operators. */
  readonly keys: Keys | null
  give(fault: CommandFault): void
  /** On a server's own socket. */
  command(server: Machine, command: Command): void
}

const THIEF = 'thief'
/** A frozen machine answers late; one whose disk holds it up does, too. */
const LATE_MS = 45_000

export function createOperator(world: World, keys: Keys | null): Operator {
  let given = 0
  /** Signed commands as they went over the wire: what a thief may replay. */
  const overheard: OrderedCommand[] = []

  const commandOf = (fault: CommandFault, target: Machine): Command | null => {
    const node = target.keys.id
    switch (fault.verb) {
      case 'approve':
        return { verb: 'approve', node, as: fault.as }
      case 'revoke':
      case 'remove':
      case 'promote':
      case 'demote':
        return { verb: fault.verb, node }
      case 'replace': {
        const old = target.formerIds.at(-1)
        return old === undefined ? null : { verb: 'replace', old, new: node }
      }
      case 'act-break': {
        const act = world.oracles.plans.newest()?.plan.act
        return act == null ? null : { verb: 'act-break', attempt: act.attempt }
      }
      case 'config':
        return {
          verb: 'config',
          settings: { admission: fault.as === 'agent' ? 'open' : 'approve' },
          acceptDowntime: false,
        }
      default:
        return assertNever(fault.verb)
    }
  }

  /** What a lawful command allows from now on, whether or not it is carried out. */
  const allow = (command: Command): void => {
    const { approved, approvedAsServers } = world.oracles.people
    const idOf = (word: string): NodeId => word as NodeId
    if (command.verb === 'approve') approved.add(idOf(command.node))
    if (command.verb === 'replace') approved.add(idOf(command.new))
    if (command.verb === 'replace') approvedAsServers.add(idOf(command.new))
    if (command.verb === 'approve' && command.as === 'server') approvedAsServers.add(idOf(command.node))
    if (command.verb === 'promote') approvedAsServers.add(idOf(command.node))
  }

  const ask = (machine: Machine, command: Command, who: string, signer: Keys | null): void => {
    given += 1
    const request = `command ${given}`
    const certified = machine.state?.durable.certified ?? null
    const era = certified?.plan.era ?? null
    const signed = signer !== null && era !== null && certified !== null
    const operator = signed
      ? {
          operator: signer.id,
          index: certified.index,
          signature: signer.crypto.sign(commandStatement(era, command, certified.index)),
        }
      : null
    if (who === OPERATOR) world.counters.add(`commands to ${command.verb}`)
    world.trace?.machine(machine, `is told by ${who} to ${JSON.stringify(command)}`)
    if (operator !== null && era !== null) {
      world.oracles.people.signed(command.verb)
      remember(machine, era, command, operator)
    }
    machine.expectAnswer(request, COMMAND_WAIT_MS + LATE_MS)
    machine.handle({ kind: 'command', request, command, who, why: 'because', operator })
  }

  const remember = (
    machine: Machine,
    era: Digest,
    command: Command,
    operator: NonNullable<OrderedCommand['operator']>,
  ): void => {
    const id = machine.keys.crypto.hash(commandStatement(era, command, operator.index))
    const { index } = operator
    overheard.push({ id, command, origin: machine.keys.id, index, who: THIEF, why: null, operator })
  }

  /** Over the wire, past the core of the machine that it has: in that machine's name, or in a server's. */
  const steal = (machine: Machine, command: Command): void => {
    const plan = world.oracles.plans.newest()
    if (plan === null) return
    const [server] = plan.plan.voters
    const { era } = plan.plan
    world.counters.add('stolen commands')
    const replayed = overheard.at(-1)
    for (const voter of plan.plan.voters) {
      const number = machine.keys.crypto.hash(commandStatement(era, command, given))
      for (const origin of [machine.keys.id, server ?? machine.keys.id]) {
        const { index } = plan
        const forged = { id: number, command, origin, index, who: THIEF, why: null, operator: null }
        world.network.send(machine.index, voter, { kind: 'command', era, ordered: forged })
        // Signed, in an operator's name, by the machine's own key.
        const operator = {
          operator: keys?.id ?? machine.keys.id,
          index,
          signature: machine.keys.crypto.sign(commandStatement(era, command, index)),
        }
        const id = machine.keys.crypto.hash(commandStatement(era, command, index))
        world.network.send(machine.index, voter, {
          kind: 'command',
          era,
          ordered: { ...forged, id, operator },
        })
      }
      if (replayed === undefined) continue
      // Twice: the same again, and the same signature under another number.
      world.network.send(machine.index, voter, { kind: 'command', era, ordered: replayed })
      world.network.send(machine.index, voter, { kind: 'command', era, ordered: { ...replayed, id: number } })
    }
  }

  return {
    keys,
    command: (server, command) => ask(server, command, OPERATOR, null),
    give: (fault) => {
      const machine = world.machines[fault.machine]
      const target = world.machines[fault.other]
      if (machine === undefined || target === undefined || machine.state === null) return
      const command = commandOf(fault, target)
      if (command === null) return
      const plan = world.oracles.plans.newest()?.plan
      const isServer =
        plan?.members.some(({ id, role }) => id === machine.keys.id && role === 'server') ?? false
      if (!fault.lawful) {
        if (isServer || plan === undefined) return
        ask(machine, command, THIEF, null)
        steal(machine, command)
        return
      }
      const signer = isServer ? null : keys
      if (!isServer && signer === null) return
      allow(command)
      ask(machine, command, OPERATOR, signer)
    },
  }
}
