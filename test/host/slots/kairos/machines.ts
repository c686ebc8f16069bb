/**
 * A machine of the Kairos layout in a directory: real images, the engine on the real file system, and a boot that
 * does what GRUB and initramfs do. The power can be cut at every step.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Image } from '../../../../src/host/slots/contract.ts'
import { type SlotDisk, slotDisk } from '../../../../src/host/slots/kairos/disk.ts'
import { KairosSlots } from '../../../../src/host/slots/kairos/engine.ts'
import { changeEnvBlock, formatEnvBlock, parseEnvBlock } from '../../../../src/host/slots/kairos/env-block.ts'
import { type Layout, layoutOf, type SlotName } from '../../../../src/host/slots/kairos/layout.ts'
import { readSuperblock } from '../../../../src/host/slots/kairos/superblock.ts'

export class PowerCut extends Error {}

/** What a version does when it is booted. */
export type Behaviour = 'healthy' | 'panics' | 'unreadable'

export interface Version {
  readonly name: string
  readonly behaviour: Behaviour
}

/** Whose GRUB configuration boots the machine: muster's counts, Kairos' has one bit. */
export type Grub = 'muster' | 'kairos'

export interface Running {
  readonly slot: SlotName
  readonly version: string
}

const BOOTS_MAX = 8

export class Machine {
  readonly root: string
  readonly layout: Layout
  readonly #grub: Grub
  readonly #disk: SlotDisk
  running: Running = { slot: 'recovery', version: 'none' }
  boots = 0
  #afterFailure = false
  /** Steps until the power is cut; null: it stays on. */
  cutAfter: number | null = null
  /** Whether the step in which the power is cut is half done. */
  isTorn = false
  readonly steps: string[] = []

  private constructor(root: string, grub: Grub) {
    this.root = root
    this.#grub = grub
    const at = (name: string): string => {
      mkdirSync(join(root, name, 'cOS'), { recursive: true })
      return join(root, name)
    }
    this.layout = layoutOf({ state: at('state'), oem: at('oem'), recovery: at('recovery') })
    this.#disk = slotDisk({ mountPoint: this.layout.state })
  }

  /** Installed: active and passive with their first versions, and a recovery. */
  static async installed(grub: Grub, active: Image, passive: Image): Promise<Machine> {
    const machine = new Machine(await mkdtemp(join(tmpdir(), 'muster-slots-')), grub)
    const { layout } = machine
    copyFileSync(active.path, layout.active)
    copyFileSync(passive.path, layout.passive)
    await label(layout.active, 'COS_ACTIVE')
    await label(layout.passive, 'COS_PASSIVE')
    await writeFile(layout.recovery[1] ?? '', 'squashfs')
    writeFileSync(layout.grubenv, formatEnvBlock(new Map()))
    writeFileSync(layout.assessment, formatEnvBlock(new Map()))
    return machine
  }

  async remove(): Promise<void> {
    await rm(this.root, { recursive: true, force: true })
  }

  /** The engine of a daemon that has just started in this boot. */
  engine(): KairosSlots {
    const booted = {
      slot: this.running.slot,
      isAfterFailure: this.#afterFailure,
      bootId: `boot-${this.boots}`,
    }
    return new KairosSlots({ layout: this.layout, disk: this.#cuttable(), booted: async () => booted })
  }

  /** Power on: boots, again and again where it panics, until something runs. */
  async boot(): Promise<Running> {
    this.cutAfter = null
    for (let i = 0; i < BOOTS_MAX; i++) {
      this.boots += 1
      const entry = this.#chosenEntry()
      for (const slot of [entry, ...(['active', 'passive', 'recovery'] as const)]) {
        const version = await this.#load(slot)
        if (version === null) {
          if (slot === 'active' && this.#grub === 'muster') this.#set({ muster_why: 'unreadable' })
          continue
        }
        if (version.behaviour === 'panics') break
        this.running = { slot, version: version.name }
        // Kairos' stage boot.before: userspace began in the active slot.
        if (this.#grub === 'kairos' && slot === 'active') {
          this.#set({ enable_boot_assessment: null, boot_assessment_tentative: null })
        }
        await this.engine().begin()
        return this.running
      }
    }
    throw new Error(`the machine does not boot: ${BOOTS_MAX} tries`)
  }

  /** GRUB: the entry that was saved, once or lastingly, unless the assessment says that it failed. */
  #chosenEntry(): SlotName {
    const env = parseEnvBlock(readFileSync(this.layout.grubenv))
    const assessment = parseEnvBlock(readFileSync(this.layout.assessment))
    const saved = env.get('saved_entry')
    this.#afterFailure = false
    if (saved === 'fallback') return 'passive'
    if (assessment.get('enable_boot_assessment') !== 'yes') return 'active'
    if (this.#grub === 'muster') {
      const tries = Number(assessment.get('muster_tries') ?? '1')
      if (tries > 0) {
        this.#set({ muster_tries: String(tries - 1) })
        return 'active'
      }
      this.#set({ muster_why: 'tries' })
    } else if (assessment.get('boot_assessment_tentative') !== 'yes') {
      this.#set({ boot_assessment_tentative: 'yes' })
      return 'active'
    }
    this.#afterFailure = true
    return 'passive'
  }

  /** GRUB and initramfs: the file must be there and whole, and its label must be the entry's. */
  async #load(slot: SlotName): Promise<Version | null> {
    if (slot === 'recovery') {
      return existsSync(this.layout.recovery[1] ?? '') ? { name: 'recovery', behaviour: 'healthy' } : null
    }
    const path = this.layout[slot]
    const superblock = await readSuperblock(path)
    if (superblock?.label !== (slot === 'active' ? 'COS_ACTIVE' : 'COS_PASSIVE')) return null
    const check = await execa('e2fsck', ['-fn', path], { reject: false })
    if (check.exitCode !== 0) return null
    const { stdout } = await execa('debugfs', ['-R', 'cat /version', path])
    const [name = '', behaviour = ''] = stdout.trim().split(' ')
    if (behaviour === 'unreadable') return null
    return { name, behaviour: behaviour === 'panics' ? 'panics' : 'healthy' }
  }

  #set(changes: Record<string, string | null>): void {
    const { assessment } = this.layout
    writeFileSync(assessment, changeEnvBlock(readFileSync(assessment), changes))
  }

  #cuttable(): SlotDisk {
    const disk = this.#disk
    const step = async <T>(name: string, act: () => Promise<T>, tear?: () => Promise<void>): Promise<T> => {
      if (this.cutAfter !== null && this.cutAfter <= 0) {
        if (this.cutAfter === 0 && this.isTorn) await tear?.()
        this.cutAfter = -1
        throw new PowerCut(name)
      }
      if (this.cutAfter !== null) this.cutAfter -= 1
      this.steps.push(name)
      return await act()
    }
    return {
      ...disk,
      write: (path, content) => step('write', () => disk.write(path, content)),
      remove: (path) => step('remove', () => disk.remove(path)),
      move: (from, to) => step('move', () => disk.move(from, to)),
      copy: (from, to) =>
        step(
          'copy',
          () => disk.copy(from, to),
          async () => {
            copyFileSync(from, to)
            truncateSync(to, Math.floor(readFileSync(from).length / 2))
          },
        ),
      seal: (path, as) =>
        step(
          'seal',
          () => disk.seal(path, as),
          async () => {
            await disk.seal(path, as)
            // One of the blocks that tune2fs changes did not reach the disk.
            const bytes = readFileSync(path)
            bytes.fill(0, 1_024, 1_536)
            writeFileSync(path, bytes)
          },
        ),
    }
  }
}

async function label(path: string, text: string): Promise<void> {
  await execa('tune2fs', ['-L', text, path])
}

/** A small image whose root says what it is and how it behaves. */
export async function imageOf(directory: string, { name, behaviour }: Version): Promise<Image> {
  const root = join(directory, `${name}-root`)
  mkdirSync(root, { recursive: true })
  writeFileSync(join(root, 'version'), `${name} ${behaviour}\n`)
  const path = join(directory, `${name}.img`)
  await execa('mke2fs', ['-q', '-t', 'ext2', '-d', root, path, '512k'], { env: { E2FSPROGS_FAKE_TIME: '1' } })
  const bytes = readFileSync(path)
  const digest = createHash('sha256').update(bytes).digest('hex')
  return { path, digest, size: bytes.length, version: name }
}
