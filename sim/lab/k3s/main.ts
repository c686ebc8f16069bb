/**
 * A double of the k3s program, for tests: started like k3s, it obeys the facts that muster's driver relies on, keeps
 * its quorum in a real etcd and its API on real TLS, and runs no container. {@link installK3s} makes a file of it.
 */
import { writeFileSync } from 'node:fs'
import { runAgent } from './agent.ts'
import { baked } from './baked.ts'
import { readFlags } from './command-line.ts'
import { runKubectl } from './kubectl.ts'
import { Fatal, log, wordsOf } from './log.ts'
import { runServer } from './server.ts'
import { nodeSettings, serverSettings } from './settings.ts'
import { runSnapshot } from './snapshot.ts'
import { runToken } from './token-command.ts'

async function main([command, ...args]: readonly string[]): Promise<void> {
  switch (command) {
    case '--version':
    case '-v':
      process.stdout.write(`k3s version ${baked.version} (${baked.commit})\ngo version go1.24.5\n`)
      return
    case 'server': {
      const settings = serverSettings(readFlags('server', args, process.env))
      hideArguments('server')
      return runServer(settings)
    }
    case 'agent': {
      const settings = nodeSettings(readFlags('agent', args, process.env))
      hideArguments('agent')
      return runAgent(settings)
    }
    case 'kubectl':
      process.exitCode = await runKubectl(args, process.env)
      return
    case 'etcd-snapshot':
    case 'token': {
      const [verb = '', ...rest] = args
      const flags = readFlags(command, rest, process.env)
      return command === 'token' ? runToken(verb, flags) : runSnapshot(verb, flags)
    }
    default:
      throw new Fatal(`No help topic for '${command ?? ''}'`)
  }
}

/** They may hold secrets: of k3s, too, only these words show in the list of processes. */
function hideArguments(command: string): void {
  process.title = `${process.argv[1]} ${command}`
  writeFileSync('/proc/self/comm', `k3s-${command}`)
}

main(process.argv.slice(2)).catch((error: unknown) => {
  log('fatal', error instanceof Fatal ? error.message : wordsOf(error))
  process.exit(1)
})
