/** What the supervisor must know of etcd: how to find and start it, and what its end means. */
import { assertNever } from '../../core/ids.ts'
import type { HostProblem } from '../../core/orders.ts'
import type { EtcdLog, LastWords } from './etcd-log.ts'
import { findEtcd, startEtcd } from './etcd-process.ts'
import { addressMissing, keepsFailing, noSpace, portTaken } from './problems.ts'
import type { Supervised } from './supervisor.ts'
import { FAILURES_SHOWN } from './timing.ts'

export interface EtcdPlace {
  readonly etcdBinary: string
  /** The etcd data directory: what makes a process ours. */
  readonly dataDirectory: string
  readonly clientPort: number
  readonly peerPort: number
  readonly log: EtcdLog
}

export function supervisedEtcd(place: EtcdPlace, caller: Pick<Supervised, 'onExit' | 'note'>): Supervised {
  const { etcdBinary, dataDirectory, log } = place
  return {
    ...caller,
    find: (onExit) => findEtcd(etcdBinary, dataDirectory, log, onExit),
    start: (args, onExit) => startEtcd(etcdBinary, args, log, onExit),
    autopsy(ended, failures) {
      const words = log.lastWords(ended.logOffset)
      return {
        said: words.text,
        wasRemoved: words.cause === 'removed',
        failure: failureOf(place, ended.howItEnded(), words, failures),
      }
    },
  }
}

function failureOf(
  { clientPort, peerPort }: EtcdPlace,
  how: string,
  words: LastWords,
  failures: number,
): HostProblem | null {
  switch (words.cause) {
    case 'port-taken':
      return portTaken('this machine', words.text.includes(`:${clientPort}`) ? clientPort : peerPort).problem
    case 'address-missing':
      return addressMissing(/tcp (\S+):\d+/.exec(words.text)?.[1] ?? 'it was given').problem
    case 'no-space':
      return noSpace(words.text).problem
    case 'removed':
      return null
    case 'other':
      return failures < FAILURES_SHOWN ? null : keepsFailing(failures, how, words.text).problem
    default:
      return assertNever(words.cause)
  }
}
