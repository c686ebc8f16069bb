/**
 * Kills the leader, brings it back, cuts another host off, and heals: what the others notice, what goes on
 * without them, and that both come back as themselves.
 */
import type { Host } from '../host.ts'
import type { KeyValue } from '../key-value.ts'
import { until } from '../until.ts'
import { commonLeader, geneses, isDistributed, isMeshed, isReady, leaderHost, type View } from '../view.ts'
import type { Watch } from '../watch.ts'
import { type Check, check, servers } from './checks.ts'
import type { Ground } from './ground.ts'
import type { Narrator } from './narrator.ts'

const PATIENCE_MS = 60_000

export async function chaos(
  ground: Ground,
  watch: Watch,
  keys: KeyValue,
  narrator: Narrator,
): Promise<Check[]> {
  const checks: Check[] = []
  const genesis = geneses(watch.view).join()
  const isReal = ground.kind === 'namespaces'
  const run = async (name: string, look: () => Promise<string>): Promise<void> => {
    const result = await check(`chaos: ${name}`, look)
    const mark = result.ok ? narrator.good('ok') : narrator.bad('FAILED')
    narrator.event(
      watch.elapsedMs(),
      null,
      `${mark} ${name}${result.seen === undefined ? '' : `: ${result.seen}`}`,
    )
    checks.push(result)
  }

  const leader = hostAt(ground, leaderHost(watch.view))
  const before = watch.view.get(leader.index)?.self
  const others = ground.hosts.filter((host) => host !== leader)
  narrator.heading(
    `Chaos: ${leader.name}, the leader, ${isReal ? 'loses power' : 'is killed with all that it started'}`,
  )
  const killedAt = performance.now()
  await ground.kill(leader)
  await run('another leader, known to every survivor', async () => {
    await watch.until(
      'another leader',
      (view) => {
        const now = commonLeader(only(view, others))
        return now !== null && now !== before?.id && only(view, others).size === others.length
      },
      PATIENCE_MS,
    )
    return `after ${secondsSince(killedAt)}`
  })
  if (ground.distribution !== 'none') {
    await run(`${ground.distribution} serves without it`, () =>
      serves(ground, others, watch.view, keys, 'without-leader'),
    )
  }
  narrator.heading(`${leader.name} ${isReal ? 'gets power' : 'is started'} again`)
  await ground.revive(leader)
  await leader.startDaemon()
  await run('it comes back as itself', async () => {
    await waitForAll(ground, watch)
    const after = watch.view.get(leader.index)?.self
    if (after?.id !== before?.id || after?.address !== before?.address) throw new Error('as someone else')
    return `${leader.name}, ${after?.address ?? 'no address'}`
  })

  const alone = hostAt(ground, others.find((host) => host.index !== leaderHost(watch.view))?.index ?? null)
  const rest = ground.hosts.filter((host) => host !== alone)
  narrator.heading(`${alone.name} is ${isReal ? 'cut off' : 'frozen (loopback cannot be cut)'}`)
  const id = watch.view.get(alone.index)?.self.id
  await ground.cutOff(alone)
  await run('every other host sees it as silent', async () => {
    const at = performance.now()
    await watch.until(
      'its silence',
      (view) =>
        [...only(view, rest).values()].every(
          (status) => status.nodes.find((node) => node.id === id)?.alive === false,
        ),
      PATIENCE_MS,
    )
    return `after ${secondsSince(at)}`
  })
  if (ground.distribution !== 'none') {
    await run(`${ground.distribution} serves without it, too`, () =>
      serves(ground, rest, watch.view, keys, 'without-host'),
    )
  }
  narrator.heading(`${alone.name} ${isReal ? 'is connected' : 'goes on'} again`)
  await ground.heal(alone)
  await run('everyone is ready, the cluster is the same', async () => {
    await waitForAll(ground, watch)
    if (geneses(watch.view).join() !== genesis) throw new Error('another genesis')
    return genesis.slice(0, 12)
  })
  return checks
}

async function waitForAll(ground: Ground, watch: Watch): Promise<void> {
  const count = ground.hosts.length
  await watch.until(
    'everyone ready again',
    (view) =>
      isReady(view, count) &&
      (ground.kind === 'loopback' || isMeshed(view, count)) &&
      isDistributed(view, count) &&
      [...view.values()].every((status) => status.nodes.every((node) => node.alive)),
    PATIENCE_MS,
  )
}

/** Repeats what fails, as clients do: etcd may be electing, and what it was asked meanwhile is lost. */
async function serves(
  ground: Ground,
  among: readonly Host[],
  view: View,
  keys: KeyValue,
  value: string,
): Promise<string> {
  const left = servers(ground, view).filter(({ host }) => among.includes(host))
  const [first] = left
  const last = left.at(-1)
  if (first === undefined || last === undefined) throw new Error('no server is left')
  const at = performance.now()
  await until(
    'a key written',
    async () => {
      await keys.put(first.host, [first.address], 'muster/chaos', value)
      return true
    },
    { timeoutMs: PATIENCE_MS },
  )
  const served = secondsSince(at)
  const read = await keys.get(last.host, [last.address], 'muster/chaos')
  if (read !== value) throw new Error(`read ${JSON.stringify(read)}`)
  return `after ${served}, written on ${first.host.name}, read on ${last.host.name}`
}

const secondsSince = (at: number): string => `${((performance.now() - at) / 1_000).toFixed(1)} s`

const only = (view: View, hosts: readonly Host[]): View =>
  new Map([...view].filter(([index]) => hosts.some((host) => host.index === index)))

function hostAt(ground: Ground, index: number | null): Host {
  const host = ground.hosts.find((item) => item.index === index)
  if (host === undefined) throw new Error('no such host in the lab')
  return host
}
