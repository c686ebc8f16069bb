/**
 * What the scenarios share: a lab whose machines have one configuration, conditions over all of them at once,
 * and the picture of every machine where a condition does not come true.
 */
import { expect } from 'vitest'
import { askText } from '../../sim/lab/api.ts'
import { type ConfigurationOptions, configuration, newToken } from '../../sim/lab/configuration.ts'
import type { Host } from '../../sim/lab/host.ts'
import { keyValue } from '../../sim/lab/key-value.ts'
import { createLab, type Lab, STATE_PATH } from '../../sim/lab/lab.ts'
import { findProgram, type Program } from '../../sim/lab/program.ts'
import { until } from '../../sim/lab/until.ts'
import { geneses, isDistributed, isFounded, isMeshed, isReady, type View } from '../../sim/lab/view.ts'
import { describeView } from '../../sim/lab/watch.ts'
import type { HistoryEntry } from '../../src/core/status.ts'

/** Far above what any condition takes: it decides nothing but when to give up. */
export const PATIENCE_MS = 60_000
/** Instead of the ten seconds by default: machines of a lab are all there at once. */
const SETTLE = '2s'

export interface ClusterOptions extends Partial<Omit<ConfigurationOptions, 'token'>> {
  readonly name: string
  readonly hosts: number
  /** By default all hosts. */
  readonly expect?: number
  readonly hostName?: (index: number) => string
  /** See LabOptions. */
  readonly ownDirectories?: readonly string[]
}

export interface Cluster {
  readonly lab: Lab
  readonly token: string
  /** Host number `index`, from 1. */
  host(index: number): Host
  /** Arguments of `muster up` for a machine whose configuration differs from the others'. */
  upWith(name: string, differences: Partial<ConfigurationOptions>): readonly string[]
}

let program: Promise<Program> | null = null

/** Made once for all labs of a test file. */
export const theProgram = (): Promise<Program> => {
  program ??= findProgram()
  return program
}

/** Machines, powered on, without daemons. Kind none unless said otherwise: the datastore takes its time. */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const { name, hosts, hostName, ownDirectories = [], expect: machines = hosts, ...others } = options
  const { distribution = 'none', ...rest } = others
  const token = await newToken(await theProgram(), machines)
  const common: ConfigurationOptions = {
    token,
    distribution,
    ...rest,
    more: { settle: SETTLE, ...rest.more },
  }
  const lab = await createLab({
    name,
    hosts,
    config: configuration(common),
    program: await theProgram(),
    ownDirectories,
    ...(hostName === undefined ? {} : { hostName }),
  })
  return {
    lab,
    token,
    host: (index) => {
      const host = lab.hosts[index - 1]
      if (host === undefined) throw new Error(`the lab has no host ${index}`)
      return host
    },
    upWith: (file, differences) => {
      const more = { ...common.more, ...differences.more }
      const path = lab.share(`${file}.yaml`, configuration({ ...common, ...differences, more }))
      return ['--config', path, '--state', STATE_PATH]
    },
  }
}

export async function startAll(hosts: readonly Host[]): Promise<void> {
  await Promise.all(hosts.map((host) => host.startDaemon()))
}

/** What all of them say now; whoever does not answer is missing. */
export async function viewOf(hosts: readonly Host[]): Promise<View> {
  const all = await Promise.all(hosts.map(async (host) => [host.index, await host.status()] as const))
  return new Map(all.flatMap(([index, status]) => (status === null ? [] : [[index, status] as const])))
}

/** Waits until what all of them say fulfils `test`; where it does not, the error shows every machine. */
export async function untilView(
  hosts: readonly Host[],
  what: string,
  test: (view: View) => boolean,
  timeoutMs = PATIENCE_MS,
): Promise<View> {
  let last: View = new Map()
  return until(
    what,
    async () => {
      last = await viewOf(hosts)
      return test(last) ? last : null
    },
    { timeoutMs, everyMs: 100, describe: () => `${describeView(last)}${lastLines(hosts)}` },
  )
}

/** Every one of them in one cluster, ready, with paths to all others and a healthy datastore, if there is one. */
export function untilReady(hosts: readonly Host[], timeoutMs = PATIENCE_MS): Promise<View> {
  const { length } = hosts
  return untilView(
    hosts,
    `${hosts.map((host) => host.name).join(', ')} ready`,
    (view) =>
      isFounded(view, length) &&
      isMeshed(view, length) &&
      isReady(view, length) &&
      isDistributed(view, length),
    timeoutMs,
  )
}

/** Waits for something that is not in the status; where it does not come true, the error shows every machine. */
export function untilSeen<T>(hosts: readonly Host[], what: string, look: () => T | Promise<T>) {
  return until(what, look, {
    timeoutMs: PATIENCE_MS,
    everyMs: 100,
    describe: async () => `${describeView(await viewOf(hosts))}${lastLines(hosts)}`,
  })
}

function lastLines(hosts: readonly Host[]): string {
  return hosts
    .map((host) => `\n--- ${host.name}\n${host.log().trimEnd().split('\n').slice(-25).join('\n')}`)
    .join('')
}

/** The one genesis of these hosts. */
export function genesisOf(view: View): string {
  const all = geneses(view)
  expect(all).toHaveLength(1)
  return all[0] ?? ''
}

/** One line of a daemon's log. */
export interface Logged {
  readonly at: string
  readonly level: string
  readonly event: string
  readonly [field: string]: unknown
}

/** What the daemon logged under this name, over all its starts. */
export function logged(host: Host, event: string): Logged[] {
  // The last line may still be on its way.
  const lines = host.log().split('\n').slice(0, -1)
  return lines
    .filter((line) => line.startsWith('{') && line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line) as Logged)
}

export async function historyOf(host: Host): Promise<readonly HistoryEntry[]> {
  const { stdout, stderr, exitCode } = await host.muster(['history', '--json'])
  expect(exitCode, stderr).toBe(0)
  return (JSON.parse(stdout) as { readonly history: readonly HistoryEntry[] }).history
}

/** How often something was counted by the daemon that runs now, over all labels that include these. */
export async function counted(
  host: Host,
  event: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const name = `muster_${event.replaceAll(/[^a-z]+/g, '_')}_total`
  const text = await askText(host.place.socket(), '/metrics')
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

/** Through etcd's own client, with the credentials that the driver made on that host. */
export const keys = keyValue(() => '/run/muster.run/etcd')

/** Writes through one member and reads through another: the datastore serves. */
export async function expectServes(hosts: readonly Host[], view: View, value: string): Promise<void> {
  const servers = hosts.flatMap((host) => {
    const self = view.get(host.index)?.self
    return self?.role === 'server' && self.address !== null ? [{ host, address: self.address }] : []
  })
  const [first] = servers
  const last = servers.at(-1)
  if (first === undefined || last === undefined) throw new Error('no server answers')
  // An election may be under way: a client asks again.
  await untilSeen(hosts, `etcd takes ${value}`, async () => {
    await keys.put(first.host, [first.address], 'scenario', value)
    return true
  })
  const read = await untilSeen(hosts, 'etcd answers', () => keys.get(last.host, [last.address], 'scenario'))
  expect(read).toBe(value)
}
