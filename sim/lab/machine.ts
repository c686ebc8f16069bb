/**
 * One machine of the lab: network, host name, mounts, process table and IPC of its own. Its first process
 * reads a pipe that the lab holds open, so that whatever ends the lab, a SIGKILL too, ends the machine, and
 * with it all its processes, mounts and interfaces. Nothing of it is ever visible in the real host's lists.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './until.ts'

export interface MachineOptions {
  /** Host name that the machine believes in. */
  readonly hostName: string
  /** Directory on the real host that holds the machine's disk; survives power-off. */
  readonly directory: string
  /** Directory on the real host that every machine sees, read-only, as {@link SHARED_PATH}. */
  readonly shared: string
  /**
   * Directories of the real host that the machine sees, but writes on its own disk, where what it wrote survives
   * power-off. For programs whose paths are fixed: k3s keeps a password in /etc/rancher.
   */
  readonly ownDirectories?: readonly string[]
}

/** Where a machine sees the files that are the same for all: configuration, programs. */
export const SHARED_PATH = '/run/lab/shared'
/** Where a machine sees its own disk. */
export const DISK_PATH = '/run/lab/disk'

export interface Machine {
  /** The first process, as the real host numbers it. */
  readonly pid: number
  /** Command line that runs `argv` inside. */
  inside(argv: readonly string[]): [string, ...string[]]
  /** A path of the machine as the real host reaches it. */
  outside(path: string): string
  /** From now on the machine lives on when the lab's process ends. */
  keep(): void
  /** Power cut: every process is killed, everything volatile is gone. */
  kill(): Promise<void>
  /** The same without waiting, for exit handlers. */
  killNow(): void
}

/**
 * How a first process goes on, once it has made its part of the lab: bridged frames shall not pass the host's
 * packet filter (dockerd sends them there), and it lives until its input ends, or for ever after the word `keep`.
 */
export const STAY = `
for knob in iptables ip6tables arptables; do
  file=/proc/sys/net/bridge/bridge-nf-call-$knob
  [ ! -w "$file" ] || echo 0 > "$file"
done
echo ready
while read -r word; do
  if [ "$word" = keep ]; then
    while :; do sleep 3600; done
  fi
done
`

/**
 * Runs as first process. The private /run gives every machine its own sockets, WireGuard's among them; /sys
 * is mounted anew to show the machine's own interfaces; identity files are covered where they exist. A
 * machine-id and a boot ID that all machines share would make them one machine to whoever asks.
 */
const FIRST_PROCESS = `
set -e
mount --make-rprivate /
hostname "$1"
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
[ -L /var/run ] || [ ! -d /var/run ] || mount --bind /run /var/run
mkdir -p /run/wireguard /run/lab/shared /run/lab/disk
for own in "\${@:4}"; do
  layer=$2/own/$(echo "$own" | tr / _)
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay -o "lowerdir=$own,upperdir=$layer/upper,workdir=$layer/work" "$own"
done
cover() { [ ! -e "$2" ] || mount --bind "$1" "$2"; }
cover "$2/hostname" /etc/hostname
cover "$2/machine-id" /etc/machine-id
cover "$2/boot-id" /proc/sys/kernel/random/boot_id
cover "$2/product-uuid" /sys/class/dmi/id/product_uuid
mount --bind "$3" /run/lab/shared
mount -o remount,bind,ro /run/lab/shared
mount --bind "$2/disk" /run/lab/disk
ip link set lo up
${STAY}
`

/** Makes the machine and returns when it is up. Throws with the reason where this kernel or user may not. */
export async function bootMachine(options: MachineOptions): Promise<Machine> {
  writeIdentity(options)
  const namespaces = ['--net', '--uts', '--ipc', '--mount', '--pid', '--mount-proc']
  const { hostName, directory, shared, ownDirectories = [] } = options
  const script = ['bash', '-c', FIRST_PROCESS, 'lab', hostName, directory, shared, ...ownDirectories]
  const parent = spawn('unshare', [...namespaces, '--fork', '--kill-child', ...script], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // A session of its own: Ctrl-C in the terminal reaches the lab, and the lab decides.
    detached: true,
  })
  const said: string[] = []
  const gone = new Promise<void>((resolve) => {
    parent.once('error', (error) => {
      said.push(error.message)
      resolve()
    })
    parent.once('exit', () => resolve())
  })
  parent.stdin.on('error', () => undefined)
  parent.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const ready = new Promise<boolean>((resolve) => {
    parent.stdout.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('ready')) resolve(true)
    })
    void gone.then(() => resolve(false))
  })
  if (!(await ready) || parent.pid === undefined) {
    throw new Error(`cannot make the machine ${hostName}: ${said.join('').trim()}`)
  }
  const pid = await until('the first process of a machine', () => childrenOf(parent.pid ?? 0)[0], {
    timeoutMs: 5_000,
    everyMs: 5,
  })
  parent.unref()
  for (const pipe of [parent.stdin, parent.stdout, parent.stderr]) {
    if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  }

  const killNow = (): void => {
    // Killing the first process makes the kernel kill all others of its process table.
    if (parent.exitCode === null && parent.signalCode === null) signal(pid, 'SIGKILL')
  }
  return {
    pid,
    inside: ([file, ...args]) => {
      if (file === undefined) throw new Error('no command')
      const target = ['--target', String(pid), '--net', '--uts', '--ipc', '--mount', '--pid', '--wd=/']
      // A shell as parent, not nsenter: that would stop itself for good when its child is paused.
      return ['nsenter', ...target, '--no-fork', '--', 'sh', '-c', '"$@"; exit $?', 'sh', file, ...args]
    },
    outside: (path) => `/proc/${pid}/root${path}`,
    keep: () => {
      parent.stdin.write('keep\n')
    },
    kill: async () => {
      // Whoever waits for the end must not end first: nothing else may keep Node running.
      if (parent.exitCode === null && parent.signalCode === null) parent.ref()
      killNow()
      await gone
    },
    killNow,
  }
}

/** Children of a process, as the real host numbers them. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** Numbers that we know the processes by which the machine of first process `machinePid` knows by `inside`. */
export function outerPids(machinePid: number, inside: ReadonlySet<number>): number[] {
  const table = readlinkSync(`/proc/${machinePid}/ns/pid`)
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        if (readlinkSync(`/proc/${pid}/ns/pid`) !== table) return false
        const numbers = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
        return inside.has(Number(numbers?.split(/\s+/).at(-1)))
      } catch {
        return false
      }
    })
}

/** Sends a signal; a process that is gone already is fine. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** What a machine is known by stays the same over power-off, as on real ones; only the boot ID is new. */
function writeIdentity({ directory, hostName }: MachineOptions): void {
  mkdirSync(join(directory, 'disk'), { recursive: true })
  const once = (name: string, text: string): void => {
    try {
      writeFileSync(join(directory, name), text, { flag: 'wx', mode: 0o444 })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
  once('machine-id', `${randomUUID().replaceAll('-', '')}\n`)
  once('product-uuid', `${randomUUID()}\n`)
  writeFileSync(join(directory, 'hostname'), `${hostName}\n`)
  writeFileSync(join(directory, 'boot-id'), `${randomUUID()}\n`)
}
