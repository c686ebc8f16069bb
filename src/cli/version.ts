/** `muster version`: what runs here. */
import type { Command } from 'commander'
import { type Context, type JsonOption, withJson } from './context.ts'

export function addVersion(program: Command, context: Context): void {
  withJson(program.command('version'))
    .summary('show the version')
    .description('Shows the version of the command. With --json {"name", "version", "node"}.')
    .action(({ json }: JsonOption) => {
      if (json) context.printJson({ name: 'muster', version: context.version, node: process.versions.node })
      else context.print(versionText(context.version))
    })
}

export const versionText = (version: string): string => `muster ${version} (Node ${process.versions.node})`
