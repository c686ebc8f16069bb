/**
 * Many machines on one: `createLab` makes a switch and N machines on it that differ in nothing but their
 * names and addresses, and takes everything away again, whatever happens. Several labs live side by side.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Host, type InterfaceBytes, type Place } from './host.ts'
import { bootMachine, DISK_PATH, type Machine, outerPids, SHARED_PATH } from './machine.ts'
import { onEnd } from './on-end.ts'
import { installProgram, type Program } from './program.ts'
import { makeLabDirectory, markOf, type ProcessMark, removeLabDirectory, writeNote } from './registry.ts'
import { createSwitch, type Switch } from './switch.ts'

export interface LabOptions {
  /** Short and plain: part of directory names. */
  readonly name: string
  readonly hosts: number
  /** The configuration, one text for all. */
  readonly config: string
  readonly program: Program
  /** Host name of host `index`; by default `node-<index>`. */
  readonly hostName?: (index: number) => string
  /** Directories that every host sees as the real host does, but writes on its own disk. */
  readonly ownDirectories?: readonly string[]
}

/** Makes and keeps directories, programs and cuts for its hosts. */
export interface Lab {
  readonly name: string
  readonly directory: string
  readonly hosts: readonly Host[]
  /** Adds a machine, powered on, without daemon. */
  addHost(): Promise<Host>
  /** Writes a file that every host sees, read-only; returns its path there. */
  share(fileName: string, text: string): string
  /** Host `i` is host number i, 1…N. Hosts of different groups cannot reach each other. */
  cut(...groups: readonly (readonly Host[])[]): Promise<void>
  cutOneWay(from: Host, to: Host): Promise<void>
  heal(): Promise<void>
  /** Power cut: all its processes die, memory and /run are gone, the disk stays. */
  powerOff(host: Host): Promise<void>
  /** The same machine boots again, with a new boot ID; its daemon is not started. */
  powerOn(host: Host): Promise<void>
  /** Command line to enter a host. */
  enter(host: Host): string
  /** Lets the lab live on after this process; {@link cleanStale} with `alsoKept` ends it. */
  keep(): void
  /** Ends everything; nothing remains. Safe to call twice. */
  destroy(): Promise<void>
}

/** The lab's LAN; well apart from muster's default mesh 10.86.0.0/16. Only inside the machines. */
const NETWORK = '10.77.0'
const PREFIX = 16

/** Path of the configuration, the same on every host. */
export const CONFIG_PATH = `${SHARED_PATH}/muster.yaml`
/** Path of the daemon's state, the same on every host. */
export const STATE_PATH = `${DISK_PATH}/state`
/** The daemon's command line, the same on every host. */
export const UP_ARGUMENTS: readonly string[] = ['--config', CONFIG_PATH, '--state', STATE_PATH]

export async function createLab(options: LabOptions): Promise<Lab> {
  const directory = makeLabDirectory(options.name)
  const shared = join(directory, 'shared')
  mkdirSync(shared)
  const program = installProgram(options.program, shared, SHARED_PATH)
  const hosts: Host[] = []
  const machines = new Map<number, Machine>()
  let network: Switch | null = null
  let over = false

  const destroyNow = (): void => {
    if (over) return
    over = true
    for (const machine of machines.values()) machine.killNow()
    network?.unplugNow()
    removeLabDirectory(directory)
  }
  const forget = onEnd(destroyNow)
  const destroy = async (): Promise<void> => {
    if (over) return
    await Promise.all([...machines.values()].map((machine) => machine.kill()))
    await network?.unplugAll()
    removeLabDirectory(directory)
    // Not before: who is interrupted on the way leaves the rest to destroyNow.
    over = true
    forget()
  }
  const note = (kept: boolean): void => {
    const pids = [...machines.values()].map((machine) => machine.pid)
    if (network !== null) pids.push(network.pid)
    const owner = markOf(process.pid)
    if (owner === null) throw new Error('/proc is not mounted')
    const processes = pids.map(markOf).filter((mark): mark is ProcessMark => mark !== null)
    writeNote(directory, { name: options.name, owner, processes, kept })
  }

  const machineOf = (host: Host): Machine => {
    const machine = machines.get(host.index)
    if (machine === undefined) throw new Error(`${host.name} is powered off`)
    return machine
  }
  const boot = async (index: number, name: string): Promise<void> => {
    const machine = await bootMachine({
      hostName: name,
      directory: join(directory, `host-${index}`),
      shared,
      ownDirectories: options.ownDirectories ?? [],
    })
    machines.set(index, machine)
    if (network === null) throw new Error('the lab has no switch')
    await network.plug(index, machine.pid, addressOf(index), PREFIX)
    note(false)
  }
  const share = (fileName: string, text: string): string => {
    writeFileSync(join(shared, fileName), text, { mode: 0o600 })
    return `${SHARED_PATH}/${fileName}`
  }
  const add = async (index: number): Promise<Host> => {
    const name = options.hostName?.(index) ?? `node-${index}`
    const home = join(directory, `host-${index}`)
    mkdirSync(home)
    const place: Place = {
      name,
      index,
      address: addressOf(index),
      logFile: join(home, 'daemon.log'),
      stateDirectory: join(home, 'disk/state'),
      upArguments: UP_ARGUMENTS,
      wrapped: true,
      inside: (argv) => machineOf(host).inside(argv),
      socket: () => machineOf(host).outside('/run/muster.sock'),
      outer: (inside) => outerPids(machineOf(host).pid, inside),
      bytes: () => interfaceBytes(machineOf(host).pid),
    }
    const host = new Host(place, program)
    await boot(index, name)
    return host
  }

  try {
    network = await createSwitch()
    note(false)
    share('muster.yaml', options.config)
    const indices = Array.from({ length: options.hosts }, (_, i) => i + 1)
    hosts.push(...(await Promise.all(indices.map(add))))
  } catch (error) {
    await destroy()
    throw error
  }
  const wires = network

  return {
    name: options.name,
    directory,
    hosts,
    share,
    destroy,
    addHost: async () => {
      const host = await add(hosts.length + 1)
      hosts.push(host)
      return host
    },
    cut: (...groups) => wires.cut(groups.map((group) => group.map((host) => host.index))),
    cutOneWay: (from, to) => wires.cutOneWay(from.index, to.index),
    heal: () => wires.heal(),
    powerOff: async (host) => {
      const machine = machineOf(host)
      await wires.unplug(host.index)
      await machine.kill()
      machines.delete(host.index)
      await host.kill9()
    },
    powerOn: (host) => boot(host.index, host.name),
    enter: (host) => {
      const target = `--target ${machineOf(host).pid} --net --uts --ipc --mount --pid --wd=/`
      return `nsenter ${target} -- env PATH=${SHARED_PATH}:$PATH bash`
    },
    keep: () => {
      forget()
      over = true
      for (const machine of machines.values()) machine.keep()
      wires.keep()
      note(true)
    },
  }
}

function addressOf(index: number): string {
  return `${NETWORK}.${index}`
}

/** Counters of the machine's eth0, by the machine's own /proc/net/dev. */
function interfaceBytes(pid: number): InterfaceBytes {
  const line = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    .split('\n')
    .find((text) => text.trim().startsWith('eth0:'))
  const fields = line?.split(':')[1]?.trim().split(/\s+/).map(Number) ?? []
  return { received: fields[0] ?? 0, sent: fields[8] ?? 0 }
}
