/** The demo's command line. */
import { parseArgs } from 'node:util'

export interface DemoOptions {
  readonly nodes: number
  readonly json: boolean
  readonly chaos: boolean
  readonly keep: boolean
  readonly clean: boolean
  readonly loopback: boolean
}

export const USAGE = `usage: npm run demo -- [--nodes N] [--json] [--chaos] [--keep] [--loopback] [--clean]

  --nodes N    machines, 1 to 30 (default 3)
  --json       one JSON document on standard output at the end; everything else on standard error
  --chaos      then kills the leader, cuts a host off, brings both back (3 nodes or more)
  --keep       leaves everything running and says how to enter a host
  --loopback   on addresses of the loopback network, as without root: no mesh, no cuts
  --clean      ends what --keep left running
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
    json: values.json === true,
    chaos: values.chaos === true,
    keep: values.keep === true,
    clean: values.clean === true,
    loopback: values.loopback === true,
  }
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
      help: { type: 'boolean', short: 'h' },
    },
  }).values
}
