/**
 * How each fault is done to real machines, and undone. `play` does a step of the schedule from its beginning to
 * its end; what it says is what a person reads while it runs.
 */
import { assertNever } from '../../src/core/ids.ts'
import type { Host } from '../lab/host.ts'
import { STATE_PATH } from '../lab/lab.ts'
import { signal } from '../lab/machine.ts'
import { until } from '../lab/until.ts'
import { type Random, randomFrom } from '../random.ts'
import { OFFSETS } from './clock.ts'
import { type Crew, run } from './crew.ts'
import type { Lane, Step } from './schedule.ts'

export interface Stage {
  readonly crew: Crew
  readonly lanes: Readonly<Record<Lane, readonly Host[]>>
  /** Whoever leads, where it is a host of the lane; waits for a moment where nobody does. */
  leader(): Promise<Host | null>
  say(host: Host | null, text: string): void
  /** Passes the time of a fault, or less where the run is over. */
  pass(ms: number): Promise<void>
}

/** What the daemon's state is filled up with. */
const FILLER = `${STATE_PATH}/filler`

export async function play(stage: Stage, lane: Lane, step: Step): Promise<void> {
  const { crew } = stage
  const random = randomFrom(step.dice, step.kind)
  const leader = step.atLeader ? await stage.leader() : null
  const host = leader ?? random.pick(stage.lanes[lane])
  const seconds = `${(step.holdMs / 1_000).toFixed(1)} s`
  const which = host === leader ? 'the leader: ' : ''
  switch (step.kind) {
    case 'kill':
      stage.say(host, `${which}kill -9 of its daemon for ${seconds}`)
      await crew.kill(host)
      await stage.pass(step.holdMs)
      return crew.start(host)
    case 'pause':
      stage.say(host, `${which}its daemon stands still for ${seconds}`)
      host.pause()
      await stage.pass(step.holdMs)
      return host.resume()
    case 'power':
      stage.say(host, `${which}loses power for ${seconds}`)
      await crew.powerOff(host)
      await stage.pass(step.holdMs)
      return crew.powerOn(host)
    case 'wipe':
      stage.say(host, `its disk is wiped, power is back after ${seconds}`)
      await crew.powerOff(host)
      crew.wipe(host)
      await stage.pass(step.holdMs)
      return crew.powerOn(host)
    case 'blackout': {
      const dark = random.shuffled(stage.lanes.servers).slice(1)
      stage.say(null, `power is gone for ${seconds}: ${namesOf(dark)}`)
      await Promise.all(dark.map((each) => crew.powerOff(each)))
      await stage.pass(step.holdMs)
      await Promise.all(dark.map((each) => crew.powerOn(each)))
      return
    }
    case 'kill-etcd': {
      // After what came before it may not run yet.
      const pids = await until(`etcd on ${host.name}`, () => etcdOn(host))
      stage.say(host, `${which}kill -9 of its etcd`)
      for (const pid of pids) signal(pid, 'SIGKILL')
      return stage.pass(step.holdMs)
    }
    case 'full-disk':
      return fillDisk(stage, seconds, step.holdMs)
    case 'clock':
      return jump(stage, random, step.holdMs)
    case 'isolate':
    case 'groups':
    case 'one-way':
    case 'pair':
      await cut(stage, step.kind, host, random, seconds, which)
      await stage.pass(step.holdMs)
      return crew.lab.heal()
    default:
      return assertNever(step.kind)
  }
}

async function cut(
  { crew, lanes, say }: Stage,
  kind: 'isolate' | 'groups' | 'one-way' | 'pair',
  host: Host,
  random: Random,
  seconds: string,
  which: string,
): Promise<void> {
  const { hosts, lab } = crew
  const others = hosts.filter((other) => other !== host)
  switch (kind) {
    case 'isolate':
      say(host, `${which}is cut off for ${seconds}`)
      return lab.cut([host], others)
    case 'groups': {
      // One server at least on either side, and the host in the smaller group.
      const far = random.pick(lanes.servers.filter((server) => server !== host))
      const mixed = random.shuffled(others.filter((other) => other !== far))
      const near = [host, ...mixed.slice(0, random.below(Math.ceil(hosts.length / 2)))]
      const rest = hosts.filter((other) => !near.includes(other))
      say(null, `two halves for ${seconds}: ${namesOf(near)} | ${namesOf(rest)}`)
      return lab.cut(near, rest)
    }
    case 'one-way': {
      const isDeaf = random.perMille(500)
      say(host, `${which}${isDeaf ? 'hears nobody' : 'is heard by nobody'} for ${seconds}`)
      for (const other of others) await lab.cutOneWay(isDeaf ? other : host, isDeaf ? host : other)
      return
    }
    case 'pair': {
      const other = random.pick(others)
      say(host, `${which}it and ${other.name} cannot reach each other for ${seconds}`)
      return lab.cut([host], [other])
    }
    default:
      return assertNever(kind)
  }
}

/** `fallocate` takes what it gets and fails; the rest is less than one of its extents. */
async function fillDisk({ crew, say, pass }: Stage, seconds: string, holdMs: number): Promise<void> {
  const host = crew.smallDisk
  say(host, `its disk is full for ${seconds}`)
  const fill = `fallocate --length 1G ${FILLER}; ! dd if=/dev/zero of=${FILLER}.rest bs=4k 2>/dev/null`
  await run(host, ['sh', '-c', `${fill} && test "$(df --output=avail ${STATE_PATH} | tail -1)" -eq 0`])
  await pass(holdMs)
  await run(host, ['rm', FILLER, `${FILLER}.rest`])
}

async function jump({ crew: { clock }, say, pass }: Stage, random: Random, holdMs: number): Promise<void> {
  if (clock === null) throw new Error('no clock can be made to jump')
  const offset = random.pick(OFFSETS.filter((each) => each !== clock.offset))
  const where = offset === 0 ? 'to the true time' : `to an hour ${offset > 0 ? 'ahead' : 'behind'}`
  say(clock.host, `its wall clock jumps ${where}`)
  await clock.set(offset)
  await pass(holdMs)
}

async function etcdOn(host: Host): Promise<number[] | null> {
  const pids = await host.processes('etcd')
  return pids.length === 0 ? null : pids
}

const namesOf = (hosts: readonly Host[]): string => hosts.map((host) => host.name).join(', ')
