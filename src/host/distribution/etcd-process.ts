/**
 * The etcd process. It is found by what it is, not by a number in a file: a process of this program in this network
 * namespace, given this data directory, for which that path is this very directory (containers may share process
 * IDs). A PID file would be stale after a crash and absent in the moment between the start and its writing; this is
 * never either.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { execa } from 'execa'
import { adoptDetached, type DetachedProcess, identity, type OnExit, startDetached } from './detached.ts'
import type { EtcdLog } from './etcd-log.ts'
import { noEtcd, unknownEtcd, unusableEtcd } from './problems.ts'

/**
 * Those whose flags are the ones that we give. Before 3.4 there are no learners, and a datastore that an etcd of
 * another series has opened may be closed to those before it.
 */
const KNOWN_SERIES: readonly string[] = ['3.4', '3.5']

/**
 * @returns the version, such as 3.4.23
 * @throws DatastoreError where the program is missing, cannot run, or is of a series that is not known
 */
export async function etcdVersion(binary: string): Promise<string> {
  const result = await execa(binary, ['--version'], {
    reject: false,
    timeout: 10_000,
    env: ENVIRONMENT,
    extendEnv: false,
  })
  if (result.code === 'ENOENT') throw noEtcd(binary)
  const version = /^etcd Version: (\S{1,32})/m.exec(result.stdout)?.[1]
  if (result.failed || version === undefined) {
    throw unusableEtcd(binary, result.stderr || (result.shortMessage ?? result.stdout))
  }
  const series = version.split('.').slice(0, 2).join('.')
  if (!KNOWN_SERIES.includes(series)) throw unknownEtcd(binary, version, KNOWN_SERIES)
  return version
}

export async function startEtcd(
  binary: string,
  args: readonly string[],
  log: EtcdLog,
  onExit: OnExit,
): Promise<DetachedProcess> {
  try {
    return await startDetached(binary, args, ENVIRONMENT, log, onExit)
  } catch (error) {
    throw unusableEtcd(binary, error instanceof Error ? error.message : String(error))
  }
}

/** @returns the etcd that already serves this data directory, null where none does. */
export async function findEtcd(
  binary: string,
  dataDirectory: string,
  log: EtcdLog,
  onExit: OnExit,
): Promise<DetachedProcess | null> {
  const own = await identity(dataDirectory)
  if (own === null) return null
  const network = await readlink('/proc/self/ns/net')
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const pid = Number(entry)
    const args = await argumentsOf(pid)
    if (args === null || basename(args[0] ?? '') !== basename(binary)) continue
    if (!args.includes(`--data-dir=${dataDirectory}`)) continue
    if ((await readlink(`/proc/${pid}/ns/net`).catch(() => null)) !== network) continue
    if ((await identity(`/proc/${pid}/root${dataDirectory}`)) !== own) continue
    const found = adoptDetached(pid, args.slice(1), log, onExit)
    if (found !== null) return found
  }
  return null
}

/**
 * Nothing else of our environment: etcd reads ETCD_… from it, and ours may name a token. etcd 3.4 starts on ARM
 * only when this variable says that we know.
 */
const ENVIRONMENT: NodeJS.ProcessEnv = {
  PATH: process.env.PATH,
  ...(process.arch.startsWith('arm') ? { ETCD_UNSUPPORTED_ARCH: process.arch } : {}),
}

async function argumentsOf(pid: number): Promise<string[] | null> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text === '' ? null : text.split('\0').slice(0, -1)
}
