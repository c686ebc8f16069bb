/** What the end of k3s means for people. */
import { assertNever } from '../../../core/ids.ts'
import type { HostProblem } from '../../../core/orders.ts'
import { noSpace } from '../problems.ts'
import { FAILURES_SHOWN } from '../timing.ts'
import type { K3sOrder } from './configuration.ts'
import { flagIn, type LastWords } from './k3s-log.ts'
import { API_PORT, type Places } from './places.ts'
import {
  badArgument,
  caMismatch,
  clockSkew,
  duplicateName,
  interfaceMissing,
  keepsFailing,
  learnerWaits,
  noCgroups,
  nodePassword,
  portTaken,
  serverUnreachable,
  tokenMismatch,
  unknownFlag,
} from './problems.ts'

/** @returns null while it is not worth saying */
export function failureOf(
  { cause, text }: LastWords,
  how: string,
  failures: number,
  order: K3sOrder | null,
  places: Places,
): HostProblem | null {
  const name = order?.self.name ?? 'this machine'
  switch (cause) {
    case 'unknown-flag':
      return unknownFlag(flagIn(text))
    case 'bad-argument':
      return badArgument(text)
    case 'ca-mismatch':
      return caMismatch(text)
    case 'token-mismatch':
      return tokenMismatch()
    case 'node-password':
      return nodePassword(name)
    case 'duplicate-name':
      return duplicateName(name)
    case 'clock':
      return clockSkew(text)
    case 'port-taken':
      return portTaken('this machine', Number(/:(\d+): bind/.exec(text)?.[1] ?? API_PORT)).problem
    case 'interface-missing':
      return interfaceMissing(text)
    case 'no-cgroups':
      return noCgroups(text)
    case 'no-space':
      return noSpace(text).problem
    case 'learner-waits':
      return learnerWaits()
    case 'removed':
      return null
    case 'unreachable':
      return serverUnreachable(order?.members.map(({ address }) => address) ?? [], text)
    case 'other':
      return failures < FAILURES_SHOWN ? null : keepsFailing(failures, how, text, places.log)
    default:
      return assertNever(cause)
  }
}
