/**
 * The switch between the lab's machines: a bridge in a network namespace of its own, one port for each
 * machine, and rules on it that cut machines off from each other. The rules look at every frame and know no
 * connections, so a cut holds for what is already established, for ARP and for multicast, and is not noticed
 * by the machines: no reset, no unreachable, only silence.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { execa } from 'execa'
import { STAY, signal } from './machine.ts'

export interface Switch {
  /** Connects a machine as port `port`, with interface eth0 and a default route (mDNS needs one). */
  plug(port: number, machinePid: number, address: string, prefix: number): Promise<void>
  /** Pulls the cable: the kernel of a machine that died may answer for a moment longer. */
  unplug(port: number): Promise<void>
  /** Machines of different groups cannot reach each other; ports in no group keep everyone. */
  cut(groups: readonly (readonly number[])[]): Promise<void>
  /** Nothing of what `from` sends arrives at `to`; the other direction works. */
  cutOneWay(from: number, to: number): Promise<void>
  /** Ends all cuts. */
  heal(): Promise<void>
  keep(): void
  readonly pid: number
  unplugAll(): Promise<void>
  unplugNow(): void
}

const RULES = `
table bridge cut {
  set pairs { typeof iifname . oifname; }
  chain forward {
    type filter hook forward priority 0
    iifname . oifname @pairs drop
  }
}
`

/** Makes the switch; it ends with this process, or with {@link Switch.unplugAll}. */
export async function createSwitch(): Promise<Switch> {
  // No --fork: unshare becomes the shell, so the process ID is known at once.
  const owner = spawn('unshare', ['--net', 'bash', '-c', STAY], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  const pid = await readyPid(owner)
  const run = async (input: string | undefined, ...argv: string[]): Promise<void> => {
    await execa(
      'nsenter',
      ['--target', String(pid), '--net', '--', ...argv],
      input === undefined ? {} : { input },
    )
  }
  await run(undefined, 'ip', 'link', 'add', 'br0', 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0')
  await run(undefined, 'ip', 'link', 'set', 'br0', 'up')
  await run(RULES, 'nft', '-f', '-')

  const drop = async (pairs: readonly (readonly [number, number])[]): Promise<void> => {
    if (pairs.length === 0) return
    const elements = pairs.map(([from, to]) => `"p${from}" . "p${to}"`).join(', ')
    await run(`add element bridge cut pairs { ${elements} }`, 'nft', '-f', '-')
  }
  return {
    pid,
    plug: async (port, machinePid, address, prefix) => {
      const inside = ['nsenter', '--target', String(machinePid), '--net', '--']
      const mac = `02:6d:75:00:${hex(port >> 8)}:${hex(port & 255)}`
      await run(
        undefined,
        ...`ip link add p${port} type veth peer name eth0 address ${mac} netns ${machinePid}`.split(' '),
      )
      await run(undefined, ...`ip link set p${port} master br0 up`.split(' '))
      const batch = [
        `addr add ${address}/${prefix} broadcast + dev eth0`,
        'link set eth0 up',
        'route add default dev eth0',
      ]
      await execa('nsenter', [...inside.slice(1), 'ip', '-batch', '-'], { input: `${batch.join('\n')}\n` })
    },
    unplug: (port) => run(undefined, 'ip', 'link', 'delete', `p${port}`),
    cut: async (groups) => {
      const pairs = groups.flatMap((group, i) =>
        group.flatMap((from) =>
          groups.flatMap((other, j) => (i === j ? [] : other.map((to) => [from, to] as const))),
        ),
      )
      await drop(pairs)
    },
    cutOneWay: (from, to) => drop([[from, to]]),
    heal: () => run('flush set bridge cut pairs', 'nft', '-f', '-'),
    keep: () => {
      owner.stdin?.write('keep\n')
    },
    unplugAll: async () => {
      if (owner.exitCode !== null || owner.signalCode !== null) return
      const gone = new Promise((resolve) => owner.once('exit', resolve))
      // Whoever waits for the end must not end first: nothing else may keep Node running.
      owner.ref()
      signal(pid, 'SIGKILL')
      await gone
    },
    unplugNow: () => {
      if (owner.exitCode === null && owner.signalCode === null) signal(pid, 'SIGKILL')
    },
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

async function readyPid(owner: ChildProcess): Promise<number> {
  const said: string[] = []
  owner.stderr?.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  owner.stdin?.on('error', () => undefined)
  const ready = await new Promise<boolean>((resolve) => {
    owner.once('error', (error) => {
      said.push(error.message)
      resolve(false)
    })
    owner.once('exit', () => resolve(false))
    owner.stdout?.once('data', () => resolve(true))
  })
  if (!ready || owner.pid === undefined)
    throw new Error(`cannot make the lab's switch: ${said.join('').trim()}`)
  owner.unref()
  for (const pipe of [owner.stdin, owner.stdout, owner.stderr]) {
    if (pipe !== null && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  }
  return owner.pid
}
