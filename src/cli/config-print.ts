/** `muster config print`: the settings in effect, secrets hidden. */
import type { Command } from 'commander'
import { printableConfig, readConfig } from '../config.ts'
import { type ConfigOption, type Context, withConfig } from './context.ts'

const HELP = `
Exit codes: 0 it is right, 2 it has faults (\`muster config check\` names them as well).`

export function addConfigPrint(config: Command, context: Context): void {
  withConfig(config.command('print'))
    .summary('show the settings in effect')
    .description(
      'Prints every setting as YAML, with its default where no file sets it. Secrets are [secret].',
    )
    .addHelpText('after', HELP)
    .action((options: ConfigOption) => {
      const config = readConfig({ files: options.config ?? [], env: context.io.env, flags: {} })
      context.print(printableConfig(config).trimEnd())
    })
}
