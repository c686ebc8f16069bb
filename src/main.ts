/** The program: the command, whose verb `up` is the daemon. What a node is made of stands in host/daemon.ts. */
import manifest from '../package.json' with { type: 'json' }
import { runCommand } from './cli/command.ts'

process.exitCode = await runCommand(process.argv.slice(2), manifest.version)
