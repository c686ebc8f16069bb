/**
 * The WireGuard interface: the kernel's, else wireguard-go's. One that a previous run of the daemon left behind
 * is used again, so that traffic goes on while the daemon is down. wireguard-go therefore runs on its own
 * (its own session, nothing of it tied to the daemon), and is found by its command line, not by a file that a
 * kill at the wrong moment leaves unwritten.
 */
import { constants } from 'node:fs'
import { open, readdir, readFile, readlink } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { networkInterfaces } from 'node:os'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import {
  MeshError,
  nameTaken,
  noTun,
  notPermitted,
  noWireguard,
  socketTaken,
  toolFailed,
  userspaceFailed,
} from './problems.ts'
import { type Link, linkNamed, survey } from './routes.ts'
import { USERSPACE_END_MS, USERSPACE_START_MS } from './timing.ts'
import { runTool, toolEnvironment } from './tool.ts'
import { type Dump, parseDump } from './wg.ts'

export type Kind = 'kernel' | 'userspace'

export interface Made {
  readonly kind: Kind
  /** False where it was there already. */
  readonly fresh: boolean
}

/** Whether the interface is up with the address: one system call, no process. */
export function isPresent(name: string, address: string): boolean {
  return networkInterfaces()[name]?.some((entry) => entry.address === address) ?? false
}

/** Asks WireGuard for its state; null where nothing that is WireGuard answers under this name. */
export async function readDump(name: string): Promise<Dump | null> {
  const outcome = await runTool('wg', ['show', name, 'dump'])
  return outcome.ok ? parseDump(outcome.stdout) : null
}

/**
 * Makes the interface, or takes the one that is there. `onExit` is called when a wireguard-go that was started
 * here ends.
 * @throws MeshError where it cannot be made, with the reason.
 */
export async function makeInterface(name: string, link: Link | null, onExit: () => void): Promise<Made> {
  if (link !== null) {
    const kind = link.linkinfo?.info_kind ?? 'none'
    if (kind === 'wireguard') return { kind: 'kernel', fresh: false }
    if (kind !== 'tun') throw nameTaken(name, kind)
    if ((await readDumpOf(name)) !== null) return { kind: 'userspace', fresh: false }
    if ((await findUserspace(name)) === null) throw nameTaken(name, kind)
    await removeInterface(name)
  }
  const added = await runTool('ip', ['link', 'add', 'dev', name, 'type', 'wireguard'])
  if (added.ok) return { kind: 'kernel', fresh: true }
  // Every other refusal means a kernel without WireGuard; this one, that somebody was quicker.
  if (added.stderr.includes('File exists')) throw toolFailed('ip link add', added.stderr)
  await startUserspace(name, onExit)
  return { kind: 'userspace', fresh: true }
}

/** Ends the interface, whichever run of muster made it, and the wireguard-go behind it. Nothing to do is fine. */
export async function removeInterface(name: string): Promise<void> {
  const kind = linkNamed(await survey(), name)?.linkinfo?.info_kind
  const pid = await findUserspace(name)
  if (kind === 'wireguard' || (kind === 'tun' && pid !== null)) {
    await runTool('ip', ['link', 'delete', 'dev', name])
  }
  if (pid !== null) await endUserspace(name, pid)
}

/** As {@link readDump}, where a wireguard-go that hangs is as good as none. */
async function readDumpOf(name: string): Promise<Dump | null> {
  try {
    return await readDump(name)
  } catch (error) {
    if (error instanceof MeshError && error.problem.code === 'mesh.failed') return null
    throw error
  }
}

const socketOf = (name: string): string => `/var/run/wireguard/${name}.sock`

async function startUserspace(name: string, onExit: () => void): Promise<void> {
  await probeTun()
  const socket = socketOf(name)
  if (await answers(socket)) {
    // The interface is gone, or is another namespace's, but something still listens.
    const pid = await findUserspace(name)
    if (pid === null) throw socketTaken(socket)
    await endUserspace(name, pid)
  }
  // Without pipes: their other end dies with the daemon, and wireguard-go's next word would kill it.
  const child = execa('wireguard-go', ['-f', name], {
    env: { ...toolEnvironment(), LOG_LEVEL: 'silent' },
    extendEnv: false,
    cwd: '/',
    stdio: 'ignore',
    detached: true,
    cleanup: false,
    reject: false,
  })
  child.nodeChildProcess.unref()
  let ended: Error | null = null
  const watched = child.then((result) => {
    const cause = 'cause' in result ? (result.cause as NodeJS.ErrnoException | undefined) : undefined
    ended =
      cause?.code === 'ENOENT'
        ? noWireguard()
        : cause?.code === 'EACCES'
          ? notPermitted('to run wireguard-go')
          : userspaceFailed(name, `ended with ${result.signal ?? `exit code ${result.exitCode}`}`)
  })
  const deadline = performance.now() + USERSPACE_START_MS
  while (!(await answers(socket))) {
    if (ended !== null) throw ended
    if (performance.now() > deadline) {
      child.kill('SIGKILL')
      throw userspaceFailed(name, `did not answer in ${USERSPACE_START_MS / 1_000} s`)
    }
    await Promise.race([sleep(10), watched])
  }
  void watched.then(onExit)
}

/** Why TUN cannot be used, before wireguard-go says it less clearly. */
async function probeTun(): Promise<void> {
  try {
    const tun = await open('/dev/net/tun', constants.O_RDWR)
    await tun.close()
  } catch (error) {
    throw noTun((error as NodeJS.ErrnoException).code ?? String(error))
  }
}

/** Whether something listens at the socket; a socket file alone may be a dead one's. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(path)
    connection.on('connect', () => {
      connection.destroy()
      resolve(true)
    })
    connection.on('error', () => resolve(false))
  })
}

/** PID of this network namespace's wireguard-go for the interface, null where there is none. */
async function findUserspace(name: string): Promise<number | null> {
  const here = await readlink('/proc/self/ns/net')
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || !(await isUserspace(pid, name))) continue
    if ((await readlink(`/proc/${pid}/ns/net`).catch(() => null)) === here) return pid
  }
  return null
}

async function isUserspace(pid: number, name: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const words = line.split('\0').filter((word) => word !== '')
  return basename(words[0] ?? '') === 'wireguard-go' && words.at(-1) === name
}

async function endUserspace(name: string, pid: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const deadline = performance.now() + USERSPACE_END_MS
    // Asked again each time whether it still is wireguard-go: a PID is soon another's.
    while (await isUserspace(pid, name)) {
      if (performance.now() > deadline) break
      signalIfThere(pid, signal)
      await sleep(20)
    }
  }
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
