/** `k3s etcd-snapshot save|ls`: the command asks the running server, which writes below its data directory. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { ClusterState } from './cluster-state.ts'
import type { Flags } from './command-line.ts'
import { call } from './https-client.ts'
import { Fatal, log, wordsOf } from './log.ts'
import { DATA_DIRECTORY } from './settings.ts'
import { parseToken } from './token.ts'

const Request = z.object({
  operation: z.literal('save'),
  name: z.array(z.string()),
  dir: z.string().nullable(),
})
const Result = z.object({ created: z.array(z.string()) })

/** @returns what was made */
export async function saveSnapshot(state: ClusterState, body: string): Promise<z.infer<typeof Result>> {
  const { name, dir } = Request.parse(JSON.parse(body))
  const directory = dir ?? join(state.settings.directory, 'db/snapshots')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = `${name[0] ?? 'on-demand'}-${state.settings.name}-${Math.floor(Date.now() / 1000)}`
  const bytes = await state.etcd.snapshot(join(directory, file))
  log('info', `Saved etcd snapshot ${file}, ${bytes} bytes`)
  return { created: [file] }
}

export async function runSnapshot(verb: string, flags: Flags): Promise<void> {
  const server = join(flags.text('data-dir') || DATA_DIRECTORY, 'server')
  const directory = flags.text('dir') || flags.text('etcd-snapshot-dir') || null
  switch (verb) {
    case 'save':
      return save(server, flags.text('name') || 'on-demand', directory)
    case 'ls':
    case 'list':
    case 'l':
      list(directory ?? join(server, 'db/snapshots'), flags.text('output'))
      return
    default:
      throw new Fatal(`No help topic for '${verb}'`)
  }
}

async function save(server: string, name: string, directory: string | null): Promise<void> {
  const { password } = parseToken(read(join(server, 'token')).trim())
  const ca = read(join(server, 'tls/server-ca.crt'))
  const body = JSON.stringify({ operation: 'save', name: [name], dir: directory })
  const reply = await call('https://127.0.0.1:6443/db/snapshot', {
    method: 'POST',
    ca,
    basic: { user: 'server', password },
    body,
    timeoutMs: 60_000,
  }).catch((error: unknown) => {
    throw new Fatal(
      `see server log for details: Post "https://127.0.0.1:6443/db/snapshot": ${wordsOf(error)}`,
    )
  })
  if (reply.status !== 200) throw new Fatal(`see server log for details: ${reply.text}`)
  for (const file of Result.parse(JSON.parse(reply.text)).created) log('info', `Snapshot ${file} saved.`)
}

function list(directory: string, format: string): void {
  const files = existsSync(directory) ? readdirSync(directory).sort() : []
  const found = files.map((name) => {
    const { size, mtime } = statSync(join(directory, name))
    return { name, location: `file://${join(directory, name)}`, size, created: mtime.toISOString() }
  })
  if (format === 'json') {
    process.stdout.write(`${JSON.stringify(found)}\n`)
    return
  }
  const rows = [
    ['Name', 'Location', 'Size', 'Created'],
    ...found.map((each) => Object.values(each).map(String)),
  ]
  process.stdout.write(rows.map((row) => `${row.join(' ')}\n`).join(''))
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    throw new Fatal(`open ${path}: no such file or directory`)
  }
}
