/** What a person should know of this machine's network, looked over now and then; and its addresses likewise. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { HostProblem } from '../../core/orders.ts'
import { ipOf } from './addresses.ts'
import type { Multicast } from './multicast.ts'
import { multicastProblem, socketProblem } from './multicast-check.ts'
import type { NetworkPorts } from './ports.ts'
import type { Failing, Redial } from './redial.ts'

/** A look costs less than a millisecond; addresses that come or go are known to others this much later. */
const LOOK_MS = 10_000
/** A written address that fails for less is just a machine that boots later. */
const FAILING_NOTICE_MS = 10_000
/** Addresses named in one message. */
const NAMED_MAX = 8

export interface Problems {
  all(): HostProblem[]
  /** Looks now. */
  look(): void
  stop(): void
}

interface Sight {
  /** Own dialable addresses. */
  readonly addresses: () => Multiaddr[]
  readonly multicast: Multicast | null
  readonly redial: Pick<Redial, 'failing'>
  readonly onAddresses: NetworkPorts['onAddresses']
}

export function watchProblems({ addresses, multicast, redial, onAddresses }: Sight): Problems {
  let told: string | null = null
  let found: HostProblem | null = null
  let stopped = false

  const look = async (): Promise<void> => {
    const own = addresses()
    const text = own.map(String).sort().join()
    if (text !== told) {
      const isFirst = told === null
      told = text
      onAddresses(own)
      if (!isFirst) await multicast?.renew()
    }
    if (multicast === null) return
    const error = multicast.error()
    const ips = own.map(ipOf).filter((ip) => ip !== null)
    found = error === null ? await multicastProblem(ips) : socketProblem(error)
  }
  const lookSafely = (): void => {
    // An interface that goes while it is looked at: the next look sees it gone.
    if (!stopped) look().catch(() => undefined)
  }
  const timer = setInterval(lookSafely, LOOK_MS)

  return {
    all: () => [...(found === null ? [] : [found]), ...peerProblems(redial.failing())],
    look: lookSafely,
    stop: () => {
      stopped = true
      clearInterval(timer)
    },
  }
}

function peerProblems(failing: readonly Failing[]): HostProblem[] {
  const isOld = ({ since }: Failing): boolean => Date.now() - since.getTime() > FAILING_NOTICE_MS
  const refused = failing.filter(({ failure }) => failure.kind === 'refused')
  const silent = failing.filter((target) => target.failure.kind !== 'refused' && isOld(target))
  const problems: HostProblem[] = []
  if (refused.length > 0) {
    problems.push({
      code: 'network.peer-refused',
      severity: 'warning',
      message: `answers, but is not of this network: ${listed(refused)}`,
      hint: 'give that machine the same token as this one, or correct the address under muster.discovery.peers',
    })
  }
  if (silent.length > 0) {
    problems.push({
      code: 'network.peer-unreachable',
      severity: 'warning',
      message: `cannot be reached: ${listed(silent)}`,
      hint: 'check that muster runs there, that the port is open, and the address under muster.discovery.peers',
    })
  }
  return problems
}

function listed(failing: readonly Failing[]): string {
  const named = failing
    .slice(0, NAMED_MAX)
    .map(({ written, failure, since }) => `${written} (${failure.text}, since ${since.toISOString()})`)
  const more = failing.length - named.length
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ')
}
