/** Noticing that multicast cannot work on this machine: mDNS itself says nothing, it only finds nobody. */
import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import type { HostProblem } from '../../core/orders.ts'
import { isLoopback } from './addresses.ts'

/** mDNS's own group and port (RFC 6762 §3). */
const GROUP = '224.0.0.251'
const PORT = 5353

const PEERS_HINT = 'or list other machines under muster.discovery.peers'

/**
 * Why mDNS cannot find anybody on this machine; null where it can.
 * @param listening IPs that are listened on, the wildcard resolved.
 */
export async function multicastProblem(listening: readonly string[]): Promise<HostProblem | null> {
  const outward = Object.values(networkInterfaces())
    .flat()
    .some((address) => address !== undefined && !address.internal && address.family === 'IPv4')
  if (!outward) {
    return {
      code: 'network.no-interface',
      severity: 'warning',
      message: 'no network interface with an IPv4 address: mDNS can find nobody',
      hint: `connect the machine, ${PEERS_HINT}`,
    }
  }
  if (listening.every(isLoopback)) {
    return {
      code: 'network.loopback-only',
      severity: 'warning',
      message:
        'only loopback addresses are listened on: others that find this machine by mDNS cannot reach it',
      hint: `listen on an address of the network (muster.listen or --listen), ${PEERS_HINT}`,
    }
  }
  if (await hasRoute()) return null
  return {
    code: 'network.no-multicast-route',
    severity: 'warning',
    message:
      'no route for 224.0.0.0/4 and no default route: mDNS can ask nobody, and nobody finds this machine',
    hint: `add a default route, or \`ip route add 224.0.0.0/4 dev <interface>\`, ${PEERS_HINT}`,
  }
}

/** mDNS's socket could not be opened. */
export function socketProblem(error: Error): HostProblem {
  return {
    code: 'network.no-mdns-socket',
    severity: 'warning',
    message: `mDNS cannot use UDP port ${PORT}: ${error.message}`,
    hint: `find the program that holds the port with \`ss -lunp sport = :${PORT}\`, ${PEERS_HINT}`,
  }
}

/** Asks the kernel, rules and tables included: connecting a datagram socket looks up the route and sends nothing. */
function hasRoute(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const end = (found: boolean): void => {
      socket.close()
      resolve(found)
    }
    socket.once('error', () => end(false))
    socket.connect(PORT, GROUP, (error?: Error) => end(error === undefined || error === null))
  })
}
