/**
 * A lab without root: every host is an address of the loopback network. No machine of its own, so no mesh
 * interface and no multicast; the hosts find each other as static peers. Cuts are not possible here.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Host, type Place } from './host.ts'
import { signal } from './machine.ts'
import { onEnd } from './on-end.ts'
import { installProgram, type Program } from './program.ts'
import { makeLabDirectory, markOf, processesNaming, removeLabDirectory, writeNote } from './registry.ts'
import { until } from './until.ts'

export interface LoopbackLab {
  readonly directory: string
  readonly hosts: readonly Host[]
  /** Kills the daemon and everything that it started. */
  killAll(host: Host): Promise<void>
  /** Command line that shows a host's status. */
  enter(host: Host): string
  keep(): void
  destroy(): Promise<void>
}

/** Address of host `index`, 1…254. */
export const loopbackAddress = (index: number): string => `127.77.0.${index}`

export function createLoopbackLab(options: {
  readonly name: string
  readonly hosts: number
  readonly config: string
  readonly program: Program
}): LoopbackLab {
  const directory = makeLabDirectory(options.name)
  const config = join(directory, 'muster.yaml')
  writeFileSync(config, options.config, { mode: 0o600 })
  const program = installProgram(options.program, directory, directory)
  let over = false

  const makeHost = (index: number): Host => {
    const home = join(directory, `host-${index}`)
    mkdirSync(home)
    const place: Place = {
      name: `node-${index}`,
      index,
      address: loopbackAddress(index),
      logFile: join(home, 'daemon.log'),
      stateDirectory: join(home, 'state'),
      upArguments: [
        ...['--config', config, '--state', join(home, 'state'), '--socket', join(home, 'muster.sock')],
        ...['--listen', loopbackAddress(index)],
      ],
      wrapped: false,
      inside: ([file, ...args]) => {
        if (file === undefined) throw new Error('no command')
        return [file, ...args]
      },
      socket: () => join(home, 'muster.sock'),
      outer: (inside) => [...inside],
      bytes: () => null,
    }
    return new Host(place, program)
  }
  const hosts = Array.from({ length: options.hosts }, (_, i) => makeHost(i + 1))

  const destroyNow = (): void => {
    if (over) return
    over = true
    for (const host of hosts) killAllNow(host)
    removeLabDirectory(directory)
  }
  const forget = onEnd(destroyNow)
  const note = (kept: boolean): void => {
    const owner = markOf(process.pid)
    if (owner === null) throw new Error('/proc is not mounted')
    // Whoever takes the lab away finds its processes by the directory, which all of them name.
    writeNote(directory, { name: options.name, owner, processes: [], kept })
  }
  note(false)

  return {
    directory,
    hosts,
    killAll,
    enter: (host) => `${directory}/muster status --socket ${host.place.socket()}`,
    keep: () => {
      note(true)
      forget()
      over = true
    },
    destroy: async () => {
      if (over) return
      await Promise.all(hosts.map(killAll))
      removeLabDirectory(directory)
      // Not before: who is interrupted on the way leaves the rest to destroyNow.
      over = true
      forget()
    },
  }
}

/** The daemon, and what it started: all name the host's state directory. */
function killProcesses(host: Host): number {
  const pids = processesNaming(host.place.stateDirectory)
  for (const pid of pids) signal(pid, 'SIGKILL')
  return pids.length
}

/** For exit handlers. What was killed is gone from the list, what it had just started is found the next time. */
function killAllNow(host: Host): void {
  for (let round = 0; round < 100; round++) {
    if (killProcesses(host) === 0) return
  }
}

async function killAll(host: Host): Promise<void> {
  await until(`the end of ${host.name}'s processes`, () => killProcesses(host) === 0, { everyMs: 20 })
  await host.kill9()
}
