/**
 * The port between the daemon and what runs on top of the mesh. Which kind that is, the plan says with its order,
 * not this machine's file; of kind `none` nothing runs: what ran before is ended, and its data stays.
 */
import { resolve } from 'node:path'
import type { LogFields } from '../../core/events.ts'
import type { DistributionFacts, DistributionOrder } from '../../core/orders.ts'
import { EtcdDistribution } from './etcd.ts'

/** Carries out the latest order in the background, again and again, and reports what is true. */
export interface Distribution {
  /** Takes the order and returns at once; the latest wins, and an equal one starts nothing. */
  apply(order: DistributionOrder): void
  /** At once what the disk says, soon afterwards also what runs; see `onFacts`. */
  facts(): DistributionFacts
  /**
   * Ends the work, and what runs, gracefully; `keep` (default false) leaves it running for the next daemon,
   * which takes it over.
   */
  stop(keep?: boolean): Promise<void>
}

export interface DistributionOptions {
  /** Durable, this machine's own: /var/lib/muster/etcd. */
  readonly directory: string
  /** Keys lie in its subdirectory `etcd` (0700): best a tmpfs such as /run/muster. The path must not change. */
  readonly runDirectory: string
  /** Default: /usr/bin/etcd, where Debian's package puts it. */
  readonly etcdBinary?: string
  /** TCP, the same on every member; default 2379. */
  readonly clientPort?: number
  /** TCP, the same on every member; default 2380. */
  readonly peerPort?: number
  /** Called when the facts changed, never from within `apply`. */
  onFacts(facts: DistributionFacts): void
  log(level: 'debug' | 'info' | 'warn', event: string, fields: LogFields): void
  count(counter: string): void
}

/** Never throws for what a person can mend: that is a problem in the facts. */
export function startDistribution(options: DistributionOptions): Distribution {
  return new EtcdDistribution({
    ...options,
    directory: resolve(options.directory),
    runDirectory: resolve(options.runDirectory),
    etcdBinary: options.etcdBinary ?? '/usr/bin/etcd',
    clientPort: options.clientPort ?? 2379,
    peerPort: options.peerPort ?? 2380,
  })
}
