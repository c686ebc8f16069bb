/** What only this machine's daemon needs to know: flags over environment over files over defaults. */
import { resolve } from 'node:path'
import { listenFault } from './addresses.ts'
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
}

export interface HostInputs {
  readonly flags: Flags
  readonly env: Readonly<Record<string, string | undefined>>
  readonly root: string
  readonly muster: Merged
  readonly kairos: KairosReading
  readonly faults: ConfigFault[]
}

export function readHostSettings({ flags, env, root, muster, kairos, faults }: HostInputs): HostSettings {
  const { vpn, discovery, state, socket, listen } = muster.values
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
  }
}

/** A variable that is set to nothing is not set: service managers write such. */
export function said(variable: string | undefined): string | undefined {
  return variable === '' ? undefined : variable
}
