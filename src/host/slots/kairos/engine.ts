/**
 * Slots in the Kairos layout. Differs from kairos-agent's own upgrade where that can leave a machine that does not
 * boot (OS-UPGRADES: "Order", "Traps"):
 *
 *     stage   running active and proven: a copy of it, labelled COS_PASSIVE, takes passive's place by one rename;
 *             then the image is written to transition.img, verified, labelled, and recorded
 *     arm     record, counters and default entry first; last, one rename: transition.img over active.img
 *     confirm the counters go; the record forgets the trial
 *
 * There is no moment without active.img, and none with a label that does not fit its entry: nothing is renamed away
 * from active. The running slot's bytes are never written; its file lives on without a name until the reboot.
 * Booted from passive or recovery, only active is replaced, and passive stays what it is.
 */
import type { Image, SlotEngine, SlotStatus } from '../contract.ts'
import { SlotError } from '../contract.ts'
import * as assessment from './assessment.ts'
import type { SlotDisk } from './disk.ts'
import { changeEnvBlock, type Env, formatEnvBlock, parseEnvBlock } from './env-block.ts'
import { type BootFacts, fallbackOf } from './fallback.ts'
import { LABELS, type Layout, type SlotName } from './layout.ts'
import type { Booted } from './machine.ts'
import { formatRecord, parseRecord, type SlotRecord, withImage } from './record.ts'
import { uuidOfDigest } from './superblock.ts'

export interface KairosOptions {
  readonly layout: Layout
  readonly disk: SlotDisk
  booted(): Promise<Booted>
}

/** Room for the record, GRUB's blocks and the file system's own, beside the images. */
const SPARE_BYTES = 4 * 1024 * 1024

interface Facts extends BootFacts {
  readonly grubenv: Env
  readonly uuids: Readonly<Record<'active' | 'passive', string | null>>
}

export class KairosSlots implements SlotEngine {
  readonly #layout: Layout
  readonly #disk: SlotDisk
  readonly #booted: () => Promise<Booted>

  constructor({ layout, disk, booted }: KairosOptions) {
    this.#layout = layout
    this.#disk = disk
    this.#booted = booted
  }

  async status(): Promise<SlotStatus> {
    const facts = await this.#facts()
    const { record, booted, uuids } = facts
    const trial = trialOf(facts)
    const fallback = fallbackOf(facts)
    const imageOf = (uuid: string | null) => record.images.find((image) => image.uuid === uuid)
    const running = imageOf(facts.bootedUuid)
    const slot = (name: 'active' | 'passive'): SlotStatus['slots'][number] => {
      const uuid = uuids[name]
      const image = imageOf(uuid)
      const isTrial = name === 'active' && trial !== null && uuid === record.armed?.uuid
      const isBad = name === 'active' && fallback !== null && image?.digest === fallback.from
      const state = uuid === null ? 'empty' : isTrial ? 'trial' : isBad ? 'bad' : 'good'
      return { slot: name, digest: image?.digest ?? null, version: image?.version ?? null, state }
    }
    return {
      booted: { slot: booted.slot, digest: running?.digest ?? null, version: running?.version ?? null },
      next: nextOf(facts),
      slots: [slot('active'), slot('passive'), await this.#recovery()],
      bootId: booted.bootId,
      staged: record.staged === null ? null : { digest: record.staged.digest },
      trial,
      fallback,
    }
  }

  async stage(image: Image): Promise<void> {
    const facts = await this.#facts()
    const { record, uuids, booted } = facts
    const trial = trialOf(facts)
    if (trial?.isBooted === true) {
      throw new SlotError(
        'MUSTER_E_SLOT_TRIAL',
        `this boot is itself on trial (attempt ${trial.attempt}): nothing may take its fallback’s place`,
        'wait until it is confirmed or rolled back',
      )
    }
    if (await this.#isStaged(record, image.digest)) return
    const isActiveRunning = booted.slot === 'active' && record.armed?.bootId !== booted.bootId
    const needsCopy = isActiveRunning && uuids.active !== null && uuids.passive !== uuids.active
    await this.#disk.writable(async () => {
      const layout = this.#layout
      // What is left of an earlier staging is worthless from here on, and says so before its bytes go.
      if (record.staged !== null) await this.#write({ ...record, staged: null })
      await this.#disk.remove(layout.transition)
      await this.#disk.remove(layout.copy)
      await this.#checkRoom(image, needsCopy)
      if (needsCopy) await this.#copyRunning(uuids.active ?? '')
      await this.#fill(image)
    })
  }

  async arm({ attempt, digest }: { readonly attempt: number; readonly digest: string }): Promise<void> {
    const facts = await this.#facts()
    const { record, booted, uuids, bootedUuid } = facts
    const uuid = uuidOfDigest(digest)
    const isSwapped = record.armed?.attempt === attempt && uuids.active === uuid
    if (isSwapped) return
    if (!(await this.#isStaged(record, digest))) {
      throw new SlotError(
        'MUSTER_E_SLOT_NOT_STAGED',
        `no verified image with digest ${digest} is staged here`,
        'stage it first; if it was, the disk has lost or changed it: look at `dmesg`',
      )
    }
    const layout = this.#layout
    await this.#disk.writable(async () => {
      const from = { slot: booted.slot ?? 'unknown', uuid: bootedUuid }
      const armed = { attempt, digest, uuid, bootId: booted.bootId, from }
      await this.#write({ ...record, armed, ended: null })
      await this.#setEnv(layout.assessment, assessment.armed(attempt))
      await this.#setEnv(layout.grubenv, {
        [assessment.SAVED_ENTRY]: assessment.ENTRY_ACTIVE,
        [assessment.NEXT_ENTRY]: null,
      })
      await this.#disk.move(layout.transition, layout.active)
      await this.#write({ ...record, armed, ended: null, staged: null })
    })
  }

  async confirm(attempt: number): Promise<void> {
    const facts = await this.#facts()
    const { record } = facts
    if (record.armed === null && record.ended?.attempt === attempt && record.ended.how === 'confirmed') return
    const trial = trialOf(facts)
    if (record.armed === null || trial?.attempt !== attempt || !trial.isBooted) {
      throw new SlotError(
        'MUSTER_E_SLOT_NOT_BOOTED',
        `attempt ${attempt} does not run here: nothing to confirm`,
        'the status says what was booted, and why',
      )
    }
    const { digest } = record.armed
    await this.#disk.writable(async () => {
      await this.#setEnv(this.#layout.assessment, assessment.settled())
      await this.#write({
        ...record,
        armed: null,
        ended: { attempt, digest, how: 'confirmed', reason: null },
      })
    })
  }

  async rollback(attempt: number, reason: string): Promise<void> {
    const { record, uuids } = await this.#facts()
    if (record.ended?.attempt === attempt && record.ended.how === 'rolled-back') return
    const digest = record.armed?.attempt === attempt ? record.armed.digest : record.ended?.digest
    if (digest === undefined || (record.armed?.attempt ?? record.ended?.attempt) !== attempt) {
      throw new SlotError(
        'MUSTER_E_SLOT_NOT_BOOTED',
        `attempt ${attempt} is not the last one here: nothing to roll back`,
        'the status says what was booted, and why',
      )
    }
    if (uuids.passive === null) {
      throw new SlotError(
        'MUSTER_E_SLOT_LAYOUT',
        'the passive slot is empty: there is nothing to go back to',
        'boot recovery and reset the machine, or stage a good image',
      )
    }
    await this.#disk.writable(async () => {
      // The entry first: from here on it boots what ran before, whatever the counters say.
      await this.#setEnv(this.#layout.grubenv, {
        [assessment.SAVED_ENTRY]: assessment.ENTRY_PASSIVE,
        [assessment.NEXT_ENTRY]: null,
      })
      await this.#setEnv(this.#layout.assessment, assessment.settled())
      await this.#write({
        ...record,
        armed: null,
        ended: { attempt, digest, how: 'rolled-back', reason: reason.slice(0, 1_024) },
      })
    })
  }

  /**
   * Once after every boot. Where the system confirms itself as soon as userspace begins, a trial is held open until
   * muster says that it is good; counters of an attempt that never came to its swap must not count this boot.
   */
  async begin(): Promise<void> {
    const facts = await this.#facts()
    const changes =
      trialOf(facts)?.isBooted === true
        ? assessment.held()
        : fallbackOf(facts)?.reason === 'never-armed'
          ? assessment.settled()
          : {}
    const isSo = Object.entries(changes).every(
      ([name, value]) => (facts.assessment.get(name) ?? null) === value,
    )
    if (isSo) return
    await this.#disk.writable(() => this.#setEnv(this.#layout.assessment, changes))
  }

  async #facts(): Promise<Facts> {
    const layout = this.#layout
    const record = parseRecord(layout.record, await this.#disk.read(layout.record))
    const booted = await this.#booted()
    const active = await this.#disk.superblock(layout.active)
    const passive = await this.#disk.superblock(layout.passive)
    const uuids = { active: active?.uuid ?? null, passive: passive?.uuid ?? null }
    return {
      record,
      booted,
      uuids,
      activeUuid: uuids.active,
      bootedUuid: bootedUuid(record, booted, uuids),
      assessment: await this.#env(layout.assessment),
      grubenv: await this.#env(layout.grubenv),
    }
  }

  /** The image is in transition.img, whole, as it was when it was recorded. */
  async #isStaged(record: SlotRecord, digest: string): Promise<boolean> {
    if (record.staged?.digest !== digest) return false
    if ((await this.#disk.size(this.#layout.transition)) === null) return false
    return (await this.#disk.digest(this.#layout.transition)) === record.staged.sealed
  }

  async #checkRoom(image: Image, needsCopy: boolean): Promise<void> {
    const { state, active, passive } = this.#layout
    const activeSize = (await this.#disk.size(active)) ?? 0
    const passiveSize = (await this.#disk.size(passive)) ?? 0
    // While the copy is made all of it is there once more; afterwards the old passive is gone.
    const atCopy = needsCopy ? activeSize : 0
    const atFill = image.size + (needsCopy ? activeSize - passiveSize : 0)
    const needed = Math.max(atCopy, atFill) + SPARE_BYTES
    const free = await this.#disk.free(state)
    if (free >= needed) return
    throw new SlotError(
      'MUSTER_E_SLOT_SPACE',
      `${state} has ${mebibytes(free)} MiB free, the image needs ${mebibytes(needed)}`,
      'make room there, or take a smaller image; the slots are as they were',
    )
  }

  /** Passive becomes what runs: a boot that falls back then comes to what worked last. */
  async #copyRunning(uuid: string): Promise<void> {
    const { active, copy, passive } = this.#layout
    const read = await this.#disk.copy(active, copy)
    if ((await this.#disk.digest(copy)) !== read) {
      throw new SlotError(
        'MUSTER_E_SLOT_IO',
        `${copy} does not hold what was written`,
        'the disk is failing: look at `dmesg`; the slots are as they were',
      )
    }
    await this.#disk.seal(copy, { label: LABELS.passive, uuid })
    await this.#disk.move(copy, passive)
  }

  async #fill(image: Image): Promise<void> {
    const { transition, record: recordPath } = this.#layout
    const read = await this.#disk.copy(image.path, transition)
    if (read !== image.digest) {
      await this.#disk.remove(transition)
      throw new SlotError(
        'MUSTER_E_SLOT_DIGEST',
        `${image.path} has digest ${read}, not ${image.digest}`,
        'the image is damaged or another: fetch it again; the slots are as they were',
      )
    }
    if ((await this.#disk.digest(transition)) !== image.digest) {
      throw new SlotError(
        'MUSTER_E_SLOT_IO',
        `${transition} does not hold what was written`,
        'the disk is failing: look at `dmesg`; the slots are as they were',
      )
    }
    const uuid = uuidOfDigest(image.digest)
    await this.#disk.seal(transition, { label: LABELS.active, uuid })
    const sealed = await this.#disk.digest(transition)
    const record = parseRecord(recordPath, await this.#disk.read(recordPath))
    const { digest, version } = image
    await this.#write({
      ...record,
      ...withImage(record, { uuid, digest, version }),
      staged: { digest, uuid, sealed },
    })
  }

  async #recovery(): Promise<SlotStatus['slots'][number]> {
    for (const path of this.#layout.recovery) {
      if ((await this.#disk.size(path)) !== null) {
        return { slot: 'recovery', digest: null, version: null, state: 'unknown' }
      }
    }
    return { slot: 'recovery', digest: null, version: null, state: 'empty' }
  }

  async #env(path: string): Promise<Env> {
    return parseEnvBlock((await this.#disk.read(path)) ?? new Uint8Array())
  }

  /** Replaced as a whole: GRUB looks the file up by its name at every boot. */
  async #setEnv(path: string, changes: Readonly<Record<string, string | null>>): Promise<void> {
    const before = (await this.#disk.read(path)) ?? formatEnvBlock(new Map())
    await this.#disk.write(path, changeEnvBlock(before, changes))
  }

  #write(record: SlotRecord): Promise<void> {
    return this.#disk.write(this.#layout.record, formatRecord(record))
  }
}

const mebibytes = (bytes: number): number => Math.ceil(bytes / (1024 * 1024))

/** The image that runs: of its file, unless another took that file's place since the boot. */
function bootedUuid(
  { armed }: SlotRecord,
  { slot, bootId }: Booted,
  uuids: Readonly<Record<'active' | 'passive', string | null>>,
): string | null {
  if (armed?.bootId === bootId) return armed.from.uuid
  return slot === 'active' || slot === 'passive' ? uuids[slot] : null
}

function trialOf({
  record,
  booted,
  bootedUuid: running,
  assessment: env,
  uuids,
}: Facts): SlotStatus['trial'] {
  const { armed } = record
  if (armed === null) return null
  const of = (isBooted: boolean): SlotStatus['trial'] => ({
    attempt: armed.attempt,
    digest: armed.digest,
    triesLeft: assessment.triesLeft(env),
    isBooted,
  })
  if (armed.bootId === booted.bootId) return uuids.active === armed.uuid ? of(false) : null
  return running === armed.uuid && booted.slot === 'active' ? of(true) : null
}

/** @returns what GRUB tries first; a one-shot entry is forgotten by the boot that takes it. */
function nextOf({ grubenv, assessment: env, record, uuids }: Facts): SlotStatus['next'] {
  const once = grubenv.get(assessment.NEXT_ENTRY)
  const entry = once === undefined || once === '' ? grubenv.get(assessment.SAVED_ENTRY) : once
  const slots: Readonly<Record<string, SlotName>> = {
    [assessment.ENTRY_ACTIVE]: 'active',
    [assessment.ENTRY_PASSIVE]: 'passive',
    recovery: 'recovery',
  }
  const slot = entry === undefined || entry === '' ? 'active' : (slots[entry] ?? null)
  const isTrial = slot === 'active' && record.armed !== null && uuids.active === record.armed.uuid
  const isSpent = isTrial && assessment.triesLeft(env) === 0
  return {
    slot: isSpent ? 'passive' : slot,
    once: (once !== undefined && once !== '') || (isTrial && !isSpent),
  }
}
