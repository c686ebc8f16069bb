/** `muster config …`: the verbs about configuration, a machine's and the cluster's. */
import type { Command } from 'commander'
import { addConfigApply } from './config-apply.ts'
import { addConfigCheck } from './config-check.ts'
import { addConfigPrint } from './config-print.ts'
import type { Context } from './context.ts'

export function addConfig(program: Command, context: Context): Command {
  const config = program
    .command('config')
    .usage('<verb> [options]')
    .commandsGroup('Verbs:')
    .helpCommand(false)
    .summary('check, show and apply the configuration')
    .description('The configuration of this machine: YAML files and cloud-config.')
  addConfigCheck(config, context)
  addConfigPrint(config, context)
  addConfigApply(config, context)
  return config
}
