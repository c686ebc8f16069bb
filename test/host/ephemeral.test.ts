import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { whyEphemeral } from '../../src/host/ephemeral.ts'

const DISK = '36 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw'
const STATE = '/var/lib/muster'

describe('a state directory', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ephemeral-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const mounts = (...lines: string[]): void => put('proc/self/mountinfo', `${lines.join('\n')}\n`)

  it('on a disk is there after a reboot', () => {
    mounts(DISK, '40 36 0:5 / /run rw - tmpfs tmpfs rw')
    expect(whyEphemeral(STATE, root)).toBeNull()
  })

  it('on a tmpfs is not, and the mount is named', () => {
    mounts(DISK, '40 36 0:5 / /var rw - tmpfs tmpfs rw')
    expect(whyEphemeral(STATE, root)).toBe('/var is a tmpfs')
  })

  it('is judged by the nearest mount above it, not by a name that merely begins alike', () => {
    mounts(
      DISK,
      '40 36 0:5 / /var rw - tmpfs tmpfs rw',
      '41 40 8:2 / /var/lib rw - ext4 /dev/sda2 rw',
      '42 41 0:6 / /var/lib/muster-cache rw - tmpfs tmpfs rw',
    )
    expect(whyEphemeral(STATE, root)).toBeNull()
  })

  it('is judged by the last of several mounts at one place', () => {
    mounts(DISK, '40 36 8:2 / /var rw - ext4 /dev/sda2 rw', '41 40 0:5 / /var rw - tmpfs tmpfs rw')
    expect(whyEphemeral(STATE, root)).toBe('/var is a tmpfs')
  })

  it('on an overlay is as durable as where its changes are kept', () => {
    const overlay = '36 1 0:9 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/up/upper,workdir=/up/work'
    mounts(overlay, '40 36 0:5 / /up rw - tmpfs tmpfs rw')
    expect(whyEphemeral(STATE, root)).toBe('/ is an overlay whose changes are kept in a tmpfs')
    mounts(overlay, '40 36 8:2 / /up rw - ext4 /dev/sda2 rw')
    expect(whyEphemeral(STATE, root)).toBeNull()
  })

  it('in a container counts as durable: what lies beneath is not to be seen from there', () => {
    mounts('36 1 0:9 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/var/lib/docker/x/diff,workdir=/w')
    expect(whyEphemeral(STATE, root)).toBeNull()
  })

  it('on the overlay of a live system is gone after it', () => {
    mounts('36 1 0:9 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/cow/up,workdir=/cow/work')
    put('proc/cmdline', 'BOOT_IMAGE=/vmlinuz boot=live quiet\n')
    expect(whyEphemeral(STATE, root)).toBe('/ is the overlay of a live system')
  })

  it('of a Kairos recovery system is not used, even where a disk is mounted', () => {
    mounts(DISK)
    put('run/cos/recovery_mode', '')
    expect(whyEphemeral(STATE, root)).toBe('this is the recovery system')
  })

  it('is found through blanks in the name of a mount', () => {
    mounts(DISK, '40 36 0:5 / /my\\040data rw - tmpfs tmpfs rw')
    expect(whyEphemeral('/my data/state', root)).toBe('/my data is a tmpfs')
  })

  it('of this very machine is judged without a fault', () => {
    expect(whyEphemeral('/proc')).toBeNull()
    expect(whyEphemeral('/dev/shm')).toMatch(/tmpfs/)
  })
})
