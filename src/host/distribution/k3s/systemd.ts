/** systemd as the keeper of k3s, by `systemctl` and `journalctl`. */
import { join } from 'node:path'
import { execa } from 'execa'
import { explain } from './k3s-log.ts'
import { environmentBeside, type Manager, type Seen } from './managed-service.ts'
import type { Places, Role } from './places.ts'
import { serviceFailed } from './problems.ts'
import { serviceName } from './service.ts'
import { systemdUnit } from './unit.ts'

export function systemd(places: Places, root: string): Manager {
  const directory = join(root, 'etc/systemd/system')
  const environmentPath = (role: Role): string => environmentBeside(directory, role, '.service.env')
  const unit = (role: Role): string => `${serviceName(role)}.service`
  return {
    unitPath: (role) => join(directory, unit(role)),
    environmentPath,
    unitMode: 0o644,
    unitText: ({ role, binary, args }) =>
      systemdUnit({
        role,
        binary,
        args,
        environmentFile: environmentPath(role),
        run: places.run,
        log: places.log,
      }),
    reload: () => systemctl('daemon-reload'),
    async look(role) {
      const { stdout } = await execa('systemctl', ['show', unit(role), `--property=${PROPERTIES.join()}`], {
        reject: false,
        timeout: TOOL_MS,
      })
      return parseShow(stdout)
    },
    // A server is "started" for systemd when it is ready, which is not to be waited for here.
    start: (role) => systemctl('start', '--no-block', unit(role)),
    stop: (role) => systemctl('stop', unit(role)),
    enable: (role) => systemctl('enable', unit(role)),
    disable: (role) => systemctl('disable', unit(role)),
    async lastWords(role) {
      const { stdout } = await execa(
        'journalctl',
        ['--unit', unit(role), '--lines', '200', '--output', 'cat', '--no-pager', '--quiet'],
        { reject: false, timeout: TOOL_MS },
      )
      return explain(stdout)
    },
  }
}

const PROPERTIES = ['LoadState', 'ActiveState', 'MainPID', 'NRestarts', 'Result', 'ExecMainStatus']
const TOOL_MS = 120_000

async function systemctl(verb: string, ...args: string[]): Promise<void> {
  const result = await execa('systemctl', [verb, ...args], { reject: false, timeout: TOOL_MS })
  // A unit that there is not has nothing to stop and nothing to disable.
  const isMissing = /not loaded|does not exist|No such file/.test(result.stderr)
  if (result.failed && !((verb === 'stop' || verb === 'disable') && isMissing))
    throw serviceFailed(`systemctl ${verb} ${args.join(' ')}`, result.stderr || (result.shortMessage ?? ''))
}

/** Reads the output of `systemctl show`. */
export function parseShow(text: string): Seen {
  const values = new Map(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=')
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
    }),
  )
  const number = (name: string): number => Number(values.get(name) ?? '0') || 0
  const pid = number('MainPID')
  return {
    pid: pid === 0 ? null : pid,
    isWanted: ['active', 'activating', 'reloading', 'refreshing'].includes(values.get('ActiveState') ?? ''),
    restarts: number('NRestarts'),
    how: `${values.get('Result') ?? 'unknown'}, status ${number('ExecMainStatus')}`,
  }
}
