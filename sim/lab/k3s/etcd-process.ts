/**
 * The etcd that in k3s is part of the program. Here it is Debian's, as a child that dies with its parent, however
 * that dies. Its output is the parent's.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { baked, scaled } from './baked.ts'
import { log } from './log.ts'

export interface EtcdPlace {
  readonly name: string
  readonly address: string
  readonly dataDirectory: string
  /** `server/tls/etcd`. */
  readonly keys: string
  readonly more: readonly string[]
}

/** `new` and `join` say who the members are, `existing` trusts its log, `reset` forgets all others. */
export type EtcdStart =
  | { readonly as: 'new' | 'reset' | 'existing' }
  | { readonly as: 'join'; readonly cluster: readonly string[] }

const ETCD = '/usr/bin/etcd'

export class EtcdProcess {
  readonly #child: ChildProcess
  #said = ''
  #isEnding = false

  /** @param onRemoved called when the cluster has removed this member for good */
  constructor(place: EtcdPlace, start: EtcdStart, onRemoved: () => void, onFailure: () => void) {
    const args = ['--pdeathsig', 'KILL', '--', ETCD, ...argumentsOf(place, start)]
    this.#child = spawn('setpriv', args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        ...(process.arch.startsWith('arm') ? { ETCD_UNSUPPORTED_ARCH: process.arch } : {}),
      },
    })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      process.stderr.write(chunk)
      this.#said = (this.#said + chunk.toString()).slice(-4_000)
    })
    this.#child.once('exit', () => {
      if (this.#isEnding) return
      if (/member has been permanently removed|removed from the cluster/.test(this.#said)) onRemoved()
      else onFailure()
    })
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async end(): Promise<void> {
    this.#isEnding = true
    if (!this.isRunning) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await gone
  }
}

function argumentsOf(place: EtcdPlace, start: EtcdStart): string[] {
  const { name, address, dataDirectory, keys, more } = place
  const peerUrl = `https://${address}:2380`
  const isReset = start.as === 'reset'
  const own = `${name}=${peerUrl}`
  // While it is being reset nobody may reach it but itself.
  const clientUrls = isReset ? LOOPBACK_CLIENT : `${LOOPBACK_CLIENT},https://${address}:2379`
  return [
    `--name=${name}`,
    `--data-dir=${dataDirectory}`,
    `--listen-client-urls=${clientUrls}`,
    `--listen-peer-urls=${isReset ? 'https://127.0.0.1:2380' : `https://127.0.0.1:2380,${peerUrl}`}`,
    '--listen-metrics-urls=http://127.0.0.1:2381',
    `--advertise-client-urls=${isReset ? LOOPBACK_CLIENT : `https://${address}:2379`}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--cert-file=${join(keys, 'server-client.crt')}`,
    `--key-file=${join(keys, 'server-client.key')}`,
    '--client-cert-auth',
    `--trusted-ca-file=${join(keys, 'server-ca.crt')}`,
    `--peer-cert-file=${join(keys, 'peer-server-client.crt')}`,
    `--peer-key-file=${join(keys, 'peer-server-client.key')}`,
    '--peer-client-cert-auth',
    `--peer-trusted-ca-file=${join(keys, 'peer-ca.crt')}`,
    `--initial-cluster=${start.as === 'join' ? start.cluster.join(',') : own}`,
    `--initial-cluster-state=${start.as === 'new' || isReset ? 'new' : 'existing'}`,
    ...(isReset ? ['--force-new-cluster'] : []),
    '--snapshot-count=10000',
    // Half a second and five, as in k3s, but never so quick that two busy cores cannot keep it.
    `--heartbeat-interval=${Math.max(100, scaled(500))}`,
    `--election-timeout=${Math.max(1_000, scaled(5_000))}`,
    '--logger=zap',
    '--log-outputs=stderr',
    '--log-level=warn',
    ...more,
  ]
}

const LOOPBACK_CLIENT = 'https://127.0.0.1:2379'

/** Makes a data directory of one member from a snapshot, as k3s does before it resets. */
export async function restoreSnapshot(place: EtcdPlace, snapshot: string): Promise<void> {
  log('info', `double ${baked.version}: restoring ${snapshot}`)
  rmSync(place.dataDirectory, { recursive: true, force: true })
  const peerUrl = `https://${place.address}:2380`
  const args = [
    ...['snapshot', 'restore', snapshot, `--name=${place.name}`, `--data-dir=${place.dataDirectory}`],
    ...[
      `--initial-cluster=${place.name}=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      '--skip-hash-check',
    ],
  ]
  const child = spawn('etcdctl', args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { PATH: process.env.PATH, ETCDCTL_API: '3' },
  })
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(-1))
    child.once('exit', resolve)
  })
  if (code !== 0) throw new Error(`snapshot restore failed: exit code ${code}`)
}
