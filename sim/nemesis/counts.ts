/** Proof that things happened: a run in which a fault was not played, or moved nothing, proves nothing. */
import type { Ledger } from './ledger.ts'
import { FAULTS, type FaultKind } from './schedule.ts'
import type { Witness } from './witness.ts'

export interface Played {
  readonly faults: ReadonlyMap<FaultKind, number>
  /** Left out, with the reason. */
  readonly leftOut: ReadonlyMap<FaultKind, string>
}

/** What the daemons had logged when the first fault was played: what formation did is no answer to faults. */
export type Baseline = ReadonlyMap<string, number>

/** Events that faults must bring about, under what a person calls them. */
const ANSWERS: Readonly<Record<string, string>> = {
  'node.started': 'daemons started again',
  'leader.elected': 'leaders elected',
  'datastore.started': 'etcd started again',
  'datastore.adopted': 'running etcd found again',
  'problem.appeared node.silent': 'silences noticed',
  'node.joining': 'newcomers admitted after a wipe',
}

/** Sure only where a disk was wiped: whoever that was never speaks again. Other silences may be too short. */
const OF_WIPES: ReadonlySet<string> = new Set(['node.joining', 'problem.appeared node.silent'])

export const baselineOf = (witness: Witness): Baseline =>
  new Map(Object.keys(ANSWERS).map((event) => [event, witness.count(event)]))

/** By name, in the order in which they are told. */
export function countsOf(
  { faults, leftOut }: Played,
  witness: Witness,
  baseline: Baseline,
  ledger: Ledger,
): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of FAULTS) if (!leftOut.has(kind)) counts.set(kind, faults.get(kind) ?? 0)
  for (const [event, name] of Object.entries(ANSWERS)) {
    if (leftOut.has('wipe') && OF_WIPES.has(event)) continue
    counts.set(name, witness.count(event) - (baseline.get(event) ?? 0))
  }
  const { acknowledged, failed, reads } = ledger.counts
  counts.set('writes acknowledged', acknowledged)
  counts.set('writes without an answer', failed)
  counts.set('reads', reads)
  return counts
}

/** All of them must. */
export const unmoved = (counts: ReadonlyMap<string, number>): string[] =>
  [...counts].filter(([, count]) => count <= 0).map(([name]) => name)
