/** `muster up`: the daemon, in the foreground. */
import type { Command } from 'commander'
import { type ConfigOption, type Context, collect, withConfig, withSocket } from './context.ts'

interface Options extends ConfigOption {
  readonly state?: string
  readonly socket?: string
  readonly interface?: string
  readonly listen?: readonly string[]
}

const HELP = `
It logs to stderr (MUSTER_LOG=json|text,debug|info|warn|error) and ends on SIGTERM and Ctrl-C.

Exit codes: 0 it was ended, 1 it could not go on, 2 wrong usage or configuration.

Examples:
  muster up
  muster up --config /etc/muster/node.yaml --state /var/lib/muster
  muster up --config lab.yaml --state ./one --socket ./one.sock --listen 127.0.0.1`

export function addUp(program: Command, context: Context): void {
  withSocket(withConfig(program.command('up')))
    .summary('run the daemon on this machine')
    .description(
      'Runs the daemon in the foreground: finds the others, founds or joins, and keeps this node in.',
    )
    .option(
      '--state <directory>',
      'where the state is kept (default: $MUSTER_STATE, else /var/lib/muster, on Kairos /usr/local/muster)',
    )
    .option('--interface <name>', 'name of the WireGuard interface (default: muster0)')
    .option(
      '--listen <address>',
      'IP or IP:PORT to listen on, any number of times (default: all, port 7946)',
      collect,
    )
    .addHelpText('after', HELP)
    .action((options: Options) => up(options, context))
}

async function up(options: Options, { io, version, end }: Context): Promise<void> {
  const { config, state, socket, interface: interfaceName, listen } = options
  const flags = {
    ...(state === undefined ? {} : { state }),
    ...(socket === undefined ? {} : { socket }),
    ...(interfaceName === undefined ? {} : { interfaceName }),
    ...(listen === undefined ? {} : { listen }),
  }
  end(await io.runDaemon({ files: config ?? [], env: io.env, flags }, version))
}
