/**
 * Whether a directory survives a reboot. A node whose memory does not must not found, vote or join: it would
 * forget what it promised (rule 2).
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** Kairos says so when it runs from a live medium or its recovery system (no persistent mount). */
const MODES: readonly (readonly [file: string, what: string])[] = [
  ['run/cos/live_mode', 'this is a live system'],
  ['run/cos/recovery_mode', 'this is the recovery system'],
  ['run/cos/uki_install_mode', 'this is an installer'],
  ['run/cos/autoreset_mode', 'this is a reset'],
]
const VOLATILE: ReadonlySet<string> = new Set(['tmpfs', 'ramfs', 'rootfs', 'devtmpfs', 'squashfs', 'iso9660'])
const LIVE_BOOT = /(^|\s)(boot=(live|casper)|rd\.live\.image|rd\.live\.dir=\S+|root=live:\S+)(\s|$)/

interface Mount {
  readonly point: string
  readonly type: string
  /** Of an overlay: the directory that takes the writes. */
  readonly upper: string | null
}

/** Why what is written to `directory` does not survive a reboot; null where it does. `root` as in tests. */
export function whyEphemeral(directory: string, root = '/'): string | null {
  for (const [file, what] of MODES) if (existsSync(join(root, file))) return what
  const mounts = readMounts(join(root, 'proc/self/mountinfo'))
  const mount = mountOf(mounts, withoutLinks(directory))
  if (mount === null) return null
  if (VOLATILE.has(mount.type)) return `${mount.point} is a ${mount.type}`
  if (mount.type !== 'overlay') return null
  if (LIVE_BOOT.test(read(join(root, 'proc/cmdline'))))
    return `${mount.point} is the overlay of a live system`
  const upper = mount.upper === null ? null : mountOf(mounts, mount.upper)
  // A container's upper directory lies outside of what it sees; that its host keeps it is the usual case.
  return upper !== null && upper.point !== '/' && VOLATILE.has(upper.type)
    ? `${mount.point} is an overlay whose changes are kept in a ${upper.type}`
    : null
}

/** The directory without symbolic links; what of it is not there yet is taken as it is written. */
function withoutLinks(directory: string): string {
  for (let path = resolve(directory), rest = ''; ; rest = join(basename(path), rest), path = dirname(path)) {
    try {
      return join(realpathSync(path), rest)
    } catch {
      if (path === '/') return resolve(directory)
    }
  }
}

/** The mount that a path lies on: the longest prefix, and of equal ones the last, which covers the others. */
function mountOf(mounts: readonly Mount[], path: string): Mount | null {
  let found: Mount | null = null
  for (const mount of mounts) {
    const isAbove = mount.point === '/' || path === mount.point || path.startsWith(`${mount.point}/`)
    if (isAbove && (found === null || mount.point.length >= found.point.length)) found = mount
  }
  return found
}

/** proc(5): `36 35 98:0 /root /point options - type source super-options`. */
function readMounts(path: string): Mount[] {
  return read(path)
    .split('\n')
    .flatMap((line) => {
      const [before, after] = line.split(' - ')
      const point = before?.split(' ')[4]
      const [type, , options] = after?.split(' ') ?? []
      if (point === undefined || type === undefined) return []
      const upper = /(?:^|,)upperdir=([^,]+)/.exec(options ?? '')?.[1] ?? null
      return [{ point: unescaped(point), type, upper: upper === null ? null : unescaped(upper) }]
    })
}

/** The kernel writes blanks and backslashes in octal. */
const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
