/** The nemesis' command line, and how long what takes. */
import { flagsOf, UsageError, wholeNumber } from '../flags.ts'
import type { ScheduleOptions } from './schedule.ts'

export interface NemesisOptions {
  readonly seed: number
  readonly nodes: number
  readonly json: boolean
  /** Where the daemons' logs are kept; null where they go with the machines. */
  readonly logs: string | null
  readonly pace: Pick<ScheduleOptions, 'lengthMs' | 'holdMs' | 'restMs'>
}

export const USAGE = `usage: npm run nemesis -- [--seed N] [--minutes M | --short] [--nodes N] [--json] [--logs DIR]

  --seed N      draws the faults (by default another one each time; it is printed)
  --minutes M   how long all takes, about, 2 to 60 (3)
  --short       every fault once, for a moment: about a minute
  --nodes N     machines, 3 to 9 (5)
  --json        one JSON document on standard output at the end; everything else on standard error
  --logs DIR    keeps what the daemons and etcd logged there

exit codes: 0 every check passed, 1 one failed or a fault was not played, 2 wrong usage`

/** What comes before the first fault and after the last one, about. */
const AROUND_MS = 40_000

/** @param drawn the seed where none is given */
export function parseOptions(args: readonly string[], drawn: number): NemesisOptions | null {
  const values = flagsOf(args, {
    seed: { type: 'string' },
    minutes: { type: 'string' },
    nodes: { type: 'string' },
    logs: { type: 'string' },
    short: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  })
  if (values.help) return null
  if (values.short && values.minutes !== undefined)
    throw new UsageError('--short and --minutes exclude each other')
  const minutes = wholeNumber('minutes', values.minutes ?? '3', 2)
  const nodes = wholeNumber('nodes', values.nodes ?? '5', 3)
  if (minutes > 60) throw new UsageError('--minutes: at most 60')
  if (nodes > 9) throw new UsageError('--nodes: at most 9')
  return {
    seed: values.seed === undefined ? drawn : wholeNumber('seed', values.seed, 0),
    nodes,
    json: values.json,
    logs: values.logs ?? null,
    pace: values.short
      ? { lengthMs: 0, holdMs: [800, 2_000], restMs: [200, 600] }
      : { lengthMs: minutes * 60_000 - AROUND_MS, holdMs: [1_000, 8_000], restMs: [0, 3_000] },
  }
}
