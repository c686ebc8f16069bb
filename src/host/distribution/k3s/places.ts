/** Where everything of k3s lies on this machine. Paths only; what is in them, others know. */
import { join } from 'node:path'

/** Ports of k3s. The supervisor and the API server share the first; all servers use the same. */
export const API_PORT = 6443
export const ETCD_CLIENT_PORT = 2379
export const ETCD_PEER_PORT = 2380

export type Role = 'server' | 'agent'

export interface Places {
  /** Ours, durable: what was started, what was installed. */
  readonly state: string
  /** Ours, gone after a reboot. */
  readonly run: string
  /** k3s' own (`data-dir`). */
  readonly data: string
  /** Everything that makes a machine a server: datastore, authorities, tokens. What is moved aside is this. */
  readonly server: string
  readonly marker: string
  readonly agent: string
  /** `config.yaml`, whose drop-ins lie in `config.yaml.d` beside it. */
  readonly config: string
  readonly kubeconfig: string
  readonly serverToken: string
  readonly agentToken: string
  /** The program that muster put there, where it was not on the machine before. */
  readonly binary: string
  readonly log: string
}

/** @param root before every path that is not muster's own: `/` but in tests and labs */
export function placesOf(options: {
  readonly directory: string
  readonly runDirectory: string
  readonly root: string
  readonly dataDirectory: string
  readonly binDirectory: string | null
}): Places {
  const { directory, root, dataDirectory, binDirectory } = options
  const server = join(dataDirectory, 'server')
  return {
    state: directory,
    run: join(options.runDirectory, 'k3s'),
    data: dataDirectory,
    server,
    marker: join(server, 'muster.json'),
    agent: join(dataDirectory, 'agent'),
    config: join(root, 'etc/rancher/k3s/config.yaml'),
    kubeconfig: join(root, 'etc/rancher/k3s/k3s.yaml'),
    serverToken: join(directory, 'server-token'),
    agentToken: join(directory, 'agent-token'),
    binary: join(binDirectory ?? join(directory, 'bin'), 'k3s'),
    log: join(directory, 'k3s.log'),
  }
}
