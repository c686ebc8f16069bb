/**
 * The engine on real files: every upgrade, with the power cut in every step of it, boots something that worked, and
 * says what happened.
 */
import { appendFileSync, readdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Image } from '../../../../src/host/slots/contract.ts'
import { type Grub, imageOf, Machine, PowerCut, type Running } from './machines.ts'

let directory: string
let factory: Image
let v1: Image
let v2: Image
let panics: Image
let unreadable: Image

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-images-'))
  factory = await imageOf(directory, { name: 'factory', behaviour: 'healthy' })
  v1 = await imageOf(directory, { name: 'v1', behaviour: 'healthy' })
  v2 = await imageOf(directory, { name: 'v2', behaviour: 'healthy' })
  panics = await imageOf(directory, { name: 'v2-panics', behaviour: 'panics' })
  unreadable = await imageOf(directory, { name: 'v2-unreadable', behaviour: 'unreadable' })
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const machines: Machine[] = []
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.remove()
})

async function machineOn(grub: Grub, active: Image = v1): Promise<Machine> {
  const machine = await Machine.installed(grub, active, factory)
  machines.push(machine)
  await machine.boot()
  return machine
}

async function upgrade(machine: Machine, image: Image, attempt = 1): Promise<Running> {
  await machine.engine().stage(image)
  await machine.engine().arm({ attempt, digest: image.digest })
  return machine.boot()
}

describe.each<Grub>(['muster', 'kairos'])('with the GRUB configuration of %s', (grub) => {
  it('upgrades: the new image is on trial until it is confirmed', async () => {
    const machine = await machineOn(grub)
    await machine.engine().stage(v2)
    const staged = await machine.engine().status()
    expect(staged).toMatchObject({ staged: { digest: v2.digest }, trial: null, next: { slot: 'active' } })
    await machine.engine().arm({ attempt: 7, digest: v2.digest })
    expect((await machine.engine().status()).trial).toMatchObject({ attempt: 7, isBooted: false })
    expect(await machine.boot()).toEqual({ slot: 'active', version: 'v2' })
    const trial = await machine.engine().status()
    expect(trial).toMatchObject({
      booted: { slot: 'active', digest: v2.digest, version: 'v2' },
      trial: { attempt: 7, isBooted: true },
      fallback: null,
    })
    await machine.engine().confirm(7)
    expect((await machine.engine().status()).trial).toBeNull()
    for (let i = 0; i < 4; i++) expect(await machine.boot()).toEqual({ slot: 'active', version: 'v2' })
  })

  it('falls back to what ran before, which is in passive, when the new image panics', async () => {
    const machine = await machineOn(grub)
    expect(await upgrade(machine, panics)).toEqual({ slot: 'passive', version: 'v1' })
    const status = await machine.engine().status()
    expect(status).toMatchObject({ booted: { slot: 'passive' }, trial: null })
    expect(status.fallback).toMatchObject({ from: panics.digest, attempt: 1, reason: 'died' })
    expect(status.slots[0]).toMatchObject({ slot: 'active', state: 'bad' })
    for (let i = 0; i < 3; i++) expect((await machine.boot()).version).toBe('v1')
  })

  it('a trial that is never confirmed falls back after its boots', async () => {
    const machine = await machineOn(grub)
    await upgrade(machine, v2)
    let { version } = machine.running
    for (let i = 0; i < 3 && version === 'v2'; i++) version = (await machine.boot()).version
    expect(machine.running).toEqual({ slot: 'passive', version: 'v1' })
    expect((await machine.engine().status()).fallback).toMatchObject({ reason: 'died' })
  })

  it('says that GRUB could not load the new image, as far as GRUB tells', async () => {
    const machine = await machineOn(grub)
    expect(await upgrade(machine, unreadable)).toEqual({ slot: 'passive', version: 'v1' })
    const { fallback } = await machine.engine().status()
    expect(fallback?.reason).toBe(grub === 'muster' ? 'unreadable' : 'unknown')
  })

  it('a rollback lasts, and the next upgrade is tried again', async () => {
    const machine = await machineOn(grub)
    await upgrade(machine, v2)
    await machine.engine().rollback(1, 'the shop’s own check failed')
    for (let i = 0; i < 3; i++) expect((await machine.boot()).version).toBe('v1')
    const { fallback } = await machine.engine().status()
    expect(fallback).toMatchObject({ reason: 'unhealthy', evidence: 'the shop’s own check failed' })
    expect(await upgrade(machine, v2, 2)).toEqual({ slot: 'active', version: 'v2' })
  })

  it('three upgrades in a row', async () => {
    const machine = await machineOn(grub)
    for (const [i, image] of [v2, v1, v2].entries()) {
      expect((await upgrade(machine, image, i)).version).toBe(image.version)
      await machine.engine().confirm(i)
    }
    const { slots } = await machine.engine().status()
    expect(slots.map(({ version }) => version)).toEqual(['v2', 'v1', null])
  })

  it('booted from passive, only active is written, and passive stays', async () => {
    const machine = await machineOn(grub)
    await upgrade(machine, panics)
    expect(machine.running.slot).toBe('passive')
    expect(await upgrade(machine, v2, 2)).toEqual({ slot: 'active', version: 'v2' })
    expect((await machine.engine().status()).slots[1]).toMatchObject({ slot: 'passive' })
    await machine.engine().rollback(2, 'wanted')
    expect((await machine.boot()).version).toBe('v1')
  })

  it('booted from recovery, active is never rotated over passive', async () => {
    const machine = await machineOn(grub)
    writeFileSync(machine.layout.active, 'broken')
    writeFileSync(machine.layout.passive, 'broken too')
    expect(await machine.boot()).toEqual({ slot: 'recovery', version: 'recovery' })
    expect(await upgrade(machine, v2)).toEqual({ slot: 'active', version: 'v2' })
    expect(machine.steps.filter((step) => step === 'move')).toHaveLength(1)
  })

  const kinds = [
    ['a good image', () => v2],
    ['an image that panics', () => panics],
    ['an image that GRUB cannot load', () => unreadable],
  ] as const
  describe.each(kinds)('the power is cut in every step of an upgrade to %s', (_, image) => {
    it.each([false, true])('the step half done: %s', async (isTorn) => {
      for (let step = 0; ; step++) {
        const machine = await machineOn(grub)
        machine.steps.length = 0
        machine.cutAfter = step
        machine.isTorn = isTorn
        const cut = await upgrade(machine, image()).then(
          () => false,
          (error: unknown) => {
            if (error instanceof PowerCut) return true
            throw error
          },
        )
        if (!cut) {
          expect(step).toBeGreaterThan(9)
          return
        }
        const where = `cut in step ${step + 1}, after ${machine.steps.join(', ')}`
        const after = await machine.boot()
        // The trial may have been armed by the step that was cut, and may be good.
        const allowed = image() === v2 ? ['v1', 'v2'] : ['v1']
        expect(allowed, where).toContain(after.version)
        expect(after.slot, where).not.toBe('recovery')
        const status = await machine.engine().status()
        expect(status.booted.slot, where).toBe(after.slot)
        if (after.version === 'v2') {
          expect(status.trial?.isBooted, where).toBe(true)
          await machine.engine().confirm(1)
        } else {
          // Whatever was left there, the same upgrade can be had again.
          expect((await upgrade(machine, v2, 2)).version, where).toBe('v2')
          await machine.engine().confirm(2)
        }
        for (let i = 0; i < 3; i++) expect((await machine.boot()).version, where).toBe('v2')
        await machine.remove()
      }
    })
  })
})

describe('what is refused before a slot is touched', () => {
  it('an image of another digest', async () => {
    const machine = await machineOn('muster')
    const damaged = join(directory, 'damaged.img')
    writeFileSync(damaged, 'something else')
    await expect(machine.engine().stage({ ...v2, path: damaged })).rejects.toMatchObject({
      code: 'MUSTER_E_SLOT_DIGEST',
    })
    expect(await machine.engine().status()).toMatchObject({ staged: null, trial: null })
    expect((await machine.boot()).version).toBe('v1')
  })

  it('one for which there is no room', async () => {
    const machine = await machineOn('muster')
    await expect(machine.engine().stage({ ...v2, size: 2 ** 50 })).rejects.toMatchObject({
      code: 'MUSTER_E_SLOT_SPACE',
    })
    expect((await machine.engine().status()).staged).toBeNull()
  })

  it('arming what is not staged, or no longer what was staged', async () => {
    const machine = await machineOn('muster')
    const arm = () => machine.engine().arm({ attempt: 1, digest: v2.digest })
    await expect(arm()).rejects.toMatchObject({ code: 'MUSTER_E_SLOT_NOT_STAGED' })
    await machine.engine().stage(v2)
    appendFileSync(machine.layout.transition, 'x')
    await expect(arm()).rejects.toMatchObject({ code: 'MUSTER_E_SLOT_NOT_STAGED' })
  })

  it('staging in a boot that is itself on trial', async () => {
    const machine = await machineOn('muster')
    await upgrade(machine, v2)
    await expect(machine.engine().stage(v1)).rejects.toMatchObject({ code: 'MUSTER_E_SLOT_TRIAL' })
  })

  it('confirming what does not run', async () => {
    const machine = await machineOn('muster')
    await upgrade(machine, panics)
    await expect(machine.engine().confirm(1)).rejects.toMatchObject({ code: 'MUSTER_E_SLOT_NOT_BOOTED' })
  })

  it('a record that cannot be read: named, and nothing is written', async () => {
    const machine = await machineOn('muster')
    await machine.engine().stage(v2)
    writeFileSync(machine.layout.record, '{"version":1')
    const before = readdirSync(join(machine.layout.state, 'cOS'))
    const engine = machine.engine()
    const verbs = [
      () => engine.status(),
      () => engine.stage(v1),
      () => engine.begin(),
      () => engine.confirm(1),
      () => engine.rollback(1, 'unwanted'),
    ]
    for (const verb of verbs) await expect(verb()).rejects.toMatchObject({ code: 'MUSTER_E_SLOT_LAYOUT' })
    expect(readdirSync(join(machine.layout.state, 'cOS'))).toEqual(before)
  })
})

it('every verb may be asked for again', async () => {
  const machine = await machineOn('muster')
  for (let i = 0; i < 2; i++) await machine.engine().stage(v2)
  for (let i = 0; i < 2; i++) await machine.engine().arm({ attempt: 1, digest: v2.digest })
  await machine.boot()
  for (let i = 0; i < 2; i++) await machine.engine().confirm(1)
  for (let i = 0; i < 2; i++) await machine.engine().rollback(1, 'the cluster goes back')
  expect((await machine.boot()).version).toBe('v1')
})
