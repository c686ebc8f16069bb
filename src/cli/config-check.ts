/** `muster config check`: every fault at once, before a machine finds them at boot. */
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { type Context, type JsonOption, withJson } from './context.ts'
import { plain, plainly } from './plain.ts'

const HELP = `
Exit codes: 0 it is right, 2 it has faults. With --json {"ok": true, "sources", "warnings"}, or
{"error": {…}, "faults": [{"file", "line", "key", "message", "hint"}]}.

Examples:
  muster config check
  muster config check /oem/90_custom.yaml /etc/muster/extra.yaml`

export function addConfigCheck(config: Command, context: Context): void {
  withJson(config.command('check'))
    .summary('check configuration files')
    .description(
      'Reads the configuration as `muster up` would and names every fault with file, line and key.',
    )
    .argument('[file...]', 'files to read (default: $MUSTER_CONFIG, else the places that `muster up` reads)')
    .addHelpText('after', HELP)
    .action((files: string[], options: JsonOption) => check(files, options, context))
}

function check(
  files: readonly string[],
  { json }: JsonOption,
  { io, terminal, print, printJson }: Context,
): void {
  const { sources, warnings } = readConfig({ files, env: io.env, flags: {} })
  if (json) {
    printJson({ ok: true, sources, warnings })
    return
  }
  print(`${terminal.good('ok')}: ${sources.length === 0 ? 'no files' : sources.map(plain).join(', ')}`)
  for (const { severity, message, hint } of plainly(warnings)) {
    print(`${terminal.warn(`${severity}:`)} ${message}\n  hint: ${hint}`)
  }
}
