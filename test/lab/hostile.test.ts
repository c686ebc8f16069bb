/** Who has another token learns and disturbs nothing; who has the token and lies is refused, counted and named. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newToken } from '../../sim/lab/configuration.ts'
import type { Host } from '../../sim/lab/host.ts'
import { DISK_PATH, SHARED_PATH } from '../../sim/lab/machine.ts'
import { until } from '../../sim/lab/until.ts'
import { commonLeader } from '../../sim/lab/view.ts'
import {
  type Cluster,
  counted,
  createCluster,
  genesisOf,
  historyOf,
  logged,
  PATIENCE_MS,
  startAll,
  theProgram,
  untilReady,
  untilSeen,
  untilView,
} from './cluster.ts'

const LIAR = join(import.meta.dirname, '../../sim/lab/hostile/liar.ts')

/** What of a message was not believed, as the log names it: each must have happened. */
const BEFORE_GENESIS = ['promise', 'propose', 'genesis']
const REFUSED = [...BEFORE_GENESIS, 'frame', 'record', 'poll', 'lead', 'plan', 'join']
/** What the network itself refuses. */
const BROKEN = [
  'network.frame.oversized',
  'network.frame.malformed',
  'network.message.flood',
  'network.dht.refused',
]

const wasRefused = (host: Host, what: string): boolean =>
  logged(host, 'message.refused').some((line) => line.what === what)

describe('beside a liar with the token and a stranger with another', () => {
  let cluster: Cluster
  let founders: readonly Host[]
  let liar: Host
  let stranger: Host

  beforeAll(async () => {
    cluster = await createCluster({ name: 'hostile', hosts: 5, expect: 3 })
    const [first, second, third, fourth, fifth] = cluster.lab.hosts
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few hosts')
    if (fourth === undefined || fifth === undefined) throw new Error('too few hosts')
    founders = [first, second, third]
    liar = fourth
    stranger = fifth
    const peers = founders.map((host) => host.address)
    cluster.lab.share('token', cluster.token)
    const command = [
      `exec ${process.execPath} ${LIAR} --token ${SHARED_PATH}/token --directory ${DISK_PATH}/liar`,
      `--peers ${peers.join()} > ${DISK_PATH}/liar.log 2>&1`,
    ]
    liar.spawn(['sh', '-c', command.join(' ')])
    await until('the liar is there', async () => (await liarsWords()).includes('lying as'), {
      describe: liarsWords,
    })
    const upArguments = cluster.upWith('stranger', {
      token: await newToken(await theProgram(), 3),
      discovery: { peers },
    })
    await stranger.startDaemon({ upArguments })
    const two = [first, second]
    // Two of three and the liar, who counts as a founder, are enough to try: it is asked for its promise.
    await startAll(two)
    for (const what of BEFORE_GENESIS) {
      await untilSeen(two, `${what} is refused`, () => two.some((host) => wasRefused(host, what)))
    }
    expect((await first.status())?.cluster.id).toBeNull()
    await third.startDaemon()
  }, 2 * PATIENCE_MS)
  afterAll(() => cluster.lab.destroy())

  const liarsWords = async (): Promise<string> => (await liar.exec(['cat', `${DISK_PATH}/liar.log`])).stdout

  it('three machines found, once, and the liar is no server', { timeout: 2 * PATIENCE_MS }, async () => {
    const view = await untilView(
      founders,
      'three of three ready',
      (seen) =>
        seen.size === 3 &&
        [...seen.values()].every(({ self }) => self.stage === 'ready') &&
        commonLeader(seen) !== null,
    )
    genesisOf(view)
    const ids = [...view.values()].map(({ self }) => self.id)
    for (const { nodes } of view.values()) {
      const servers = nodes.filter((node) => node.role === 'server').map((node) => node.id)
      expect(servers.toSorted()).toEqual(ids.toSorted())
    }
  })

  it('every lie is refused with a counter and a line in the log', { timeout: 2 * PATIENCE_MS }, async () => {
    for (const what of REFUSED) {
      await untilSeen(founders, `${what} is refused`, () => founders.some((host) => wasRefused(host, what)))
    }
    for (const host of founders) {
      expect(await counted(host, 'message.refused')).toBeGreaterThan(0)
      const word = { from: expect.any(String), what: expect.any(String), why: expect.any(String) }
      for (const line of logged(host, 'message.refused')) expect(line).toMatchObject(word)
    }
  })

  it('so are frames that are too large, none, or too many, and a forged leader record', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    for (const host of founders) {
      for (const event of BROKEN) {
        await untilSeen(founders, `${event} on ${host.name}`, async () => (await counted(host, event)) > 0)
        expect(logged(host, event).length, event).toBeGreaterThan(0)
      }
    }
  })

  it('the stranger sees nobody, and who it knocks at counts and names it', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    const status = await stranger.untilStatus(
      'it is told that those are no peers of its own',
      ({ problems }) => problems.some((problem) => problem.code === 'network.peer-refused'),
      PATIENCE_MS,
    )
    expect(status.nodes.map((node) => node.id)).toEqual([status.self.id])
    expect(status.cluster).toMatchObject({ id: null, state: 'discovering' })
    for (const host of founders) {
      await untilSeen(founders, 'it is counted', async () => (await counted(host, 'network.stranger')) > 0)
      expect(logged(host, 'network.stranger').map((line) => line.ip)).toContain(stranger.address)
      const nodes = (await host.status())?.nodes.map((node) => node.id)
      expect(nodes).not.toContain(status.self.id)
    }
  })

  it('the cluster works: a late machine is admitted, nobody died, and nothing was founded again', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    const late = await cluster.lab.addHost()
    await late.startDaemon()
    const honest = [...founders, late]
    const view = await untilReady(honest)
    expect(view.get(late.index)?.self.role).toBe('agent')
    genesisOf(view)
    for (const host of honest) {
      expect(host.running).toBe(true)
      expect(logged(host, 'node.started')).toHaveLength(1)
      expect(logged(host, 'daemon.rejection')).toEqual([])
      const history = await historyOf(host)
      const admitted = history.filter(({ cause }) => cause === 'admitted').map(({ node }) => node)
      expect(admitted).toEqual([view.get(late.index)?.self.id])
    }
    // And all that time it was lied to.
    for (const host of honest) {
      const before = await counted(host, 'message.refused')
      await untilSeen(honest, 'more lies', async () => (await counted(host, 'message.refused')) > before)
    }
  })
})
