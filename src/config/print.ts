/** The settings in effect as a configuration that could be written by hand, but for its secrets. */
import { stringify } from 'yaml'
import type { NodeConfig } from '../config.ts'
import type { K3sArguments, K3sSettings } from '../core/k3s.ts'

export function printableConfig(config: NodeConfig): string {
  const { settings, discovery, token } = config
  const { cluster } = settings
  const pin = token.pin === null ? '' : `, pinned to cluster ${token.pin}`
  const lines = [
    `settings in effect, from ${config.sources.join(', ')}`,
    `network ${settings.network}${pin}`,
    ...config.warnings.map(({ severity, message }) => `${severity}: ${message}`),
  ]
  const muster = {
    // What a secret prints as, wherever it is printed.
    token: String(token.secret),
    expect: settings.expect,
    servers: cluster.servers,
    admission: cluster.admission,
    promote: cluster.promote,
    replace_after: cluster.replaceAfterMs === 0 ? 'never' : durationText(cluster.replaceAfterMs),
    operators: [...cluster.operators],
    max_nodes: cluster.maxNodes,
    vpn: {
      mode: cluster.vpnMode,
      cidr: cluster.vpnCidr,
      interface: config.interfaceName,
      port: config.meshPort,
    },
    distribution: {
      kind: cluster.distribution,
      ...(cluster.k3s === null ? {} : { ...k3sKeys(cluster.k3s), ...localKeys(config) }),
    },
    discovery: { mdns: discovery.mdns, dht: discovery.dht, peers: [...discovery.peers] },
    ...(settings.founders === null ? {} : { founders: [...settings.founders] }),
    ...(settings.serverPreference === 'never'
      ? { role: 'agent' }
      : { role: 'auto', server_preference: settings.serverPreference }),
    allow_ephemeral: settings.allowEphemeral,
    settle: durationText(settings.settleMs),
    listen: [...config.listen],
    state: config.stateDirectory,
    socket: config.socketPath,
  }
  const comments = lines.map((line) => `# ${line.replaceAll('\n', ' ')}\n`).join('')
  return comments + stringify({ muster }, { lineWidth: 0 })
}

function k3sKeys(k3s: K3sSettings): object {
  const download = k3s.artefacts.map(({ arch, url, sha256 }) => [
    arch,
    { ...orNothing({ url }), checksum: sha256 },
  ])
  return {
    ...orNothing({ version: k3s.version }),
    ...(download.length === 0 ? {} : { download: Object.fromEntries(download) }),
    images: k3s.images.map(({ name, url, sha256 }) => ({ name, ...orNothing({ url }), checksum: sha256 })),
    ...argumentKeys(k3s.server),
    agent: argumentKeys(k3s.agent),
    flannel: k3s.flannel,
    registry: k3s.registry,
    ...(k3s.kubevip === null ? {} : { kubevip: orNothing(k3s.kubevip) }),
    rules: k3s.rules.map(({ match: { names, role }, labels, taints }) => ({
      ...orNothing({ names, role }),
      labels,
      taints,
    })),
  }
}

const argumentKeys = ({ args, env, replaceArgs, replaceEnv }: K3sArguments): object => ({
  args,
  env,
  replace_args: replaceArgs,
  replace_env: replaceEnv,
})

function localKeys({ k3s: { bin, binDirectory, dataDirectory, hooks, externalDb } }: NodeConfig): object {
  return {
    ...orNothing({ bin, bin_dir: binDirectory }),
    data_dir: dataDirectory,
    ...(externalDb === null ? {} : { external_db: String(externalDb) }),
    hooks: { before: [...hooks.before], after: [...hooks.after] },
  }
}

const durationText = (ms: number): string => (ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`)

/** Without the keys that say nothing. */
const orNothing = (keys: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== null))
