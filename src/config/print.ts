/** The settings in effect as a configuration that could be written by hand, but for the token. */
import { stringify } from 'yaml'
import type { NodeConfig } from '../config.ts'

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
    max_nodes: cluster.maxNodes,
    vpn: {
      mode: cluster.vpnMode,
      cidr: cluster.vpnCidr,
      interface: config.interfaceName,
      port: config.meshPort,
    },
    distribution: { kind: cluster.distribution },
    discovery: { mdns: discovery.mdns, dht: discovery.dht, peers: [...discovery.peers] },
    ...(settings.founders === null ? {} : { founders: [...settings.founders] }),
    server_preference: settings.serverPreference,
    allow_ephemeral: settings.allowEphemeral,
    settle: settings.settleMs % 1_000 === 0 ? `${settings.settleMs / 1_000}s` : `${settings.settleMs}ms`,
    listen: [...config.listen],
    state: config.stateDirectory,
    socket: config.socketPath,
  }
  const comments = lines.map((line) => `# ${line.replaceAll('\n', ' ')}\n`).join('')
  return comments + stringify({ muster }, { lineWidth: 0 })
}
