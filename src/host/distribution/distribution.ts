/**
 * The port between the daemon and what runs on top of the mesh. Which kind that is, the plan says with its order,
 * not this machine's file; of kind `none` nothing runs: what ran before is ended, and its data stays.
 */
import { resolve } from 'node:path'
import type { LogFields } from '../../core/events.ts'
import type { DistributionFacts, DistributionOrder } from '../../core/orders.ts'
import type { DistributionKind } from '../../core/settings.ts'
import { EtcdDistribution } from './etcd.ts'
import { K3sDistribution, type K3sOptions } from './k3s/driver.ts'

/** Carries out the latest order in the background, again and again, and reports what is true. */
export interface Distribution {
  /** Takes the order and returns at once; the latest wins, and an equal one starts nothing. */
  apply(order: DistributionOrder): void
  /** At once what the disk says, soon afterwards also what runs; see `onFacts`. */
  facts(): DistributionFacts
  /**
   * The administrator's kubeconfig for a machine elsewhere.
   * @param address `lan`, `mesh`, `vip`, or a name or address that reaches a server
   * @throws DatastoreError where there is none
   */
  kubeconfig(address: string): Promise<string>
  /**
   * Ends the work, and what runs, gracefully; `keep` (default false) leaves it running for the next daemon,
   * which takes it over.
   */
  stop(keep?: boolean): Promise<void>
}

export interface DistributionOptions {
  /** What the plan says, else this machine's file: whose data is looked for before there is an order. Default: etcd. */
  readonly expected?: DistributionKind
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
  /** What only k3s needs; without it, an order of that kind is not carried out. */
  readonly k3s?: Omit<K3sOptions, 'runDirectory' | 'onFacts' | 'log' | 'count'>
  /** Called when the facts changed, never from within `apply`. */
  onFacts(facts: DistributionFacts): void
  log(level: 'debug' | 'info' | 'warn', event: string, fields: LogFields): void
  count(counter: string): void
}

/** Never throws for what a person can mend: that is a problem in the facts. */
export function startDistribution(options: DistributionOptions): Distribution {
  return new ByKind(options)
}

type Kind = 'etcd' | 'k3s'

/** The driver of the kind that is ordered: the next one begins when the one before has ended what ran. */
class ByKind implements Distribution {
  readonly #options: DistributionOptions
  #kind: Kind
  #driver: Distribution
  #order: DistributionOrder | null = null
  #change: Promise<void> | null = null
  #isStopped = false

  constructor(options: DistributionOptions) {
    this.#options = options
    this.#kind = options.expected === 'k3s' && options.k3s !== undefined ? 'k3s' : 'etcd'
    this.#driver = this.#start(this.#kind)
  }

  apply(order: DistributionOrder): void {
    this.#order = order
    if (this.#change !== null) return
    const kind = order.kind === 'none' ? this.#kind : order.kind
    if (kind === this.#kind || (kind === 'k3s' && this.#options.k3s === undefined)) this.#driver.apply(order)
    else this.#change = this.#changeTo(kind)
  }

  facts(): DistributionFacts {
    return this.#driver.facts()
  }

  kubeconfig(address: string): Promise<string> {
    return this.#driver.kubeconfig(address)
  }

  async stop(keep?: boolean): Promise<void> {
    this.#isStopped = true
    await this.#change
    await this.#driver.stop(keep)
  }

  async #changeTo(kind: Kind): Promise<void> {
    await this.#driver.stop()
    this.#kind = kind
    this.#driver = this.#start(kind)
    this.#change = null
    if (this.#isStopped) return
    this.#options.onFacts(this.#driver.facts())
    if (this.#order !== null) this.apply(this.#order)
  }

  #start(kind: Kind): Distribution {
    const { k3s, runDirectory, onFacts, log, count } = this.#options
    const report = {
      // Of a driver that has been replaced nobody wants to hear any more.
      onFacts: (facts: DistributionFacts) => {
        if (this.#kind === kind && this.#change === null) onFacts(facts)
      },
      log,
      count,
    }
    if (kind === 'k3s' && k3s !== undefined)
      return new K3sDistribution({ ...k3s, ...report, runDirectory: resolve(runDirectory) })
    return new EtcdDistribution({
      ...report,
      directory: resolve(this.#options.directory),
      runDirectory: resolve(runDirectory),
      etcdBinary: this.#options.etcdBinary ?? '/usr/bin/etcd',
      clientPort: this.#options.clientPort ?? 2379,
      peerPort: this.#options.peerPort ?? 2380,
    })
  }
}
