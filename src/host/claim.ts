/** What a machine says of itself at the start: name, keys, size. Others believe none of it beyond its shape. */
import { availableParallelism, hostname, totalmem } from 'node:os'
import type { Claim } from '../core/record.ts'
import type { Settings } from '../core/settings.ts'
import type { Identity } from './identity.ts'

export function machineClaim(identity: Identity, settings: Settings): Claim {
  return {
    name: nodeName(hostname()),
    sealKey: identity.sealKey.publicKey,
    wireguardKey: identity.wireguard.publicKey,
    lanAddress: null,
    serverPreference: settings.serverPreference,
    cpus: Math.max(1, availableParallelism()),
    memoryMiB: Math.max(1, Math.round(totalmem() / 2 ** 20)),
  }
}

/** The first label of the host name as a DNS label; the core makes it unique where another has it already. */
export function nodeName(host: string): string {
  const label = host
    .split('.')[0]
    ?.toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
  return label === undefined || label === '' || label === 'localhost' ? 'node' : label
}
