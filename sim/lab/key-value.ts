/** Reads and writes of one key through etcd's own client, with the certificates that the driver made there. */
import type { Host } from './host.ts'

/** Where the driver keeps an etcd client's credentials, below the daemon's state. */
const CREDENTIALS = 'etcd/credentials'

/** Runs etcdctl on `host` against the members at `addresses`; throws with its words where it fails. */
async function etcdctl(
  host: Host,
  stateDirectory: string,
  addresses: readonly string[],
  args: readonly string[],
): Promise<string> {
  const endpoints = addresses.map((address) => `https://${address}:2379`).join(',')
  const files = `${stateDirectory}/${CREDENTIALS}`
  const result = await host.exec(
    [
      'etcdctl',
      `--endpoints=${endpoints}`,
      `--cacert=${files}/ca.pem`,
      `--cert=${files}/client.pem`,
      `--key=${files}/client.pem`,
      '--dial-timeout=3s',
      '--command-timeout=8s',
      ...args,
    ],
    { env: { ETCDCTL_API: '3' }, timeoutMs: 12_000 },
  )
  if (result.exitCode !== 0) throw new Error(`etcdctl ${args[0]} on ${host.name}: ${result.stderr.trim()}`)
  return result.stdout
}

export interface KeyValue {
  put(host: Host, addresses: readonly string[], key: string, value: string): Promise<void>
  get(host: Host, addresses: readonly string[], key: string): Promise<string>
}

/** @param stateDirectory the daemon's state as `host.exec` sees it on that host */
export function keyValue(stateDirectory: (host: Host) => string): KeyValue {
  return {
    put: async (host, addresses, key, value) => {
      await etcdctl(host, stateDirectory(host), addresses, ['put', key, value])
    },
    get: async (host, addresses, key) =>
      (await etcdctl(host, stateDirectory(host), addresses, ['get', key, '--print-value-only'])).trimEnd(),
  }
}
