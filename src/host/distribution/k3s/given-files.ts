/** The files that k3s is given by an order: configuration, tokens, kube-vip. */
import type { HostProblem } from '../../../core/orders.ts'
import { type Configuration, configurationText, HEADER, type K3sOrder } from './configuration.ts'
import { besideName, contentOf, keepFile, moveForeignAside } from './files.ts'
import { keepKubevip } from './kubevip.ts'
import type { Machine } from './machine.ts'
import type { Places } from './places.ts'
import { setAside } from './problems.ts'
import { agentPassword, pinned, serverPassword } from './tokens.ts'

export async function writeFiles(
  order: K3sOrder,
  configuration: Configuration,
  places: Places,
  machine: Machine,
): Promise<void> {
  await moveForeignAside(places.config, (text) => text.startsWith(HEADER))
  await writeTokens(order, places)
  await keepFile(places.config, configurationText(configuration))
  if (order.role === 'server') await keepKubevip(order.settings, places, machine.lanInterface)
}

/** A file of people's own that muster moved out of its way. */
export async function foreignFiles(places: Places): Promise<HostProblem[]> {
  const path = besideName(places.config)
  return (await contentOf(path)) === null ? [] : [setAside(path)]
}

/** In full form as soon as there is a CA to pin; before, only the initialiser has one, and asks nobody. */
async function writeTokens(order: K3sOrder, places: Places): Promise<void> {
  const { role, secret, agentSecret, epoch, clusterId } = order
  if (role === 'server' && secret !== null) {
    const password = serverPassword(secret, epoch)
    await keepFile(
      places.serverToken,
      `${clusterId === null ? password : pinned(clusterId, 'server', password)}\n`,
    )
  }
  if (agentSecret === null) return
  const password = agentPassword(agentSecret, epoch)
  // What a server is told is the password that agents must know; an agent also checks whom it talks to.
  const text = role === 'agent' && clusterId !== null ? pinned(clusterId, 'node', password) : password
  await keepFile(places.agentToken, `${text}\n`)
}
