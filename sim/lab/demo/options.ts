/** The demo's command line. */
import { accessSync, constants } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

/** k3s to play with; a binary of null is the double. */
export interface DemoK3s {
  readonly binary: string | null
}

export interface DemoOptions {
  /** Null for etcd. */
  readonly k3s: DemoK3s | null
  readonly nodes: number
  readonly json: boolean
  readonly chaos: boolean
  readonly keep: boolean
  readonly clean: boolean
  readonly loopback: boolean
}

export const USAGE = `usage: npm run demo -- [--nodes N] [--json] [--chaos] [--keep] [--loopback] [--clean]
                           [--distribution etcd|k3s] [--k3s-bin PATH]

  --nodes N    machines, 1 to 30 (default 3)
  --json       one JSON document on standard output at the end; everything else on standard error
  --chaos      then kills the leader, cuts a host off, brings both back (3 nodes or more)
  --keep       leaves everything running and says how to enter a host
  --loopback   on addresses of the loopback network, as without root: no mesh, no cuts
  --clean      ends what --keep left running
  --distribution KIND   etcd (default), or k3s
  --k3s-bin PATH        the k3s binary, for --distribution k3s; without it a double takes its place
`

export class UsageError extends Error {}

/** Throws UsageError with what is wrong. Null asks for the help. */
export function parseOptions(args: readonly string[]): DemoOptions | null {
  let values: ReturnType<typeof parse>
  try {
    values = parse(args)
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  if (values.help === true) return null
  const nodes = Number(values.nodes ?? '3')
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 30) {
    throw new UsageError(`--nodes ${values.nodes}: a whole number from 1 to 30 is needed`)
  }
  if (values.chaos === true && nodes < 3) {
    throw new UsageError('--chaos needs 3 nodes or more: without a third, nobody can elect another leader')
  }
  return {
    nodes,
    k3s: k3sOf(values),
    json: values.json === true,
    chaos: values.chaos === true,
    keep: values.keep === true,
    clean: values.clean === true,
    loopback: values.loopback === true,
  }
}

function k3sOf(values: ReturnType<typeof parse>): DemoK3s | null {
  const { distribution = 'etcd', 'k3s-bin': binary = null, loopback } = values
  if (distribution !== 'etcd' && distribution !== 'k3s')
    throw new UsageError(`--distribution ${distribution}: must be etcd or k3s`)
  if (distribution === 'etcd') {
    if (binary !== null) throw new UsageError('--k3s-bin is for --distribution k3s')
    return null
  }
  if (loopback === true) throw new UsageError('k3s needs machines of its own: leave out --loopback')
  if (binary === null) return { binary }
  try {
    accessSync(binary, constants.X_OK)
  } catch {
    throw new UsageError(`--k3s-bin ${binary}: is no program`)
  }
  return { binary: resolve(binary) }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      nodes: { type: 'string' },
      json: { type: 'boolean' },
      chaos: { type: 'boolean' },
      keep: { type: 'boolean' },
      clean: { type: 'boolean' },
      loopback: { type: 'boolean' },
      distribution: { type: 'string' },
      'k3s-bin': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values
}
