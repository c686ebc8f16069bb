/**
 * Slots on machines that really boot: GRUB with config/grub.cfg, a kernel, the engine on real partitions, and a power
 * that is cut for real. Every step of an upgrade with MUSTER_BOOT=all, else those in which the most can go wrong.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gatherParts, makeDisk, makeRootImage } from '../../sim/boot/disk.ts'
import { QemuMachine } from '../../sim/boot/qemu.ts'
import type { Image, SlotStatus } from '../../src/host/slots/contract.ts'

/** Images and disks of some hundred MiB: not into a memory file system. */
const PARENT = '/var/tmp'
const isAll = process.env.MUSTER_BOOT === 'all'

let directory: string
let v1: Image
let v2: Image
let panics: Image
let withoutKernel: Image
/** A machine that has booted v1 from active, with v1 in passive. */
let booted: QemuMachine

beforeAll(async () => {
  directory = mkdtempSync(join(PARENT, 'muster-boot-'))
  const parts = await gatherParts(directory)
  v1 = await makeRootImage(parts, 'v1', 'healthy')
  v2 = await makeRootImage(parts, 'v2', 'healthy')
  panics = await makeRootImage(parts, 'panics', 'panics')
  withoutKernel = await makeRootImage(parts, 'without-kernel', 'without-kernel')
  const images = [v1, v2, panics, withoutKernel]
  const disk = await makeDisk(parts, { active: v1, passive: v1, recovery: v1, images })
  booted = await QemuMachine.on(directory, disk)
  const { version, status } = await booted.boot()
  expect({ version, slot: status.booted.slot }).toEqual({ version: 'v1', slot: 'active' })
  await booted.remember()
})
afterAll(async () => {
  await booted?.[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true, force: true })
})

async function machine(): Promise<QemuMachine> {
  const copy = await booted.copy()
  await copy.goOn()
  return copy
}

const wanted = ({ digest, size, version }: Image) => ({ digest, size, version })

async function armed(on: QemuMachine, image: Image, attempt = 1): Promise<SlotStatus> {
  await on.order({ verb: 'stage', image: wanted(image), stepwise: false })
  return on.order({ verb: 'arm', attempt, digest: image.digest, stepwise: false })
}

it('three upgrades in a row, each confirmed, each with what ran before in passive', async () => {
  await using on = await machine()
  let before = 'v1'
  for (const [attempt, image] of [v2, v1, v2].entries()) {
    await armed(on, image, attempt)
    const { version, status } = await on.reboot()
    expect(version).toBe(image.version)
    expect(status.trial).toMatchObject({ attempt, isBooted: true })
    const confirmed = await on.order({ verb: 'confirm', attempt })
    expect(confirmed).toMatchObject({ booted: { slot: 'active', digest: image.digest }, trial: null })
    // The very first image came with the disk: it has no digest that muster knows.
    if (attempt > 0) expect(confirmed.slots[1]?.version).toBe(before)
    before = version
  }
  expect((await on.reboot()).version).toBe('v2')
})

it('an init that ends: falls back by itself, and says why', async () => {
  await using on = await machine()
  await armed(on, panics)
  const { version, status } = await on.reboot()
  expect({ version, slot: status.booted.slot }).toEqual({ version: 'v1', slot: 'passive' })
  expect(status.fallback).toMatchObject({ from: panics.digest, attempt: 1, reason: 'died' })
  expect(on.console.match(/Attempted to kill init/g)?.length).toBe(2)
  // From passive only active is written, and the machine gets its next image.
  await armed(on, v2, 2)
  const next = await on.reboot()
  expect({ version: next.version, slot: next.status.booted.slot }).toEqual({ version: 'v2', slot: 'active' })
})

it('an image that GRUB cannot load: falls back by itself, and says why', async () => {
  await using on = await machine()
  await armed(on, withoutKernel)
  const { version, status } = await on.reboot()
  expect(version).toBe('v1')
  expect(status.fallback?.reason).toBe('unreadable')
})

it('the power is cut in the boot of a trial: one cut is forgiven, a second falls back', async () => {
  await using on = await machine()
  await armed(on, v2)
  await on.cutPower()
  await on.bootHalfway()
  const once = await on.boot()
  expect(once).toMatchObject({ version: 'v2', status: { trial: { triesLeft: 0 } } })
  await on.cutPower()
  const twice = await on.boot()
  expect(twice).toMatchObject({ version: 'v1', status: { fallback: { reason: 'died' } } })
})

it('a rollback lasts', async () => {
  await using on = await machine()
  await armed(on, v2)
  await on.reboot()
  await on.order({ verb: 'rollback', attempt: 1, reason: 'the till does not answer' })
  for (let i = 0; i < 2; i++) {
    const { version, status } = await on.reboot()
    expect(version).toBe('v1')
    expect(status.fallback).toMatchObject({ reason: 'unhealthy', evidence: 'the till does not answer' })
  }
})

it('active broken: passive; both broken: recovery, which can bring a new active', async () => {
  await using on = await machine()
  await on.order({ verb: 'spoil', slot: 'active' })
  const passive = await on.reboot()
  expect(passive.status.booted.slot).toBe('passive')
  await on.order({ verb: 'spoil', slot: 'passive' })
  const recovery = await on.reboot()
  expect(recovery.status.booted.slot).toBe('recovery')
  await armed(on, v2)
  const { version, status } = await on.reboot()
  expect({ version, slot: status.booted.slot }).toEqual({ version: 'v2', slot: 'active' })
})

/** Steps of stage and arm from a machine that was never upgraded, in their order. */
const STEPS = [
  'remove cOS/transition.img',
  'remove cOS/passive.new.img',
  'copy cOS/active.img cOS/passive.new.img',
  'seal cOS/passive.new.img COS_PASSIVE',
  'move cOS/passive.new.img cOS/passive.img',
  'copy images/v2.img cOS/transition.img',
  'seal cOS/transition.img COS_ACTIVE',
  'write muster/slots.json',
  'write muster/slots.json',
  'write boot_assessment',
  'write grubenv',
  'move cOS/transition.img cOS/active.img',
  'write muster/slots.json',
]
const SAMPLE = [5, 7, 10, 12]

describe('the power is cut', () => {
  const chosen = STEPS.map((step, i) => ({ step, i })).filter(({ i }) => isAll || SAMPLE.includes(i))

  it.each(chosen)('before step $i, $step: boots, and the upgrade can be had again', async ({ i }) => {
    await using on = await machine()
    const seen = await upgradeUntil(on, i)
    expect(seen).toEqual(STEPS.slice(0, i + 1))
    await on.cutPower()
    const { version, status } = await on.boot()
    if (i < STEPS.length - 1) {
      expect({ version, slot: status.booted.slot }).toEqual({ version: 'v1', slot: 'active' })
      await armed(on, v2, 2)
      expect((await on.reboot()).version).toBe('v2')
    } else {
      expect(version).toBe('v2')
      expect(status.trial).toMatchObject({ attempt: 1, isBooted: true })
    }
  })

  it('while an image is written: boots, and the upgrade can be had again', async () => {
    await using on = await machine()
    await upgradeUntil(on, 5)
    const next = on.ask({ verb: 'go' })
    await Promise.race([next, on.cutPower()])
    await next.catch(() => undefined)
    expect((await on.boot()).version).toBe('v1')
    await armed(on, v2, 2)
    expect((await on.reboot()).version).toBe('v2')
  })
})

/** @returns the steps that were announced, as relative paths; the last one has not been taken. */
async function upgradeUntil(on: QemuMachine, last: number): Promise<string[]> {
  const seen: string[] = []
  const short = (name: string): string =>
    name.replaceAll(/\/(run\/initramfs\/cos-state|usr\/local|oem)\//g, '')
  let word = await on.ask({ verb: 'stage', image: wanted(v2), stepwise: true })
  for (;;) {
    if (word.kind === 'step') {
      seen.push(short(word.name))
      if (seen.length === last + 1) return seen
      word = await on.ask({ verb: 'go' })
    } else if (word.kind === 'done') {
      word = await on.ask({ verb: 'arm', attempt: 1, digest: v2.digest, stepwise: true })
    } else {
      throw new Error(JSON.stringify(word))
    }
  }
}
