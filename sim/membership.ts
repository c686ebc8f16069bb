/** What a seed means for who is in and out: the cluster's settings, what people command, and who dies for good. */
import type { ClusterSettings } from '../src/core/settings.ts'
import type { Random } from './random.ts'
import type { Fault } from './schedule.ts'

export const COMMAND_VERBS = [
  'approve',
  'revoke',
  'remove',
  'replace',
  'promote',
  'demote',
  'act-break',
  'config',
] as const

export interface Membership {
  readonly settings: Partial<ClusterSettings>
  readonly faults: readonly Fault[]
  readonly operator: boolean
}

export const NOBODY: Membership = { settings: {}, faults: [], operator: false }

/** Who is in and out, by people and by itself: in a third of the seeds that have people. */
export function drawMembership(random: Random, count: number, calmAt: number): Membership {
  if (random.perMille(650)) return NOBODY
  const settings: Partial<ClusterSettings> = {
    promote: random.perMille(600) ? 'any' : 'founders',
    replaceAfterMs: random.pick([0, 6_000, 12_000, 12_000, 30_000]),
    admission: random.perMille(200) ? 'approve' : 'open',
  }
  const intensity = random.pick([0, 1, 2, 4, 8])
  const verbs = COMMAND_VERBS.filter(() => random.perMille(500))
  const early = random.perMille(500) ? 30_000 : calmAt
  const when = (): number => random.below(Math.min(early, calmAt))
  const faults = Array.from({ length: verbs.length === 0 ? 0 : intensity }, (): Fault => {
    const about = { at: when(), machine: random.below(count), other: random.below(count) }
    const as = random.perMille(700) ? 'server' : 'agent'
    return { ...about, kind: 'command', verb: random.pick(verbs), as, lawful: random.perMille(800) }
  })
  // The worst moment for a person to take a server out: another one is down, and nobody looked.
  if (count >= 3 && random.perMille(300)) {
    const at = 10_000 + random.below(Math.max(1, calmAt - 10_000))
    const [off, gone, taker] = [random.below(count), random.below(count), random.below(count)]
    const lull = { point: null, skip: 0, power: true, offMs: 45_000 }
    faults.push({ at, machine: off, kind: 'crash', ...lull })
    const verb = random.pick(['remove', 'demote', 'revoke'] as const)
    const late = at + random.pick([4_000, 20_000])
    faults.push({ at: late, machine: taker, other: gone, kind: 'command', verb, as: 'agent', lawful: true })
  }
  // Few enough that a quorum can stay.
  if (count >= 3 && random.perMille(400))
    faults.push({ at: when(), machine: random.below(count), kind: 'dies' })
  return { settings, faults, operator: random.perMille(600) }
}
