/**
 * What the demo plays on: machines in namespaces where we are root and there is TUN, else addresses of the
 * loopback network. Both can start hosts, kill them, cut one off and bring it back, each as it can.
 */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { configuration, newToken } from '../configuration.ts'
import type { Host } from '../host.ts'
import { installK3s } from '../k3s/install.ts'
import { WITHOUT_KUBELET } from '../k3s/without-kubelet.ts'
import { type KeyValue, keyValue } from '../key-value.ts'
import { createLab } from '../lab.ts'
import { createLoopbackLab, loopbackAddress } from '../loopback.ts'
import { SHARED_PATH } from '../machine.ts'
import { hasTool } from '../packages.ts'
import type { Program } from '../program.ts'
import { configMaps } from './config-maps.ts'
import type { DemoK3s } from './options.ts'

export interface Ground {
  readonly kind: 'namespaces' | 'loopback'
  readonly distribution: 'k3s' | 'etcd' | 'none'
  readonly hosts: readonly Host[]
  /** What this ground cannot show. */
  readonly notChecked: readonly string[]
  /** Reads and writes through the datastore's members, or through the API of k3s. */
  readonly keys: KeyValue
  /** The whole machine dies. */
  kill(host: Host): Promise<void>
  /** After `kill`: the machine is back, its daemon not yet started. */
  revive(host: Host): Promise<void>
  cutOff(host: Host): Promise<void>
  heal(host: Host): Promise<void>
  enter(host: Host): string
  keep(): void
  destroy(): Promise<void>
}

/** Why namespaces are not possible here; null where they are. */
export function whyNoNamespaces(): string | null {
  if (process.getuid?.() !== 0) return 'not root'
  try {
    closeSync(openSync('/dev/net/tun', 'r+'))
    return null
  } catch {
    return 'no TUN device (/dev/net/tun)'
  }
}

export async function namespaces(program: Program, nodes: number, k3s: DemoK3s | null): Promise<Ground> {
  const token = await newToken(program, nodes, 'demo')
  const config =
    k3s === null
      ? configuration({ token, distribution: 'etcd' })
      : configuration({ token, distribution: 'k3s', settings: k3sSettings(k3s) })
  const ownDirectories = k3s === null ? [] : ['/etc', '/var/lib']
  const lab = await createLab({ name: 'demo', hosts: nodes, config, program, ownDirectories })
  if (k3s?.binary === null) await installK3s(join(lab.directory, 'shared/k3s'), { version: 'v1.33.4+k3s1' })
  return {
    kind: 'namespaces',
    distribution: k3s === null ? 'etcd' : 'k3s',
    hosts: lab.hosts,
    notChecked: k3s === null ? [] : k3sNotChecked(k3s),
    keys: k3s === null ? keyValue(() => '/run/muster.run/etcd') : configMaps,
    kill: (host) => lab.powerOff(host),
    revive: (host) => lab.powerOn(host),
    cutOff: (host) =>
      lab.cut(
        [host],
        lab.hosts.filter((other) => other !== host),
      ),
    heal: () => lab.heal(),
    enter: (host) => lab.enter(host),
    keep: () => lab.keep(),
    destroy: () => lab.destroy(),
  }
}

/** The real one runs without kubelets: few machines can hold containers in namespaces of their own. */
function k3sSettings({ binary }: DemoK3s): Readonly<Record<string, unknown>> {
  return binary === null ? { bin: `${SHARED_PATH}/k3s` } : { bin: binary, args: [...WITHOUT_KUBELET] }
}

const k3sNotChecked = ({ binary }: DemoK3s): string[] =>
  binary === null
    ? ['k3s itself: a double takes its place (--k3s-bin PATH takes the real one)']
    : ['kubelets, containers and the network of pods: servers run with --disable-agent']

/** Loopback has no multicast, so the hosts name each other; the mesh needs interfaces that only root makes. */
export async function loopback(program: Program, nodes: number): Promise<Ground> {
  const distribution = hasTool('etcd') && hasTool('etcdctl') ? 'etcd' : 'none'
  const token = await newToken(program, nodes, 'demo')
  const peers = Array.from({ length: nodes }, (_, i) => loopbackAddress(i + 1))
  const config = configuration({
    token,
    distribution,
    vpn: { mode: 'none' },
    discovery: { mdns: false, peers },
  })
  const lab = createLoopbackLab({ name: 'demo', hosts: nodes, config, program })
  return {
    kind: 'loopback',
    distribution,
    hosts: lab.hosts,
    notChecked: [
      'WireGuard mesh and mesh addresses (vpn.mode none)',
      'discovery by mDNS (loopback has no multicast)',
      'machines with names and identities of their own',
      'cuts in the network (loopback has no cables)',
      ...(distribution === 'none' ? ['etcd (etcd-server and etcd-client are not installed)'] : []),
    ],
    keys: keyValue((host) => host.place.socket().replace(/\.sock$/, '.run/etcd')),
    kill: (host) => lab.killAll(host),
    revive: async () => undefined,
    cutOff: async (host) => host.pause(),
    heal: async (host) => host.resume(),
    enter: (host) => lab.enter(host),
    keep: () => lab.keep(),
    destroy: () => lab.destroy(),
  }
}
