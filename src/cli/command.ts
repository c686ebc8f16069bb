/**
 * The command `muster`: verbs, options, and what becomes of errors. Each verb is a file beside this one and a
 * thin client of the daemon; only `up` is the daemon itself.
 */
import { Command, CommanderError } from 'commander'
import { addAct } from './act.ts'
import { addAdopt } from './adopt.ts'
import { addConfig } from './config.ts'
import { type Context, contextOf } from './context.ts'
import { EXIT, UsageError } from './errors.ts'
import { addHistory } from './history.ts'
import { type Io, processIo } from './io.ts'
import { addKubeconfig } from './kubeconfig.ts'
import { nearest } from './nearest.ts'
import { addNode } from './node.ts'
import { addOperator } from './operator.ts'
import { reportError } from './report.ts'
import { addReset } from './reset.ts'
import { addRollout } from './rollout.ts'
import { addStatus } from './status.ts'
import { addToken } from './token.ts'
import { addUp } from './up.ts'
import { addVersion, versionText } from './version.ts'

const HELP = `
Exit codes: 0 fine, 1 the operation failed, 2 wrong usage or configuration, 3 no daemon answers.
With --json stdout is exactly one document; a failure is {"error": {"code", "message", "hint"}} there, and in
words on stderr.

Environment: MUSTER_TOKEN_FILE, MUSTER_CONFIG, MUSTER_STATE, MUSTER_SOCKET, MUSTER_LOG, NO_COLOR.

Examples:
  muster token new --expect 3 --network shop-12     once, anywhere
  muster up                                         on every machine, with the same configuration
  muster status                                     on any machine`

/** Runs one command line, without the program's own name, and answers its exit code. */
export async function runCommand(
  argv: readonly string[],
  version: string,
  io: Io = processIo(),
): Promise<number> {
  let exitCode: number = EXIT.fine
  const context = contextOf(io, version, (code) => {
    exitCode = code
  })
  const program = programOf(context)
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.fine
    // The help was asked for by leaving the verb out; it is on stderr already.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage
    return reportError(error, helpFor(argv, program), argv.includes('--json'), context)
  }
}

function programOf(context: Context): Command {
  const { stdout, stderr } = context.io
  const program = new Command('muster')
    .usage('<verb> [options]')
    .description('Turns identical machines into one cluster, from one network token.')
    .version(versionText(context.version), '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help, or that of a verb')
    .commandsGroup('Verbs:')
    .helpCommand('help [verb]', 'show the help of a verb')
    .addHelpText('after', HELP)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      outputError: () => undefined,
      getOutHelpWidth: () => stdout.columns ?? HELP_WIDTH,
      getErrHelpWidth: () => stderr.columns ?? HELP_WIDTH,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
  addUp(program, context)
  addStatus(program, context)
  const token = addToken(program, context)
  const config = addConfig(program, context)
  const node = addNode(program, context)
  const act = addAct(program, context)
  const rollout = addRollout(program, context)
  const operator = addOperator(program, context)
  addKubeconfig(program, context)
  addHistory(program, context)
  addAdopt(program, context)
  addReset(program, context)
  addVersion(program, context)
  for (const group of [program, token, config, node, act, rollout, operator]) refuseUnknownVerbs(group)
  return program
}

const HELP_WIDTH = 100

function refuseUnknownVerbs(group: Command): void {
  const known = group.commands.map((verb) => verb.name())
  const path = group.parent === null ? '' : `${group.name()} `
  group.on('command:*', ([word = '']: readonly string[]) => {
    throw new UsageError(`unknown verb ${path}${word}`, nearest(word, known, 'verbs'))
  })
}

/** The help of the verb that the command line names. */
function helpFor(argv: readonly string[], program: Command): string {
  const words = ['muster']
  let group: Command | undefined = program
  for (const word of argv) {
    group = group.commands.find((verb) => verb.name() === word)
    if (group === undefined) break
    words.push(word)
  }
  return [...words, '--help'].join(' ')
}
