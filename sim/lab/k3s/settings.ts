/** What a server or agent was told, with k3s' defaults filled in. */
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Flags } from './command-line.ts'
import { Fatal } from './log.ts'

export interface NodeSettings {
  readonly dataDirectory: string
  readonly name: string
  readonly address: string
  readonly externalAddresses: readonly string[]
  readonly labels: readonly string[]
  readonly taints: readonly string[]
  readonly flannelInterface: string
  readonly loadBalancerPort: number
  readonly token: string
  readonly server: string
}

export interface ServerSettings extends NodeSettings {
  /** `<data-dir>/server`. */
  readonly directory: string
  readonly bindAddress: string
  readonly port: number
  readonly subjects: readonly string[]
  readonly agentToken: string
  readonly clusterInit: boolean
  readonly clusterReset: boolean
  readonly restorePath: string
  readonly disableAgent: boolean
  readonly kubeconfig: string
  readonly kubeconfigMode: number
  readonly datastore: {
    readonly endpoint: string
    readonly ca: string
    readonly cert: string
    readonly key: string
  }
  readonly etcdArguments: readonly string[]
  /** What must be the same on all servers, by k3s' name of it. */
  readonly critical: Readonly<Record<string, string>>
}

export const DATA_DIRECTORY = '/var/lib/rancher/k3s'
export const KUBECONFIG = '/etc/rancher/k3s/k3s.yaml'

/** What k3s takes the container runtime and the network's interface for granted in. */
export function nodeSettings(flags: Flags): NodeSettings {
  const flannelInterface = flags.text('flannel-iface')
  const told = flags.list('node-ip')[0] ?? ''
  return {
    dataDirectory: flags.text('data-dir') || DATA_DIRECTORY,
    name: (flags.text('node-name') || hostname()).toLowerCase(),
    address: told || (flannelInterface === '' ? ownAddress() : addressOf(flannelInterface)),
    externalAddresses: flags.list('node-external-ip'),
    labels: flags.list('node-label'),
    taints: flags.list('node-taint'),
    flannelInterface,
    loadBalancerPort: Number(flags.text('lb-server-port') || '6444'),
    token: secret(flags, 'token'),
    server: flags.text('server'),
  }
}

export function serverSettings(flags: Flags): ServerSettings {
  const node = nodeSettings(flags)
  const { dataDirectory, name, address, externalAddresses } = node
  const advertised = flags.text('advertise-address') || address
  const critical = {
    ClusterDomain: flags.text('cluster-domain') || 'cluster.local',
    ClusterIPRange: flags.list('cluster-cidr').join() || '10.42.0.0/16',
    ServiceIPRange: flags.list('service-cidr').join() || '10.43.0.0/16',
    FlannelBackend: flags.text('flannel-backend') || 'vxlan',
    EgressSelectorMode: flags.text('egress-selector-mode') || 'agent',
    DisableNPC: String(flags.is('disable-network-policy')),
    EncryptSecrets: String(flags.is('secrets-encryption')),
    EmbeddedRegistry: String(flags.is('embedded-registry')),
  }
  checkRange('cluster-cidr', critical.ClusterIPRange)
  checkRange('service-cidr', critical.ServiceIPRange)
  if (!['none', 'vxlan', 'host-gw', 'wireguard-native'].includes(critical.FlannelBackend))
    throw new Fatal(`Cannot configure unknown flannel backend '${critical.FlannelBackend}'`)
  if (flags.text('cluster-reset-restore-path') !== '' && !flags.is('cluster-reset'))
    throw new Fatal('invalid flag use; --cluster-reset required with --cluster-reset-restore-path')
  return {
    ...node,
    directory: join(dataDirectory, 'server'),
    bindAddress: flags.text('bind-address'),
    port: Number(flags.text('https-listen-port') || '6443'),
    subjects: [
      ...flags.list('tls-san'),
      ...['127.0.0.1', '::1', 'localhost', name, address, advertised, ...externalAddresses],
      ...['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', '10.43.0.1'],
      `kubernetes.default.svc.${critical.ClusterDomain}`,
    ],
    agentToken: secret(flags, 'agent-token'),
    clusterInit: flags.is('cluster-init'),
    clusterReset: flags.is('cluster-reset'),
    restorePath: flags.text('cluster-reset-restore-path'),
    disableAgent: flags.is('disable-agent'),
    kubeconfig: flags.text('write-kubeconfig') || KUBECONFIG,
    kubeconfigMode: Number.parseInt(flags.text('write-kubeconfig-mode') || '600', 8),
    datastore: {
      endpoint: flags.text('datastore-endpoint'),
      ca: flags.text('datastore-cafile'),
      cert: flags.text('datastore-certfile'),
      key: flags.text('datastore-keyfile'),
    },
    etcdArguments: flags.list('etcd-arg').map((argument) => `--${argument.replace(/^-+/, '')}`),
    critical,
  }
}

function checkRange(flag: string, ranges: string): void {
  for (const range of ranges.split(',')) {
    const [address = '', bits] = range.split('/')
    const isOne = (isIPv4(address) || address.includes(':')) && /^\d+$/.test(bits ?? '')
    if (!isOne) throw new Fatal(`invalid ${flag} ${range}: invalid CIDR address: ${range}`)
  }
}

function secret(flags: Flags, name: 'token' | 'agent-token'): string {
  const file = flags.text(`${name}-file`)
  if (file === '') return flags.text(name)
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    throw new Fatal(`open ${file}: no such file or directory`)
  }
}

/** flannel ends the whole program where its interface is not there. */
export function checkFlannel(settings: NodeSettings, backend: string): void {
  const { flannelInterface } = settings
  if (flannelInterface === '' || backend === 'none' || networkInterfaces()[flannelInterface] !== undefined)
    return
  throw new Fatal(`flannel exited: failed to find the interface ${flannelInterface}: ${NO_INTERFACE}`)
}

const NO_INTERFACE = 'route ip+net: no such network interface'

function addressOf(name: string): string {
  const found = networkInterfaces()[name]?.find(({ family }) => family === 'IPv4')
  if (found === undefined) throw new Fatal(`unable to find interface ${name}: ${NO_INTERFACE}`)
  return found.address
}

function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal)
  return found?.address ?? '127.0.0.1'
}
