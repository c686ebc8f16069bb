/** How each kind of fault strikes, and that it is over when the schedule's calm begins. */
import type { Command } from '../src/core/commands.ts'
import { assertNever } from '../src/core/ids.ts'
import type { Machine } from './machine.ts'
import { type Random, randomFrom } from './random.ts'
import type { Fault } from './schedule.ts'
import type { World } from './world.ts'

export function strike(world: World, fault: Fault, calmAt: number): void {
  const machine = world.machines[fault.machine]
  if (machine === undefined) return
  const { counters } = world
  const later = (ms: number, run: () => void): void => world.at(Math.min(world.now + ms, calmAt), run)
  const told = (text: string): void => world.trace?.machine(machine, text)
  switch (fault.kind) {
    case 'crash': {
      const comeBack = (): void => later(fault.offMs, () => machine.boot())
      if (machine.state === null) return
      if (fault.point === null) {
        machine.crash(fault.power)
        comeBack()
      } else {
        machine.trap(fault.point, fault.power, fault.skip, comeBack)
        // What never writes again must not die in the calm.
        later(20_000, () => machine.disarm())
      }
      return
    }
    case 'wipe':
      told('loses its disk')
      machine.crash(true)
      machine.wipe()
      counters.add('wipes')
      later(fault.offMs, () => machine.boot())
      return
    case 'forget':
      told('loses everything but the data of its datastore')
      machine.crash(true)
      machine.forget()
      later(fault.offMs, () => machine.boot())
      return
    case 'pause':
      counters.add('pauses')
      told(`freezes for ${fault.ms} ms`)
      machine.pause()
      later(fault.ms, () => machine.resume())
      return
    case 'disk-full':
      machine.disk.full = true
      told(`has a full disk for ${fault.ms} ms`)
      later(fault.ms, () => {
        machine.disk.full = false
      })
      return
    case 'cut': {
      const side = [fault.machine, ...fault.with]
      const others = world.machines.map((other) => other.index).filter((i) => !side.includes(i))
      counters.add(fault.oneWay ? 'one-way cuts' : 'cuts')
      const names = (list: readonly number[]): string =>
        list.map((i) => world.machines[i]?.name ?? '?').join('')
      world.trace?.note(
        world.now,
        `cut: ${names(side)} ${fault.oneWay ? '→' : '|'} ${names(others)} for ${fault.ms} ms`,
      )
      const heal = world.network.cut(side, others, fault.oneWay)
      later(fault.ms, () => {
        world.trace?.note(world.now, `healed: ${names(side)} and ${names(others)}`)
        heal()
      })
      return
    }
    case 'break':
      world.network.breakLink(fault.machine, fault.other)
      return
    case 'power-cut':
      world.trace?.note(world.now, 'power is cut everywhere')
      counters.add('power cuts')
      for (const each of world.machines) {
        if (each.state === null) continue
        each.crash(true)
        later(fault.offMs[each.index] ?? 0, () => each.boot())
      }
      return
    case 'mesh-down':
      machine.mesh.hang(true)
      later(fault.ms, () => machine.mesh.hang(false))
      return
    case 'datastore-hang':
      machine.datastore.hang(true)
      later(fault.ms, () => machine.datastore.hang(false))
      return
    case 'mesh-mute':
      counters.add('mutes')
      machine.mesh.mute(true)
      later(fault.ms, () => machine.mesh.mute(false))
      return
    case 'datastore-mute':
      counters.add('mutes')
      machine.datastore.mute(true)
      later(fault.ms, () => machine.datastore.mute(false))
      return
    case 'restore':
      machine.crash(true)
      if (machine.restore()) {
        told(`gets its disk of ${fault.copyAt / 1000} s back`)
        counters.add('restored disks')
      }
      later(fault.offMs, () => machine.boot())
      return
    case 'clone': {
      const original = world.machines[fault.of]
      if (original === undefined || original === machine || original.keys === machine.keys) return
      machine.crash(true)
      told(`gets a copy of ${original.name}'s disk`)
      machine.become(original, fault.fingerprint)
      counters.add('cloned disks')
      later(fault.offMs, () => machine.boot())
      return
    }
    case 'datastore-loss':
      machine.crash(true)
      if (machine.datastore.data !== null) counters.add('lost datastores')
      machine.datastore.restore(null)
      told('loses the data of its datastore')
      later(fault.offMs, () => machine.boot())
      return
    case 'sever': {
      if (fault.other === fault.machine || world.machines[fault.other] === undefined) return
      counters.add('severed pairs')
      const heal = world.network.cut([fault.machine], [fault.other], fault.oneWay)
      later(fault.ms, heal)
      return
    }
    case 'slow':
      counters.add('slow machines')
      world.network.slow(fault.machine, fault.byMs)
      later(fault.ms, () => world.network.slow(fault.machine, 0))
      return
    case 'command':
      world.operator.give(fault)
      return
    case 'dies':
      if (machine.state === null) return
      told('dies')
      counters.add('deaths')
      machine.die()
      return
    case 'configure':
    case 'steer':
      command(world, fault)
      return
    case 'k3s-spoilt':
      told('has a k3s that does not come up')
      machine.datastore.spoil(true)
      later(fault.ms, () => machine.datastore.spoil(false))
      return
    case 'clock-jump':
      counters.add('clock jumps')
      machine.jump(fault.byMs)
      return
    case 'move':
      counters.add('moves')
      machine.move()
      told(`is found at ${machine.lanAddress} now`)
      return
    case 'hunt':
      hunt(world, fault, randomFrom(world.seed, `hunt ${fault.at} ${fault.machine}`), calmAt)
      return
    default:
      assertNever(fault)
  }
}

/** On the server that the fault names, or the next one that is there: a person looks for one. */
function command(world: World, fault: Extract<Fault, { kind: 'configure' | 'steer' }>): void {
  const { machines } = world
  const at = machines
    .map((_, i) => machines[(fault.machine + i) % machines.length])
    .find((machine) => {
      const plan = machine?.state?.durable.certified?.plan
      const isServer = plan?.members.some(({ id, role }) => id === machine?.keys.id && role === 'server')
      return isServer === true && machine?.paused === false
    })
  const plan = at?.state?.durable.certified?.plan
  if (at === undefined || plan === undefined || plan.settings.k3s === null) return
  const given: Command =
    fault.kind === 'steer'
      ? { verb: 'rollout', to: fault.to }
      : {
          verb: 'config',
          settings: { k3s: { ...plan.settings.k3s, ...fault.k3s } },
          acceptDowntime: fault.acceptDowntime,
        }
  world.operator.command(at, given)
}

function isPrey({ state, paused, keys }: Machine, holder: boolean): boolean {
  if (state === null || paused) return false
  return holder
    ? state.durable.certified?.plan.act?.node === keys.id
    : state.replication.leadership !== null || state.founding.candidacy !== null
}

/** Figure 8 of the Raft paper, and hazard 3, are made of leaders that die in a row. */
function hunt(
  world: World,
  fault: Extract<Fault, { kind: 'hunt' }>,
  random: Random,
  calmAt: number,
  known: Set<number> = new Set(),
): void {
  const until = Math.min(fault.at + fault.ms, calmAt)
  if (world.now >= until) return
  world.at(Math.min(until, world.now + fault.everyMs), () => hunt(world, fault, random, calmAt, known))
  const hunted = world.machines.filter((machine) => isPrey(machine, fault.holder ?? false))
  const fresh = fault.once === true ? hunted.filter((machine) => !known.has(machine.index)) : hunted
  known.clear()
  for (const machine of hunted) known.add(machine.index)
  const prey = fresh.find(() => random.perMille(fault.perMille))
  if (prey === undefined) return
  world.counters.add('leaders hunted')
  const { offMs, how, at } = fault
  const { index } = prey
  switch (how) {
    case 'crash': {
      const point = random.pick(['in-write', 'after-write', 'after-write', 'between-effects', null] as const)
      strike(
        world,
        {
          kind: 'crash',
          at,
          machine: index,
          point,
          power: random.perMille(500),
          skip: random.pick([0, 1, 1, 2]),
          offMs,
        },
        calmAt,
      )
      return
    }
    case 'cut': {
      const others = world.machines.map((other) => other.index).filter((i) => i !== index)
      const together = others.filter(() => random.perMille(300))
      strike(
        world,
        { kind: 'cut', at, machine: index, with: together, oneWay: random.perMille(400), ms: offMs },
        calmAt,
      )
      return
    }
    case 'pause':
      strike(world, { kind: 'pause', at, machine: index, ms: offMs }, calmAt)
      return
    case 'hang':
      strike(world, { kind: 'datastore-hang', at, machine: index, ms: offMs }, calmAt)
      return
    default:
      assertNever(how)
  }
}
