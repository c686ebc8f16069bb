/**
 * Finding peers on the LAN by mDNS, asking often in the beginning and rarely later: every query makes every
 * peer answer to everyone, which at ten nodes is five kilobytes a time. And noticing when multicast cannot
 * work at all, since mDNS itself says nothing then.
 */

import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import type { PeerDiscovery } from '@libp2p/interface'
import { type MulticastDNSComponents, mdns } from '@libp2p/mdns'
import type { HostProblem } from '../../core/orders.ts'

/** Longer than any daemon waits: the queries' rhythm is ours, see {@link startAsking}. */
const NEVER_MS = 2 ** 31 - 1
const FIRST_PAUSE_MS = 1_000
const LAST_PAUSE_MS = 300_000
/** Alone, a node keeps asking at this pace: nobody else's traffic is disturbed by it. */
const LONELY_PAUSE_MS = 5_000

export interface Restartable {
  start(): Promise<void>
  stop(): Promise<void>
}

/** The mDNS service, which asks once each time it is started. */
export function multicastDiscovery(tag: string): (components: MulticastDNSComponents) => Restartable {
  const make = mdns({ serviceTag: tag, interval: NEVER_MS })
  // libp2p starts and stops whatever has these methods; its type for discovery does not name them.
  return (components) => make(components) as PeerDiscovery & Restartable
}

/** Asks again with growing pauses; while nobody is connected, at a steady pace. */
export function startAsking(service: Restartable, isLonely: () => boolean): () => void {
  let pause = FIRST_PAUSE_MS
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  const ask = async (): Promise<void> => {
    // libp2p's mDNS has no call for "ask now"; starting does it, and reopening the socket also picks up
    // interfaces that came since.
    await service.stop()
    if (stopped) return
    await service.start()
    pause = isLonely() ? Math.min(pause * 2, LONELY_PAUSE_MS) : Math.min(pause * 2, LAST_PAUSE_MS)
    plan()
  }
  const plan = (): void => {
    timer = setTimeout(() => void ask().catch(plan), pause * (0.75 + Math.random() / 2))
  }
  plan()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

/** 224.0.0.0/4 as the kernel's little-endian hexadecimal has it in /proc/net/route. */
const MULTICAST_NETWORK = 0xe0

/** Why mDNS cannot find anybody on this machine; null where it can. */
export async function multicastProblem(routeFile: string = '/proc/net/route'): Promise<HostProblem | null> {
  const outward = Object.values(networkInterfaces())
    .flat()
    .some((address) => address !== undefined && !address.internal && address.family === 'IPv4')
  if (!outward) {
    return {
      code: 'network.no-interface',
      severity: 'warning',
      message: 'no network interface with an IPv4 address: mDNS can find nobody',
      hint: 'connect the machine, or list other machines under muster.discovery.peers',
    }
  }
  if (await hasMulticastRoute(routeFile)) return null
  return {
    code: 'network.no-multicast-route',
    severity: 'warning',
    message: 'no route for 224.0.0.0/4 and no default route: mDNS sends nothing and finds nobody',
    hint: 'add a default route, or `ip route add 224.0.0.0/4 dev <interface>`, or list peers under muster.discovery.peers',
  }
}

async function hasMulticastRoute(routeFile: string): Promise<boolean> {
  const text = await readFile(routeFile, 'utf8').catch(() => '')
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .some(([, destination = '', , flags = '0']) => {
      const isUp = (Number.parseInt(flags, 16) & 1) === 1
      const firstOctet = Number.parseInt(destination.slice(6, 8), 16)
      return isUp && (destination === '00000000' || (firstOctet & 0xf0) === MULTICAST_NETWORK)
    })
}
