/** What the demo proves at its end, each with a name and whether it holds. */
import type { StatusDocument } from '../../../src/core/status.ts'
import type { Host } from '../host.ts'
import type { KeyValue } from '../key-value.ts'
import { CONFIG_PATH } from '../lab.ts'
import { commonLeader, geneses, isDistributed, isReady, type View } from '../view.ts'
import type { Ground } from './ground.ts'

export interface Check {
  readonly name: string
  readonly ok: boolean
  /** What was seen, where that helps. */
  readonly seen?: string
}

/** Runs a check; what throws does not hold, and says why. */
export async function check(
  name: string,
  look: () => boolean | string | Promise<boolean | string>,
): Promise<Check> {
  try {
    const seen = await look()
    return typeof seen === 'boolean' ? { name, ok: seen } : { name, ok: true, seen }
  } catch (error) {
    return { name, ok: false, seen: error instanceof Error ? error.message : String(error) }
  }
}

export async function finalChecks(ground: Ground, view: View, keys: KeyValue): Promise<Check[]> {
  const count = ground.hosts.length
  const addresses = [...view.values()].flatMap(({ self }) => self.address ?? [])
  const checks = [
    await check('every host answers', () => view.size === count),
    await check('one genesis, held by every host', () => only(geneses(view), 'genesis').slice(0, 12)),
    await check('every host has an address of its own', () => new Set(addresses).size === count),
    await check('one leader, known to every host', () => commonLeader(view) !== null),
    await check('every host is ready', () => isReady(view, count)),
  ]
  if (ground.kind === 'namespaces') {
    checks.push(
      await check('configuration is byte-identical on every host', () => sameConfiguration(ground.hosts)),
    )
    if (count > 1) {
      checks.push(
        await check('every host reaches every other through the mesh', () => pingAll(ground.hosts, view)),
      )
    }
  }
  if (ground.distribution !== 'none') {
    checks.push(
      await check(`every server is a healthy voter of ${ground.distribution}`, () =>
        isDistributed(view, count),
      ),
      // With one or two machines there is one server, and nobody else who may read.
      await check(
        servers(ground, view).length > 1
          ? 'a key written on one node is read on another'
          : 'a key is written and read',
        () => writeAndRead(ground, view, keys),
      ),
    )
  }
  return checks
}

/** Hosts whose daemon runs a datastore member, with the address that it serves on. */
export function servers(ground: Ground, view: View): { host: Host; address: string }[] {
  return ground.hosts.flatMap((host) => {
    const self = view.get(host.index)?.self
    return self?.role === 'server' && self.address !== null ? [{ host, address: self.address }] : []
  })
}

/**
 * Written on the first server through its own member, read on the last server through the member of the
 * next: so both the request and etcd's replication cross the mesh.
 */
async function writeAndRead(ground: Ground, view: View, keys: KeyValue): Promise<string> {
  const all = servers(ground, view)
  const [first, second = first] = all
  const last = all.at(-1)
  if (first === undefined || second === undefined || last === undefined) throw new Error('no servers')
  const value = `hello from ${first.host.name} at ${new Date().toISOString()}`
  await keys.put(first.host, [first.address], 'muster/demo', value)
  const through = last.host === second.host ? first : second
  const read = await keys.get(last.host, [through.address], 'muster/demo')
  if (read !== value) throw new Error(`read ${JSON.stringify(read)} instead of ${JSON.stringify(value)}`)
  return `written on ${first.host.name}, read on ${last.host.name} from ${through.address}`
}

async function sameConfiguration(hosts: readonly Host[]): Promise<string> {
  const sums = await Promise.all(
    hosts.map(async (host) => (await host.exec(['sha256sum', CONFIG_PATH])).stdout.split(' ')[0] ?? ''),
  )
  return `sha256 ${only([...new Set(sums)], 'configuration').slice(0, 12)}`
}

async function pingAll(hosts: readonly Host[], view: View): Promise<string> {
  const lost: string[] = []
  let pings = 0
  for (const host of hosts) {
    const others = [...view.entries()].filter(([index]) => index !== host.index)
    await Promise.all(
      others.map(async ([, status]) => {
        pings++
        const address = status.self.address ?? 'none'
        const { exitCode } = await host.exec(['ping', '-c1', '-W3', '-I', 'muster0', address])
        if (exitCode !== 0) lost.push(`${host.name} to ${status.self.name}`)
      }),
    )
  }
  if (lost.length > 0) throw new Error(`no answer: ${lost.join(', ')}`)
  return `${pings} pings through muster0`
}

function only(values: readonly string[], what: string): string {
  const [value] = values
  if (value === undefined || values.length !== 1) throw new Error(`${values.length} values of ${what}`)
  return value
}

/** The node of a status that speaks for the cluster: the leader's, else the first. */
export function spokesman(view: View): StatusDocument | null {
  const documents = [...view.entries()].sort(([a], [b]) => a - b).map(([, status]) => status)
  return documents.find((status) => status.cluster.leader === status.self.id) ?? documents[0] ?? null
}
