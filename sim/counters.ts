/** Proof that things happened: a run in which nothing went wrong proves nothing. */

export interface Counters {
  add(name: string, count?: number): void
  /** A log line of a core, counted under what it means. */
  logged(event: string): void
  readonly counts: ReadonlyMap<string, number>
}

const MEANINGS: Readonly<Record<string, string>> = {
  'founding.candidate': 'candidacies',
  'founding.propose': 'proposals',
  'founding.adopt': 'adoptions',
  'cluster.founded': 'foundings',
  'cluster.joined': 'geneses taken over',
  'election.candidate': 'elections',
  'leader.elected': 'leaders',
  'leader.stepped-down': 'leaders stepped down',
  'leader.lost': 'leaders lost',
  'plan.certified': 'plans certified',
  'message.refused': 'refusals',
  'node.joining': 'newcomers',
  'act.permitted': 'acts permitted',
  'act.done': 'acts done',
  'act.given-up': 'acts given up',
  'genesis.not-joined': 'geneses refused',
  'plan.conflict': 'conflicts',
  'plan.cause-dropped': 'causes dropped',
  'leader-record.found': 'leaders found in the DHT',
  'leader-record.refused': 'leader records refused',
  'state.restored': 'restored disks found',
  'node.cloned': 'cloned disks found',
  'rollout.halted': 'rollouts halted',
  'rollout.done': 'rollouts done',
  'secret.received': 'secrets of agents',
}

/** What must have moved in every run of {@link ENOUGH_SEEDS} seeds or more: else the run proves nothing. */
export const MUST_MOVE = [
  'foundings',
  'adoptions',
  'geneses taken over',
  'leaders',
  'leaders stepped down',
  'refusals',
  'newcomers',
  'acts done',
  'acts given up',
  'connections',
  'lost',
  'duplicated',
  'reordered',
  'cuts',
  'one-way cuts',
  'pauses',
  'wipes',
  'failed writes',
  'crashes',
  'crashes before-write',
  'crashes in-write',
  'crashes after-write',
  'crashes between-effects',
  'datastores made',
  'datastore joins',
  'lies',
  'restored disks',
  'restored disks found',
  'cloned disks',
  'lost datastores',
  'unsteady datastores',
  'severed pairs',
  'slow machines',
  'clock jumps',
  'moves',
  'mutes',
  'corrupted frames refused',
  'bytes over narrow links',
  'statuses read',
  'statuses without a quorum',
  'seeds with real cryptography',
  'seeds with real encoding',
  'seeds excused',
] as const

/** Likewise where seeds with people and k3s are played, too. */
export const MUST_MOVE_WITH_PEOPLE = [
  ...MUST_MOVE,
  'k3s restarts',
  'k3s snapshots',
  'k3s agents ready',
  'k3s nodes deleted',
  'rollouts halted',
  'rollouts done',
  'secrets of agents',
] as const

export const ENOUGH_SEEDS = 200

export function createCounters(): Counters {
  const counts = new Map<string, number>()
  const add = (name: string, count = 1): void => {
    counts.set(name, (counts.get(name) ?? 0) + count)
  }
  return {
    add,
    logged: (event) => {
      const meaning = MEANINGS[event]
      if (meaning !== undefined) add(meaning)
    },
    counts,
  }
}
