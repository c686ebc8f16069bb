/** Everything that can be known to go wrong before k3s is started, or is ended to be started with other settings. */
import { reservedFlag, reservedVariable } from './arguments.ts'
import type { K3sOrder } from './configuration.ts'
import { checkDropIns } from './drop-ins.ts'
import type { Machine } from './machine.ts'
import type { Places } from './places.ts'
import { noAgentSecret, noEndpoint, rangesOverlap, reservedArgument } from './problems.ts'
import { rangeOverlap } from './ranges.ts'

/** @throws DatastoreError for the first of them */
export async function checkOrder(
  order: K3sOrder,
  machine: Machine,
  places: Places,
  endpoint: string | null,
): Promise<void> {
  const { role, settings, self, servers, agentSecret } = order
  const { args, env } = settings[role]
  const where = role === 'server' ? 'k3s' : 'k3s-agent'
  const flag = reservedFlag(args)
  if (flag !== null) throw reservedArgument(`--${flag}`, `${where}.args`)
  const variable = reservedVariable(env)
  if (variable !== null) throw reservedArgument(variable, `${where}.env`)
  await checkDropIns(places.config)
  if (role === 'agent' && agentSecret === null) throw noAgentSecret()
  if (role === 'server' && settings.external && endpoint === null) throw noEndpoint()
  const overlap = rangeOverlap(settings.server.args, machine.ranges, [self, ...servers])
  if (overlap !== null) throw rangesOverlap(overlap)
}
