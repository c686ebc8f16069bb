/**
 * What tells this machine from another with a copy of its disk: the DMI product UUID, else the machine ID. Some
 * vendors write the same UUID into every board: that says nothing, and no check is better than a false one.
 */

import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digest } from '../core/ids.ts'

const DMI_FILE = 'sys/class/dmi/id/product_uuid'
const MACHINE_ID_FILES = ['etc/machine-id', 'var/lib/dbus/machine-id']

/** Seen on many boards: AMI's and Intel's samples, and what people fill in. */
const VENDOR_DEFAULTS: ReadonlySet<string> = new Set([
  '03000200-0400-0500-0006-000700080009',
  '00020003-0004-0005-0006-000700080009',
  '12345678-1234-5678-90ab-cddeefaabbcc',
  'fefefefe-fefe-fefe-fefe-fefefefefefe',
])

/** The machine's fingerprint; null where it has no ID of its own. `root` is `/`, elsewhere in tests. */
export function machineFingerprint(root = '/'): Digest | null {
  const dmi = readLine(join(root, DMI_FILE))?.toLowerCase() ?? null
  if (dmi !== null && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(dmi)) {
    return isDefault(dmi) ? null : fingerprintOf('dmi', dmi)
  }
  for (const file of MACHINE_ID_FILES) {
    const id = readLine(join(root, file))
    if (id !== null && /^[0-9a-f]{32}$/.test(id) && !isDefault(id)) return fingerprintOf('machine-id', id)
  }
  return null
}

const fingerprintOf = (source: string, id: string): Digest =>
  digest(hash('sha256', `muster fingerprint ${source} ${id}`, 'hex'))

/** One digit over and over is no ID. */
const isDefault = (id: string): boolean =>
  VENDOR_DEFAULTS.has(id) || new Set(id.replaceAll('-', '')).size === 1

function readLine(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}
