/** What compose.yaml promises, in the order in which a user would try it. */
import type { StatusDocument } from '../../src/core/status.ts'
import { until } from '../lab/until.ts'
import { commonLeader, geneses, isDistributed, isReady, type View } from '../lab/view.ts'
import type { Checks } from './checks.ts'
import type { Project } from './containers.ts'
import { found, type Needle, needleOfBytes, needleOfText, ProcessWatch } from './secrets.ts'

const READY_MS = 90_000

/** Three form, one is killed and comes back, one more joins, all are powered off and on; nobody tells a secret. */
export async function formsAndResumes(checks: Checks, project: Project, token: string): Promise<void> {
  const processes = new ProcessWatch()
  await checks.check('three containers of one service become ready', () => up(project, 3))
  await checks.check('their health checks say so', async () => {
    for (const id of await project.containers()) {
      await until(
        `container ${id.slice(0, 12)} is healthy`,
        async () => (await project.health(id)) === 'healthy',
      )
    }
    return true
  })
  await checks.check('every replica is configured the same', async () => {
    const all = await Promise.all((await project.containers()).map((id) => project.configuration(id)))
    return all.length === 3 && new Set(all).size === 1
  })
  await checks.check('they are one cluster, every server a healthy voter of etcd', () =>
    oneCluster(project, 3),
  )
  await checks.check('a key written on one node is read on another, through the mesh', () =>
    writeAndRead(project),
  )
  await checks.check('a killed leader is replaced, and comes back as itself', () => killAndStart(project))
  await checks.check('one more joins as an agent', () => oneMore(project))
  await checks.check('all stopped and started: the same cluster is back', () => offAndOn(project))
  await checks.check('no secret in inspect, output, logs, status, command lines, environments', async () =>
    keepsSecrets(project, token, await processes.texts()),
  )
  await checks.check('nothing is left after down', () => down(project))
}

/** The same file with another number. */
export async function formsOfFive(checks: Checks, project: Project): Promise<void> {
  await checks.check('five containers become ready', () => up(project, 5))
  await checks.check('they are one cluster, too', () => oneCluster(project, 5))
  await checks.check('nothing is left after down', () => down(project))
}

async function up(project: Project, nodes: number): Promise<string> {
  const start = performance.now()
  await project.compose('up', '--detach', '--scale', `node=${nodes}`)
  const started = performance.now()
  await allReady(project, nodes)
  const seconds = (since: number): string => ((performance.now() - since) / 1_000).toFixed(1)
  return `${seconds(started)} s after the last was started, ${seconds(start)} s after "up"`
}

async function allReady(project: Project, nodes: number): Promise<View> {
  return until(
    `${nodes} nodes are ready`,
    async () => {
      const view = await look(project)
      return isReady(view, nodes) && isDistributed(view, nodes) ? view : false
    },
    { timeoutMs: READY_MS, everyMs: 300, describe: async () => describe(await look(project)) },
  )
}

async function look(project: Project): Promise<View> {
  const containers = await project.containers()
  const answers = await Promise.allSettled(containers.map((id) => project.status(id)))
  return new Map(
    answers.flatMap((answer, index) => (answer.status === 'fulfilled' ? [[index + 1, answer.value]] : [])),
  )
}

const describe = (view: View): string =>
  [...view.values()]
    .map(
      ({ self, waitingFor, problems }) =>
        `${self.name} ${self.stage}; ${[...waitingFor, ...problems.map(({ message }) => message)].join('; ')}`,
    )
    .join('\n')

async function oneCluster(project: Project, nodes: number): Promise<string | false> {
  const view = await look(project)
  const addresses = new Set([...view.values()].map(({ self }) => self.address))
  const servers = [...view.values()].filter(({ self }) => self.role === 'server').length
  const [genesis, ...others] = geneses(view)
  const isOne = genesis !== undefined && others.length === 0 && addresses.size === nodes && servers === 3
  return isOne && isReady(view, nodes) && isDistributed(view, nodes) && `genesis ${genesis.slice(0, 12)}`
}

/** etcd's gateway, with the credentials that muster made in the container. */
const ASK_ETCD = `
const { readFileSync } = require('node:fs')
const { request } = require('node:https')
const [url, body] = process.argv.slice(1)
const [ca, client] = ['ca', 'client'].map((name) => readFileSync('/run/muster.run/etcd/' + name + '.pem'))
const call = request(url, { method: 'POST', ca, cert: client, key: client, timeout: 5000 }, (answer) => {
  answer.pipe(process.stdout)
  process.exitCode = answer.statusCode === 200 ? 0 : 1
})
call.on('timeout', () => call.destroy(new Error('no answer')))
call.end(body)
`

async function writeAndRead(project: Project): Promise<boolean> {
  const [first, second] = await project.containers()
  if (first === undefined || second === undefined) return false
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const [key, value] = [base64('through'), base64('the mesh')]
  const ask = async (container: string, peer: string, verb: string, body: object): Promise<string> => {
    const { address } = (await project.status(peer)).self
    const url = `https://${address}:2379/v3/kv/${verb}`
    return project.docker('exec', container, 'node', '-e', ASK_ETCD, url, JSON.stringify(body))
  }
  await ask(first, second, 'put', { key, value })
  return (await ask(second, first, 'range', { key })).includes(value)
}

/** What a node is known by, and nothing that may change. */
const likeness = ({ self, cluster }: StatusDocument): string =>
  [self.id, self.name, self.address, self.role, cluster.id].join(' ')

async function killAndStart(project: Project): Promise<string | false> {
  const containers = await project.containers()
  const before = await look(project)
  const leader = commonLeader(before)
  const index = [...before].find(([, { self }]) => self.id === leader)?.[0]
  const victim = containers[(index ?? 0) - 1]
  const was = before.get(index ?? 0)
  if (victim === undefined || was === undefined) return false
  await project.docker('kill', victim)
  await until('the others have another leader and miss the killed', async () => {
    const others = await look(project)
    const successor = commonLeader(others)
    const isMissed = ({ nodes }: StatusDocument): boolean =>
      nodes.some((node) => node.id === was.self.id && !node.alive)
    return (
      others.size === containers.length - 1 &&
      successor !== null &&
      successor !== leader &&
      [...others.values()].every(isMissed)
    )
  })
  await project.docker('start', victim)
  const after = (await allReady(project, containers.length)).get(index ?? 0)
  return after !== undefined && likeness(after) === likeness(was) && was.self.name
}

async function oneMore(project: Project): Promise<string | false> {
  const before = await look(project)
  await project.compose('up', '--detach', '--no-recreate', '--scale', `node=${before.size + 1}`)
  const view = await allReady(project, before.size + 1)
  const isUntouched = [...before].every(([index, status]) => {
    const now = view.get(index)
    return now !== undefined && likeness(now) === likeness(status)
  })
  const self = view.get(before.size + 1)?.self
  return isUntouched && self?.role === 'agent' && `${self.name} is ${self.address}`
}

async function offAndOn(project: Project): Promise<boolean> {
  const before = await look(project)
  await project.compose('stop', '--timeout', '10')
  await project.compose('start')
  const after = await allReady(project, before.size)
  return [...before].every(([index, status]) => {
    const now = after.get(index)
    return now !== undefined && likeness(now) === likeness(status)
  })
}

async function keepsSecrets(project: Project, token: string, processes: readonly string[]): Promise<string> {
  const containers = await project.containers()
  const needles: Needle[] = [needleOfText('the token', token)]
  for (const id of containers) {
    const { privateKeyProtobuf, sealKey, wireguard } = await project.identity(id)
    const of = id.slice(0, 12)
    needles.push(
      // Its last 64 bytes are the private and the public half.
      needleOfBytes(`the identity of ${of}`, privateKeyProtobuf.reveal().subarray(-64, -32)),
      needleOfBytes(`the sealing key of ${of}`, sealKey.privateKey.reveal()),
      needleOfBytes(`the WireGuard key of ${of}`, wireguard.privateKey.reveal()),
    )
  }
  const places: [string, string][] = [
    ['image', await project.docker('image', 'inspect', 'muster')],
    ['image history', await project.docker('history', '--no-trunc', 'muster')],
    ['compose config', await project.compose('config')],
    ['compose logs', await project.compose('logs', '--no-color')],
    ['output of compose', project.printed.join('\n')],
    ['processes', processes.join('\n')],
  ]
  for (const id of containers) {
    places.push(
      [`inspect ${id}`, await project.docker('inspect', id)],
      [`ps ${id}`, await project.docker('top', id, '-eo', 'pid,args')],
      [`status of ${id}`, await project.muster(id, 'status', '--json')],
      [`history of ${id}`, await project.muster(id, 'history', '--json')],
    )
  }
  // A search that finds nothing where the secrets are would find them nowhere.
  const [first] = containers
  if (first === undefined) throw new Error('there is no container')
  const own = [
    await project.docker('exec', first, 'cat', '/run/secrets/token'),
    await project.docker('exec', first, 'wg', 'show', 'muster0', 'private-key'),
  ].join('\n')
  if (found(needles, own).length !== 2) throw new Error('the search does not find what is there')
  const leaks = places.flatMap(([place, text]) => found(needles, text).map((what) => `${what} in ${place}`))
  if (leaks.length > 0) throw new Error(leaks.join(', '))
  return `${needles.length} secrets, ${places.length} places, ${processes.length} command lines and environments`
}

async function down(project: Project): Promise<boolean> {
  await project.compose('down', '--volumes', '--timeout', '5')
  const left = await project.remains()
  if (left.length > 0) throw new Error(`still there: ${left.join(', ')}`)
  return true
}
