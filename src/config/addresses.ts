/** Addresses in the configuration: read by the network's own rules, so that what passes here is dialled there. */
import { ipOf, parseAddress } from '../host/network/addresses.ts'
import { NetworkError } from '../host/network/errors.ts'
import { shown } from './faults.ts'

/** What is wrong with an address to dial, null for nothing. */
export function peerFault(text: string): string | null {
  try {
    parseAddress(text)
    return null
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
    return `is no address: ${shown(text)}`
  }
}

/** What is wrong with an address to listen on, null for nothing. */
export function listenFault(text: string): string | null {
  const fault = peerFault(text)
  if (fault !== null) return fault
  return ipOf(parseAddress(text)) === null
    ? `must be an IP address of this machine, not ${shown(text)}`
    : null
}
