/**
 * The variables through which muster and GRUB speak about a trial. The first two are Kairos' own and mean the same
 * there: a GRUB that knows nothing of muster falls back after one boot that did not confirm. The others are counted
 * and written by muster's GRUB configuration (config/grub.cfg): a counter loses no information (kairos#4303).
 */
import type { Env } from './env-block.ts'

const ENABLE = 'enable_boot_assessment'
const TENTATIVE = 'boot_assessment_tentative'
export const TRIES = 'muster_tries'
const ATTEMPT = 'muster_attempt'
export const WHY = 'muster_why'
export const SAVED_ENTRY = 'saved_entry'
export const NEXT_ENTRY = 'next_entry'
export const ENTRY_ACTIVE = 'cos'
export const ENTRY_PASSIVE = 'fallback'

/** Boots of one trial before GRUB gives up: a power cut during the first must not condemn the image. */
export const TRIES_MAX = 2

/** Counters are reset when arming, never when booting. */
export const armed = (attempt: number): Record<string, string | null> => ({
  [ENABLE]: 'yes',
  [TENTATIVE]: null,
  [TRIES]: String(TRIES_MAX),
  [ATTEMPT]: String(attempt),
  [WHY]: null,
})

/** No trial is under way. */
export const settled = (): Record<string, string | null> => ({
  [ENABLE]: null,
  [TENTATIVE]: null,
  [TRIES]: null,
  [ATTEMPT]: null,
  [WHY]: null,
})

/**
 * On a Kairos whose own boot stage has cleared the assessment because userspace began: set again, so that this boot
 * counts as good only when muster says so.
 */
export const held = (): Record<string, string | null> => ({ [ENABLE]: 'yes', [TENTATIVE]: 'yes' })

/** Null where GRUB does not count. */
export function triesLeft(env: Env): number | null {
  const text = env.get(TRIES)
  return text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : null
}
