import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { machineFingerprint } from '../../src/host/fingerprint.ts'

const UUID = '4c4c4544-0042-3510-8052-b4c04f4b4d32'
const MACHINE_ID = '8d2c1f0e9b7a46d5a3c2e1f009876543'

describe('the fingerprint of a machine', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'fingerprint-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const putUuid = (text: string): void => put('sys/class/dmi/id/product_uuid', text)

  it('is the same at every start and in either spelling of the UUID', () => {
    putUuid(`${UUID}\n`)
    const first = machineFingerprint(root)
    putUuid(`${UUID.toUpperCase()}\n`)
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    expect(machineFingerprint(root)).toBe(first)
  })

  it('differs between machines that share a disk image, machine ID included', () => {
    put('etc/machine-id', `${MACHINE_ID}\n`)
    putUuid(UUID)
    const first = machineFingerprint(root)
    putUuid(UUID.replace('4c4c', '4c4d'))
    expect(machineFingerprint(root)).not.toBe(first)
  })

  it('is the machine ID where there is no DMI', () => {
    put('etc/machine-id', `${MACHINE_ID}\n`)
    expect(machineFingerprint(root)).toMatch(/^[0-9a-f]{64}$/)
  })

  it.each([
    '03000200-0400-0500-0006-000700080009',
    '00000000-0000-0000-0000-000000000000',
    'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
  ])('is none where the vendor wrote %s into every board', (uuid) => {
    put('etc/machine-id', `${MACHINE_ID}\n`)
    putUuid(uuid)
    expect(machineFingerprint(root)).toBeNull()
  })

  it.each(['', 'uninitialized', '0'.repeat(32), MACHINE_ID.slice(1)])(
    'is none where the machine ID is %j',
    (text) => {
      put('etc/machine-id', text)
      expect(machineFingerprint(root)).toBeNull()
    },
  )

  it('does not show the ID that it was made from', () => {
    put('etc/machine-id', MACHINE_ID)
    expect(machineFingerprint(root)).not.toContain(MACHINE_ID)
  })
})
