/** The Debian packages that a lab needs: which are missing, and how they get here. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { z } from 'zod'

const PURPOSES = ['lab', 'demo', 'bench', 'boot', 'compose', 'nemesis'] as const
export type Purpose = (typeof PURPOSES)[number]

export interface DebianPackage {
  readonly name: string
  /** The command that it brings. */
  readonly tool: string
}

const List = z.object({
  packages: z.array(
    z.object({
      name: z.string(),
      tool: z.string(),
      for: z.array(z.enum(PURPOSES)),
    }),
  ),
})

const TOOL_DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

export function hasTool(tool: string): boolean {
  return TOOL_DIRECTORIES.some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Packages of sim/lab/packages.json for this purpose whose command is not on this machine. */
export function missingPackages(purpose: Purpose): DebianPackage[] {
  const list = List.parse(JSON.parse(readFileSync(join(import.meta.dirname, 'packages.json'), 'utf8')))
  return list.packages.filter((item) => item.for.includes(purpose) && !hasTool(item.tool))
}

/**
 * Says what is missing, then installs it with apt-get. Throws with apt's last words where that fails.
 * The service that etcd-server brings is turned off again: nothing here wants it.
 */
export async function installMissing(purpose: Purpose, say: (line: string) => void): Promise<void> {
  const missing = missingPackages(purpose)
  if (missing.length === 0) return
  const names = missing.map((item) => item.name)
  say(`missing here: ${names.join(', ')}; installing with apt-get`)
  const apt = (args: readonly string[]) =>
    execa('apt-get', args, {
      all: true,
      stdin: 'ignore',
      reject: false,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    })
  const install = ['install', '-y', '--no-install-recommends', ...names]
  let result = await apt(install)
  if (result.exitCode !== 0) {
    await apt(['update'])
    result = await apt(install)
  }
  if (result.exitCode !== 0) {
    const words = (result.all ?? '').split('\n').slice(-5).join('\n')
    throw new Error(`apt-get could not install ${names.join(', ')}:\n${words}`)
  }
  if (names.includes('etcd-server') && existsSync('/run/systemd/system')) {
    say('turning off the service etcd that the package started')
    await execa('systemctl', ['disable', '--now', 'etcd'], { reject: false })
  }
}
