/** Why this machine cannot listen, for people: libp2p says it in one long text. */
import type { Multiaddr } from '@multiformats/multiaddr'
import { formatAddress, portOf } from './addresses.ts'
import { NetworkError } from './errors.ts'

export function listenError(error: unknown, listen: readonly Multiaddr[]): NetworkError {
  const text = error instanceof Error ? error.message : String(error)
  // Its text names every address that failed with its own reason below.
  const failed = listen.filter((address) => text.includes(`  ${address.toString()}: `))
  const places = (failed.length > 0 ? failed : listen).map(formatAddress).join(', ')
  if (text.includes('EADDRINUSE')) {
    const ports = [...new Set((failed.length > 0 ? failed : listen).map(portOf))].join(', ')
    return new NetworkError(
      'MUSTER_E_PORT_TAKEN',
      `cannot listen on ${places}: TCP port ${ports} is taken by another program`,
      `is muster running already? \`ss -ltnp sport = :${ports}\` names the program; else choose another port under muster.listen or with --listen`,
    )
  }
  const why = text.includes('EADDRNOTAVAIL')
    ? 'this machine does not have that address'
    : text.includes('EACCES')
      ? 'only root may use that port'
      : text
  return new NetworkError(
    'MUSTER_E_LISTEN',
    `cannot listen on ${places}: ${why}`,
    'check muster.listen and --listen: an address of this machine, and a port from 1024',
  )
}
