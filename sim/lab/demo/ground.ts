/**
 * What the demo plays on: machines in namespaces where we are root and there is TUN, else addresses of the
 * loopback network. Both can start hosts, kill them, cut one off and bring it back, each as it can.
 */
import { closeSync, openSync } from 'node:fs'
import { configuration, newToken } from '../configuration.ts'
import type { Host } from '../host.ts'
import { createLab } from '../lab.ts'
import { createLoopbackLab, loopbackAddress } from '../loopback.ts'
import { hasTool } from '../packages.ts'
import type { Program } from '../program.ts'

export interface Ground {
  readonly kind: 'namespaces' | 'loopback'
  readonly distribution: 'etcd' | 'none'
  readonly hosts: readonly Host[]
  /** What this ground cannot show. */
  readonly notChecked: readonly string[]
  /** Directory of an etcd client's credentials, as commands on the host see it: the driver makes them there. */
  credentials(host: Host): string
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

export async function namespaces(program: Program, nodes: number): Promise<Ground> {
  const token = await newToken(program, nodes, 'demo')
  const config = configuration({ token, distribution: 'etcd' })
  const lab = await createLab({ name: 'demo', hosts: nodes, config, program })
  return {
    kind: 'namespaces',
    distribution: 'etcd',
    hosts: lab.hosts,
    notChecked: [],
    credentials: () => '/run/muster.run/etcd',
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
    credentials: (host) => host.place.socket().replace(/\.sock$/, '.run/etcd'),
    kill: (host) => lab.killAll(host),
    revive: async () => undefined,
    cutOff: async (host) => host.pause(),
    heal: async (host) => host.resume(),
    enter: (host) => lab.enter(host),
    keep: () => lab.keep(),
    destroy: () => lab.destroy(),
  }
}
