/**
 * What k3s is told: the content of config.yaml, its command line and its environment. Pure. What decides which
 * cluster this is stands in config.yaml and nowhere else; what people add stands on the command line, because there
 * k3s refuses what it does not know, where in a file it would pass over it. `cluster-init` is in neither: it is
 * said at run time, once (DESIGN.md rule 4).
 */
import { stringify } from 'yaml'
import type { DistributionOrder } from '../../../core/orders.ts'
import { isSaid } from './arguments.ts'
import { isForKubelet, marksOf } from './labels.ts'
import type { Machine } from './machine.ts'
import { API_PORT, type Places } from './places.ts'

export type K3sOrder = Extract<DistributionOrder, { kind: 'k3s' }>

export interface Surroundings {
  readonly places: Places
  readonly machine: Machine
  /** Address of the server through which this one joins or runs; null where there is none. */
  readonly target: string | null
  /** Where the datastore is, if it is somewhere else. Secret. */
  readonly endpoint: string | null
  /** Not the machine's usual root: k3s must not write into that. */
  readonly isRooted: boolean
}

type Value = string | boolean | readonly string[]
export type Configuration = Readonly<Record<string, Value>>

/** The first line of every file that muster writes for k3s, by which it knows its own again. */
export const HEADER =
  '# Written by muster, which writes it again: settings of k3s belong into muster’s own file.'

export const configurationText = (configuration: Configuration): string =>
  `${HEADER}\n${stringify(configuration, { lineWidth: 0 })}`

export function configurationOf(order: K3sOrder, surroundings: Surroundings): Configuration {
  const { role, self, settings } = order
  const { places, machine, target } = surroundings
  const { args, replaceArgs } = settings[role]
  const marks = marksOf(settings.rules, self.name, role)
  const labels = Object.entries(marks.labels).filter(([label]) => isForKubelet(label))
  const { lanAddress } = machine
  return {
    'data-dir': places.data,
    'node-name': self.name,
    'node-ip': self.address,
    'token-file': role === 'server' ? places.serverToken : places.agentToken,
    ...(target === null ? {} : { server: serverUrl(target) }),
    ...(role === 'server' ? serverPart(order, surroundings) : {}),
    // The API server, ingress and load balancers are for the LAN too, and k3s offers them at this address.
    ...(lanAddress === null || replaceArgs ? {} : { 'node-external-ip': [lanAddress] }),
    // Its MTU becomes that of the pods, less the 50 bytes of VXLAN: flannel takes it from the interface.
    ...(machine.interface === null ||
    replaceArgs ||
    settings.flannel === 'none' ||
    isSaid(args, 'flannel-iface')
      ? {}
      : { 'flannel-iface': machine.interface }),
    ...(labels.length > 0 ? { 'node-label': labels.map(([label, value]) => `${label}=${value}`) } : {}),
    ...(marks.taints.length > 0 ? { 'node-taint': marks.taints } : {}),
  }
}

function serverPart(order: K3sOrder, surroundings: Surroundings): Configuration {
  const { self, servers, settings, agentSecret } = order
  const { places, machine, endpoint, isRooted } = surroundings
  const names = [self, ...servers].flatMap(({ name, address }) => [address, name])
  const more = [machine.lanAddress, settings.kubevip?.eip ?? null].filter((name) => name !== null)
  const { replaceArgs, args } = settings.server
  return {
    'advertise-address': self.address,
    'tls-san': [...new Set([...names, ...more, '127.0.0.1'])],
    ...(agentSecret === null ? {} : { 'agent-token-file': places.agentToken }),
    ...(settings.external && endpoint !== null ? { 'datastore-endpoint': endpoint } : {}),
    ...(isRooted ? { 'write-kubeconfig': places.kubeconfig } : {}),
    ...(settings.registry ? { 'embedded-registry': true } : {}),
    ...(replaceArgs || isSaid(args, 'flannel-backend')
      ? {}
      : {
          'flannel-backend': settings.flannel,
          // Who brings a network of his own brings its policies too.
          ...(settings.flannel === 'none' ? { 'disable-network-policy': true } : {}),
        }),
  }
}

/** @param extra said this one time, such as `--cluster-init` */
export function commandLine(order: K3sOrder, places: Places, extra: readonly string[]): string[] {
  return [order.role, '--config', places.config, ...order.settings[order.role].args, ...extra]
}

/** @param path where k3s and what it starts look for programs */
export function environmentOf(order: K3sOrder, path: string): Readonly<Record<string, string>> {
  const { env, replaceEnv } = order.settings[order.role]
  return replaceEnv ? { ...env } : { PATH: path, ...env }
}

export const serverUrl = (address: string): string =>
  `https://${address.includes(':') ? `[${address}]` : address}:${API_PORT}`

/** Keys that follow the cluster's servers and the LAN: their news is for the next start, whenever that is. */
const FOLLOWING: ReadonlySet<string> = new Set(['server', 'tls-san', 'node-external-ip'])

/** Equal for what k3s need not be restarted over. */
export function restartText(
  order: K3sOrder,
  configuration: Configuration,
  environment: Readonly<Record<string, string>>,
): string {
  const kept = Object.entries(configuration).filter(([key]) => !FOLLOWING.has(key))
  const { version, settings, role } = order
  return JSON.stringify([role, version, kept, settings[role].args, Object.entries(environment).sort()])
}

/** What is said to this node itself: the rest of an order is news about others. */
export function ownPart(order: DistributionOrder): unknown {
  if (order.kind !== 'k3s') return order
  const { role, action, epoch, genesis, self, revision, clusterId } = order
  return { role, action, epoch, genesis, self, revision, clusterId }
}
