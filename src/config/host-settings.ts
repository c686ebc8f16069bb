/** What only this machine's daemon needs to know: flags over environment over files over defaults. */
import { resolve } from 'node:path'
import type { HostProblem } from '../core/orders.ts'
import type { Secret } from '../core/secret.ts'
import { listenFault } from './addresses.ts'
import { DISTRIBUTION_DEFAULTS } from './distribution.ts'
import { readExternalDb } from './external-db.ts'
import { type ConfigFault, NOWHERE, shown } from './faults.ts'
import { isKairos } from './files.ts'
import type { KairosReading } from './kairos-blocks.ts'
import type { Merged } from './merged.ts'
import { DEFAULTS, INTERFACE_PATTERN, SOCKET_PATH_MAX } from './schema.ts'

export interface Flags {
  readonly state?: string
  readonly socket?: string
  readonly interfaceName?: string
  readonly listen?: readonly string[]
}

export interface HostSettings {
  /** Absolute. */
  readonly stateDirectory: string
  /** Absolute. */
  readonly socketPath: string
  readonly interfaceName: string
  /** As people write them, checked. */
  readonly listen: readonly string[]
  /** UDP. */
  readonly meshPort: number
  readonly discovery: {
    readonly mdns: boolean
    readonly dht: boolean
    /** As people write them, checked. */
    readonly peers: readonly string[]
  }
  readonly k3s: LocalK3s
}

/** What of k3s is this machine's own, and never in the plan. */
export interface LocalK3s {
  /** Absolute: a binary that is there already. Null: the one in the search path, or what the plan names. */
  readonly bin: string | null
  /** Absolute: where the binary is put. Null: in the state directory. */
  readonly binDirectory: string | null
  /** Absolute. */
  readonly dataDirectory: string
  /** Commands for the shell, in order, before k3s is started for the first time and after it is ready. */
  readonly hooks: { readonly before: readonly string[]; readonly after: readonly string[] }
  /** Where the datastore is, where that is somewhere else. */
  readonly externalDb: Secret<string> | null
}

export interface HostInputs {
  readonly flags: Flags
  readonly env: Readonly<Record<string, string | undefined>>
  readonly root: string
  readonly muster: Merged
  readonly kairos: KairosReading
  readonly faults: ConfigFault[]
  readonly warnings: HostProblem[]
}

export function readHostSettings(inputs: HostInputs): HostSettings {
  const { flags, env, root, muster, kairos, faults } = inputs
  const { vpn, discovery, state, socket, listen, distribution } = muster.values
  const socketPath = resolve(flags.socket ?? said(env.MUSTER_SOCKET) ?? socket ?? DEFAULTS.socket)
  const fault = (key: string, message: string, hint: string): void => {
    faults.push({ ...NOWHERE, key, message, hint })
  }
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_MAX) {
    const key = flags.socket === undefined ? 'MUSTER_SOCKET' : '--socket'
    fault(
      key,
      `must not be longer than ${SOCKET_PATH_MAX} bytes`,
      'take a shorter path, such as /run/muster.sock',
    )
  }
  if (flags.interfaceName !== undefined && !INTERFACE_PATTERN.test(flags.interfaceName)) {
    const message = `cannot be the name of an interface: ${shown(flags.interfaceName)}`
    fault('--interface', message, 'use 1 to 15 letters, digits, _, . and -')
  }
  for (const address of flags.listen ?? []) {
    const message = listenFault(address)
    if (message !== null) fault('--listen', message, 'write IP or IP:PORT, such as 0.0.0.0')
  }
  const stateDefault = isKairos(root) ? DEFAULTS.stateOnKairos : DEFAULTS.state
  return {
    stateDirectory: resolve(flags.state ?? said(env.MUSTER_STATE) ?? state ?? stateDefault),
    socketPath,
    interfaceName: flags.interfaceName ?? vpn?.interface ?? DEFAULTS.vpn.interface,
    listen:
      flags.listen !== undefined && flags.listen.length > 0 ? flags.listen : (listen ?? DEFAULTS.listen),
    meshPort: vpn?.port ?? DEFAULTS.vpn.port,
    discovery: {
      mdns: discovery?.mdns ?? DEFAULTS.discovery.mdns,
      dht: discovery?.dht ?? kairos.draft.dht ?? DEFAULTS.discovery.dht,
      peers: discovery?.peers ?? DEFAULTS.discovery.peers,
    },
    k3s: {
      bin: distribution?.bin ?? null,
      binDirectory: distribution?.bin_dir ?? null,
      dataDirectory: distribution?.data_dir ?? DISTRIBUTION_DEFAULTS.dataDirectory,
      hooks: { before: distribution?.hooks?.before ?? [], after: distribution?.hooks?.after ?? [] },
      externalDb: readExternalDb(inputs),
    },
  }
}

/** A variable that is set to nothing is not set: service managers write such. */
export function said(variable: string | undefined): string | undefined {
  return variable === '' ? undefined : variable
}
