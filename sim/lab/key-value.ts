/** Reads and writes of one key through etcd's own client, with the certificates that the driver made there. */
import type { Host } from './host.ts'

/** Runs etcdctl on `host` against the members at `addresses`; throws with its words where it fails. */
export async function etcdctl(
  host: Host,
  credentials: string,
  addresses: readonly string[],
  args: readonly string[],
): Promise<string> {
  const endpoints = addresses.map((address) => `https://${address}:2379`).join(',')
  const result = await host.exec(
    [
      'etcdctl',
      `--endpoints=${endpoints}`,
      `--cacert=${credentials}/ca.pem`,
      `--cert=${credentials}/client.pem`,
      `--key=${credentials}/client.pem`,
      '--dial-timeout=2s',
      '--command-timeout=3s',
      ...args,
    ],
    { env: { ETCDCTL_API: '3' }, timeoutMs: 8_000 },
  )
  if (result.exitCode !== 0) {
    // Its last line is for people, those before are its library's.
    throw new Error(`etcdctl ${args[0]} on ${host.name}: ${result.stderr.trim().split('\n').at(-1)}`)
  }
  return result.stdout
}

export interface KeyValue {
  put(host: Host, addresses: readonly string[], key: string, value: string): Promise<void>
  get(host: Host, addresses: readonly string[], key: string): Promise<string>
}

/** @param credentials directory of an etcd client's credentials as `host.exec` sees it on that host */
export function keyValue(credentials: (host: Host) => string): KeyValue {
  return {
    put: async (host, addresses, key, value) => {
      await etcdctl(host, credentials(host), addresses, ['put', key, value])
    },
    get: async (host, addresses, key) =>
      (await etcdctl(host, credentials(host), addresses, ['get', key, '--print-value-only'])).trimEnd(),
  }
}
