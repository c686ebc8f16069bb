/** One run of a standard tool. Arguments never carry a secret; a key goes in by standard input. */

import { randomUUID } from 'node:crypto'
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs'
import { execa } from 'execa'
import { notPermitted, toolFailed, toolMissing } from './problems.ts'
import { TOOL_TIMEOUT_MS } from './timing.ts'

export type Tool = 'ip' | 'wg'

export interface Outcome {
  readonly ok: boolean
  /** Of `wg show … dump` it holds the private key: to be parsed, never to be logged. */
  readonly stdout: string
  readonly stderr: string
}

/**
 * The environment of every child: no more than it needs (the daemon's own may hold a secret), and messages in
 * the language in which they are recognised.
 */
export const toolEnvironment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
})

/**
 * Runs the tool to its end. A tool that fails is an outcome; one that is missing, may not do its work, or does
 * not end, is a MeshError.
 */
export async function runTool(
  tool: Tool,
  args: readonly string[],
  stdin?: { readonly text: string } | { readonly secret: string },
): Promise<Outcome> {
  const key = stdin !== undefined && 'secret' in stdin ? namelessFile(stdin.secret) : null
  try {
    const result = await execa(tool, args, {
      env: toolEnvironment(),
      extendEnv: false,
      reject: false,
      timeout: TOOL_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      // execa's types know descriptors 3 to 9 only; any open one will do.
      ...(key === null ? {} : { stdin: key as 3 }),
      ...(stdin !== undefined && 'text' in stdin ? { input: stdin.text } : {}),
    })
    const cause = result.failed && 'cause' in result ? (result.cause as NodeJS.ErrnoException) : undefined
    if (cause?.code === 'ENOENT') throw toolMissing(tool)
    if (cause?.code === 'EACCES') throw notPermitted(`to run ${tool}`)
    const what = `${tool} ${args.slice(0, 3).join(' ')}`.trim()
    if (result.timedOut) throw toolFailed(what, `no answer in ${TOOL_TIMEOUT_MS / 1_000} s`)
    if (/Operation not permitted|Permission denied/.test(result.stderr)) throw notPermitted(what)
    return { ok: result.exitCode === 0, stdout: result.stdout, stderr: result.stderr }
  } finally {
    if (key !== null) closeSync(key)
  }
}

/**
 * A file without a name that holds the secret, for a child's standard input. Node's own pipes are sockets,
 * which cannot be opened by a path, as `wg set … private-key` does; and a name would outlive a crash.
 */
function namelessFile(secret: string): number {
  const path = `/run/.muster-${randomUUID()}`
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    unlinkSync(path)
    writeSync(fd, secret)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}
