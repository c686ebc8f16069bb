/**
 * Where the Kairos layout keeps what (kairos-agent: pkg/constants; OS-UPGRADES: "Disk"). Labels are what initramfs
 * looks for, so the label in an image must fit the boot entry that loads it.
 */
import { join } from 'node:path'

export type SlotName = 'active' | 'passive' | 'recovery'

export const LABELS = { active: 'COS_ACTIVE', passive: 'COS_PASSIVE' } as const

export interface Layout {
  /** Where COS_STATE is mounted. */
  readonly state: string
  readonly active: string
  readonly passive: string
  readonly transition: string
  /** A copy of what runs, until it takes passive's place. */
  readonly copy: string
  readonly recovery: readonly string[]
  /** Variables of the boot assessment. */
  readonly assessment: string
  /** Which entry boots. */
  readonly grubenv: string
  readonly record: string
}

/** Mount points of an installed Kairos; COS_RECOVERY is mounted by whoever updates it. */
export const KAIROS_PATHS = {
  state: '/run/initramfs/cos-state',
  oem: '/oem',
  recovery: '/run/cos/recovery',
} as const

export function layoutOf({ state, oem, recovery }: Record<keyof typeof KAIROS_PATHS, string>): Layout {
  return {
    state,
    active: join(state, 'cOS/active.img'),
    passive: join(state, 'cOS/passive.img'),
    transition: join(state, 'cOS/transition.img'),
    copy: join(state, 'cOS/passive.new.img'),
    recovery: [join(recovery, 'cOS/recovery.img'), join(recovery, 'cOS/recovery.squashfs')],
    assessment: join(state, 'boot_assessment'),
    grubenv: join(oem, 'grubenv'),
    record: join(state, 'muster/slots.json'),
  }
}
