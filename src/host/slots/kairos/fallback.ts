/** Why this machine does not run what it was armed to run. Pure: from the record, GRUB's variables and this boot. */
import type { Fallback } from '../contract.ts'
import { triesLeft, WHY } from './assessment.ts'
import type { Env } from './env-block.ts'
import type { Booted } from './machine.ts'
import type { SlotRecord } from './record.ts'

export interface BootFacts {
  readonly record: SlotRecord
  readonly booted: Booted
  /** Of the image that runs; null where it is not known. */
  readonly bootedUuid: string | null
  /** Of active.img as it lies there now. */
  readonly activeUuid: string | null
  readonly assessment: Env
}

/** Null where nothing was armed, the reboot is still to come, or the trial runs. */
export function fallbackOf({
  record,
  booted,
  bootedUuid,
  activeUuid,
  assessment,
}: BootFacts): Fallback | null {
  const { armed, ended } = record
  if (armed === null) {
    if (ended?.how !== 'rolled-back') return null
    const { attempt, digest, reason } = ended
    return { from: digest, attempt, reason: 'unhealthy', evidence: reason ?? 'it was given up' }
  }
  if (armed.bootId === booted.bootId || (bootedUuid === armed.uuid && booted.slot === 'active')) return null
  const of = (reason: Fallback['reason'], evidence: string): Fallback => ({
    from: armed.digest,
    attempt: armed.attempt,
    reason,
    evidence,
  })
  if (activeUuid !== armed.uuid) {
    return of('never-armed', 'the power was cut before the new image took the active slot’s place')
  }
  const why = assessment.get(WHY)
  const tries = triesLeft(assessment)
  if (why === 'unreadable') return of('unreadable', 'GRUB could not load kernel or initrd of the active slot')
  if (booted.isAfterFailure || why === 'tries' || tries === 0) {
    return of('died', 'it was booted and never became healthy; GRUB took the passive slot')
  }
  return of(
    'unknown',
    'the active slot holds it and was not booted: GRUB could not load it, or a person chose another entry',
  )
}
