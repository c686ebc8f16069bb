/** OpenRC as the keeper of k3s, by `rc-service` and `rc-update`; its supervise-daemon restarts what fails. */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { OutputLog } from '../output-log.ts'
import { explain } from './k3s-log.ts'
import { environmentBeside, type Manager } from './managed-service.ts'
import { pidByOutput } from './own-service.ts'
import type { Places, Role } from './places.ts'
import { serviceFailed } from './problems.ts'
import { serviceName } from './service.ts'
import { openrcScript } from './unit.ts'

export function openrc(places: Places, root: string): Manager {
  const log = new OutputLog(places.log)
  const environmentPath = (role: Role): string => environmentBeside(dirname(places.config), role, '.env')
  /** supervise-daemon does not count; another process than before is another start. */
  let restarts = 0
  let last: number | null = null
  return {
    unitPath: (role) => join(root, 'etc/init.d', serviceName(role)),
    environmentPath,
    unitMode: 0o755,
    unitText: ({ role, binary, args }) =>
      openrcScript({
        role,
        binary,
        args,
        environmentFile: environmentPath(role),
        run: places.run,
        log: places.log,
      }),
    reload: async () => undefined,
    async look(role) {
      const { exitCode } = await execa('rc-service', ['--ifexists', serviceName(role), 'status'], {
        reject: false,
        timeout: TOOL_MS,
      })
      const isStarted = exitCode === 0 && (await exists(role))
      const pid = isStarted ? await pidByOutput(log) : null
      if (pid !== null) {
        if (last !== null && last !== pid) restarts += 1
        last = pid
      }
      return { pid, isWanted: isStarted, restarts, how: `status ${exitCode ?? 'unknown'}` }
    },
    async start(role) {
      last = null
      await mkdir(dirname(places.log), { recursive: true, mode: 0o700 })
      await tool('rc-service', serviceName(role), 'start')
    },
    async stop(role) {
      last = null
      if (await exists(role)) await tool('rc-service', serviceName(role), 'stop')
    },
    enable: (role) => tool('rc-update', 'add', serviceName(role), 'default'),
    async disable(role) {
      if (await exists(role))
        await execa('rc-update', ['del', serviceName(role), 'default'], { reject: false, timeout: TOOL_MS })
    },
    lastWords: async () => explain(log.tail(0)),
  }
}

const TOOL_MS = 120_000

async function exists(role: Role): Promise<boolean> {
  const { exitCode } = await execa('rc-service', ['--exists', serviceName(role)], {
    reject: false,
    timeout: TOOL_MS,
  })
  return exitCode === 0
}

async function tool(program: string, ...args: string[]): Promise<void> {
  const result = await execa(program, args, { reject: false, timeout: TOOL_MS })
  if (result.failed)
    throw serviceFailed([program, ...args].join(' '), result.stderr || (result.shortMessage ?? ''))
}
