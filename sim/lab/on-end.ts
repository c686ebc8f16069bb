/** Calls what must be taken away when the process ends: by itself, by Ctrl-C, or by an error nobody caught. */

const pending = new Set<() => void>()
let installed = false

/** Registers a synchronous clean-up; the returned function takes it back. */
export function onEnd(cleanUp: () => void): () => void {
  if (!installed) install()
  pending.add(cleanUp)
  return () => pending.delete(cleanUp)
}

function runAll(): void {
  for (const cleanUp of [...pending].reverse()) {
    pending.delete(cleanUp)
    try {
      cleanUp()
    } catch (error) {
      process.stderr.write(`clean-up failed: ${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
}

function install(): void {
  installed = true
  process.once('exit', runAll)
  // An exit code as a shell would show it; 'exit' above does the work. Handled to the end: Ctrl-C reaches us from
  // the terminal and once more from npm, and the second, without a handler, would kill the clean-up.
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
  for (const [name, code] of Object.entries(codes)) process.on(name, () => process.exit(code))
}
