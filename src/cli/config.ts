/** `muster config …`: the verbs about this machine's configuration. */
import type { Command } from 'commander'
import { addConfigCheck } from './config-check.ts'
import { addConfigPrint } from './config-print.ts'
import type { Context } from './context.ts'

export function addConfig(program: Command, context: Context): Command {
  const config = program
    .command('config')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('check and show the configuration')
    .description('The configuration of this machine: YAML files and cloud-config.')
  addConfigCheck(config, context)
  addConfigPrint(config, context)
  return config
}
