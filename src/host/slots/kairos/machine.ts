/** What the running system says about how it was booted: the kernel's command line and immucore's sentinels. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SlotName } from './layout.ts'

export interface Booted {
  /** Null where it is none of ours: a live system, an installation of another kind. */
  readonly slot: SlotName | null
  /** GRUB took the fallback because the assessment failed (KAIROS: `upgrade_failure`). */
  readonly isAfterFailure: boolean
  /** Changes with every boot. */
  readonly bootId: string
}

const FILES: readonly (readonly [string, SlotName])[] = [
  ['active.img', 'active'],
  ['passive.img', 'passive'],
  ['recovery.img', 'recovery'],
  ['recovery.squashfs', 'recovery'],
]

/** @param commandLine content of /proc/cmdline. */
export function bootedSlot(commandLine: string): SlotName | null {
  const words = commandLine.trim().split(/\s+/)
  const image = words.findLast((word) => /^(cos-img\/filename|rd\.live\.squashimg)=/.test(word))
  return FILES.find(([name]) => image?.endsWith(`/${name}`))?.[1] ?? null
}

export async function readBooted(root: string): Promise<Booted> {
  const commandLine = await readFile(join(root, 'proc/cmdline'), 'utf8')
  const bootId = await readFile(join(root, 'proc/sys/kernel/random/boot_id'), 'utf8')
  return {
    slot: bootedSlot(commandLine),
    isAfterFailure: commandLine.trim().split(/\s+/).includes('upgrade_failure'),
    bootId: bootId.trim(),
  }
}
