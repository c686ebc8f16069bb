/**
 * The k3s binary: found on this machine or fetched, and believed only when its checksum, its architecture and its
 * own word say that it is what the settings want. What is fetched lies in the state directory, beside the one that
 * runs, and takes its place by one rename when k3s is started with it: /usr may be read-only.
 */
import { constants } from 'node:fs'
import {
  access,
  chmod,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import type { K3sSettings } from '../../../core/k3s.ts'
import { syncDirectory } from '../../durable-file.ts'
import { ownArchitecture, readProgram } from './elf.ts'
import type { Ensure, SeenFiles } from './fetch.ts'
import type { Places } from './places.ts'
import {
  noArtefact,
  noBinary,
  noMachine,
  noProgram,
  notFetched,
  notHere,
  unusableBinary,
  wrongArchitecture,
  wrongChecksum,
  wrongVersion,
} from './problems.ts'
import { parseVersion } from './version.ts'

/** Where installers put it, after where this machine's configuration says. */
const USUAL_DIRECTORIES = ['/usr/local/bin', '/usr/bin', '/opt/bin', '/usr/local/sbin', '/usr/sbin']

export interface Program {
  readonly path: string
  /** As it says itself. */
  readonly version: string
  /** Which file this is said of: an upgraded OS may put another there. */
  readonly identity: string | null
}

export interface Sources {
  readonly places: Places
  /** Named by this machine's configuration. */
  readonly local: string | null
  /** Null: nothing can be fetched. */
  readonly ensure: Ensure | null
  readonly seen: SeenFiles
  /** Where a program is looked for that nobody named, `PATH`. */
  readonly path: string
}

/** @throws DatastoreError */
export async function findProgram(
  settings: K3sSettings,
  sources: Sources,
  signal: AbortSignal,
): Promise<Program> {
  const architecture = ownArchitecture()
  if (architecture === null) throw noMachine(process.arch)
  const { artefacts, version } = settings
  const artefact = artefacts.find(({ arch }) => arch === architecture)
  if (artefact === undefined) {
    if (artefacts.length > 0) throw noArtefact(architecture, version)
    const path = await localProgram(sources)
    return verified(path, version, sources)
  }
  const path = join(dirname(sources.places.binary), `k3s-${artefact.sha256.slice(0, 16)}`)
  if ((await sources.seen.sha256(path)) !== artefact.sha256) {
    const source = await sourceOf(artefact, version, sources, signal)
    await put(source, path, 0o755)
    const found = await sources.seen.sha256(path)
    if (found !== artefact.sha256) throw wrongChecksum(source, found ?? 'of nothing', artefact.sha256)
  }
  return verified(path, version, sources)
}

/** A path, somewhere on this machine, of something that has or should have that checksum. */
async function sourceOf(
  artefact: K3sSettings['artefacts'][number],
  version: string | null,
  { local, ensure, seen, path }: Sources,
  signal: AbortSignal,
): Promise<string> {
  const { sha256, url } = artefact
  if (local !== null) {
    const found = await seen.sha256(local)
    if (found === sha256) return local
    // Nobody else is said to have it: the file that is there is the one that is meant.
    if (found !== null && url === null) throw wrongChecksum(local, found, sha256)
  }
  const name = `k3s ${version ?? sha256.slice(0, 12)}`
  for (const candidate of local === null ? usualPaths(path) : []) {
    if ((await seen.sha256(candidate)) === sha256) return candidate
  }
  if (ensure === null)
    throw notHere(name, sha256, local ?? '/usr/local/bin/k3s, or the path that k3s.bin names')
  try {
    return await ensure({ sha256, size: null, url, name }, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw notFetched(name, error instanceof Error ? error.message : String(error))
  }
}

function usualPaths(path: string): string[] {
  const directories = [...path.split(':').filter((directory) => directory !== ''), ...USUAL_DIRECTORIES]
  return [...new Set(directories.map((directory) => join(directory, 'k3s')))]
}

async function localProgram({ local, places, path }: Sources): Promise<string> {
  const usual = usualPaths(path)
  const candidates = local === null ? usual : [local]
  for (const candidate of candidates) {
    if ((await isExecutable(candidate)) && !(await isInstalled(candidate, places))) return candidate
  }
  throw noBinary(local === null ? usual : [local])
}

/** Muster put it there, for settings that named it. */
const isInstalled = async (path: string, places: Places): Promise<boolean> =>
  path === places.binary && FETCHED.test(await readlink(path).catch(() => ''))

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

async function verified(path: string, version: string | null, sources: Sources): Promise<Program> {
  const own = ownArchitecture() ?? process.arch
  const program = await readProgram(path)
  if (program.kind === 'none') throw noProgram(path)
  if (program.kind === 'elf' && program.architecture !== own)
    throw wrongArchitecture(path, program.architecture, own)
  const result = await execa(path, ['--version'], {
    reject: false,
    timeout: VERSION_MS,
    // k3s unpacks itself before it does most things; where, it must be told before.
    env: { PATH: sources.path, K3S_DATA_DIR: sources.places.data },
    extendEnv: false,
  })
  const found = parseVersion(result.stdout)
  if (result.failed || found === null)
    throw unusableBinary(path, result.stderr || (result.shortMessage ?? result.stdout))
  if (version !== null && found !== version) throw wrongVersion(path, found, version)
  return { path, version: found, identity: await fileIdentity(path) }
}

export async function fileIdentity(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null)
  return found === null ? null : [found.dev, found.ino, found.size, found.mtimeNs].join()
}

/** A cold start from a slow SD card. */
const VERSION_MS = 60_000

/** Copies to beside the path and renames, so that what stands there is always whole. */
export async function put(source: string, path: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  const beside = `${path}.new`
  try {
    await copyFile(source, beside, constants.COPYFILE_FICLONE)
    await chmod(beside, mode)
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/** What is fetched is called by its checksum: nothing else in that directory is ours to remove. */
const FETCHED = /^k3s-[0-9a-f]{16}$/

/**
 * Makes `bin/k3s` the program that is started, where it is one of those that were fetched; others run where they
 * are. Those before it are removed, but for the one that `keep` names.
 * @returns the path to start
 */
export async function install(program: Program, places: Places, keep: string | null): Promise<string> {
  const directory = dirname(places.binary)
  const target = basename(program.path)
  if (dirname(program.path) !== directory || !FETCHED.test(target)) return program.path
  if ((await readlink(places.binary).catch(() => null)) !== target) {
    const before = await lstat(places.binary).catch(() => null)
    if (before?.isFile()) await rename(places.binary, `${places.binary}.before-muster`)
    const beside = `${places.binary}.new`
    await rm(beside, { force: true })
    await symlink(target, beside)
    await rename(beside, places.binary)
    await syncDirectory(directory)
  }
  const kept = new Set([target, basename(places.binary), keep === null ? target : basename(keep)])
  for (const name of await readdir(directory)) {
    if (FETCHED.test(name) && !kept.has(name)) await rm(join(directory, name))
  }
  return places.binary
}
