/**
 * This server's member of the embedded etcd: how it comes to be one. The write-ahead log decides: where there is
 * one, neither cluster-init nor server says anything. A joiner is added as learner, one at a time, under a name that
 * is made once; another server promotes it when it has caught up.
 */
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { scaled } from './baked.ts'
import { EtcdClient, EtcdRefusal } from './etcd-client.ts'
import { type EtcdPlace, EtcdProcess, restoreSnapshot } from './etcd-process.ts'
import { call } from './https-client.ts'
import { Fatal, log, wordsOf } from './log.ts'
import type { Pair } from './pki.ts'
import type { ServerSettings } from './settings.ts'
import type { Stages } from './stages.ts'

/** How a joiner speaks to the server that it was given. */
export interface Introduction {
  readonly url: string
  readonly ca: string
  readonly password: string
}

export class EtcdMember {
  readonly name: string
  readonly client: EtcdClient
  readonly #settings: ServerSettings
  readonly #stages: Stages
  readonly #etcdCa: string
  readonly #cert: Pair
  #process: EtcdProcess | null = null

  constructor(settings: ServerSettings, stages: Stages, etcdCa: string, cert: Pair) {
    this.#settings = settings
    this.#stages = stages
    this.#etcdCa = etcdCa
    this.#cert = cert
    this.name = memberName(settings, settings.clusterReset)
    this.client = new EtcdClient(['https://127.0.0.1:2379'], etcdCa, cert)
  }

  get peerUrl(): string {
    return `https://${this.#settings.address}:2380`
  }

  /** The voter's data are there and etcd runs with them, or it is on the way. */
  async start(introduction: Introduction | null): Promise<void> {
    const { address } = this.#settings
    if (isInitialised(this.#settings)) {
      log('info', 'Starting etcd for existing cluster member')
      chmodSync(databaseDirectory(this.#settings), 0o700)
      this.#run({ as: 'existing' })
    } else if (introduction === null) {
      log('info', 'Starting etcd for new cluster, cluster-reset=false')
      this.#run({ as: 'new' })
    } else {
      const cluster = await this.#join(introduction)
      await this.#stages.pass('member-added')
      log('info', `Starting etcd to join cluster with members [${cluster.join(' ')}]`)
      this.#run({ as: 'join', cluster })
    }
    log('info', `etcd member ${this.name} at ${address}`)
  }

  /** Forgets all other members, then ends the program: `--cluster-reset`. */
  async reset(): Promise<void> {
    const flag = resetFlag(this.#settings)
    const { restorePath } = this.#settings
    if (restorePath === '' && existsSync(flag)) {
      throw new Fatal(
        `Managed etcd cluster membership was previously reset, please remove the cluster-reset flag and start k3s normally. If you need to perform another cluster reset, you must first manually delete the file at ${flag}`,
      )
    }
    if (restorePath !== '') {
      if (!existsSync(restorePath)) throw new Fatal(`etcd: snapshot path does not exist: ${restorePath}`)
      const directory = databaseDirectory(this.#settings)
      if (existsSync(directory)) renameSync(directory, `${directory}-old-${Math.floor(Date.now() / 1000)}`)
      await restoreSnapshot(this.#place(), restorePath)
      writeFileSync(join(directory, 'name'), this.name, { mode: 0o600 })
    } else if (!isInitialised(this.#settings)) {
      throw new Fatal('cluster-reset: etcd database not found')
    }
    writeFileSync(flag, '', { mode: 0o600 })
    log('info', 'Starting etcd for new cluster, cluster-reset=true')
    this.#run({ as: 'reset' })
    for (;;) {
      const alone = await this.client
        .members()
        .then((members) => members.length === 1 && members[0]?.name === this.name)
        .catch(() => false)
      if (alone) break
      await sleep(scaled(5_000))
    }
    await this.#process?.end()
    log(
      'info',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: k3s' own words
      'Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes',
    )
  }

  /** Says why not where this server is no voter of a working cluster. */
  async test(): Promise<void> {
    const status = await this.client.status()
    if (status.isLearner)
      throw new Error('this server has not yet been promoted from learner to voting member')
    if (status.errors.length > 0) throw new Error(`etcd cluster errors: ${status.errors.join(', ')}`)
    const members = await this.client.members()
    if (members.some(({ name, peerURLs }) => name === this.name && peerURLs.includes(this.peerUrl))) return
    const found = members.map(({ name, peerURLs }) => `${name}=${peerURLs[0]}`).join(' ')
    throw new Error(
      `this server is a not a member of the etcd cluster. Found [${found}], expect: ${this.name}=${this.peerUrl}`,
    )
  }

  async end(): Promise<void> {
    this.client.close()
    await this.#process?.end()
  }

  async #join(introduction: Introduction): Promise<string[]> {
    for (;;) {
      try {
        return await this.#enter(introduction)
      } catch (error) {
        const words = wordsOf(error)
        const passes =
          error instanceof EtcdRefusal && /too many learner members|unhealthy cluster/.test(words)
        if (passes) log('info', `Waiting for other members to finish joining etcd cluster: ${words}`)
        else if (error instanceof ListFailed)
          log('info', `Waiting to retrieve etcd cluster member list: ${words}`)
        else throw new Fatal(`etcd cluster join failed: ${words}`)
        await sleep(scaled(1_000))
      }
    }
  }

  async #enter({ url, ca, password }: Introduction): Promise<string[]> {
    const { address, name: nodeName } = this.#settings
    const reply = await call(`${url}/db/info`, { ca, basic: { user: 'server', password } })
    if (reply.status !== 200) throw new ListFailed(`failed to get MemberList from server: ${reply.text}`)
    const { members } = Info.parse(JSON.parse(reply.text))
    const named = members.map((member) => ({
      ...member,
      name: member.name === '' && member.peerURLs.includes(this.peerUrl) ? this.name : member.name,
    }))
    for (const { name } of named) {
      if (name === this.name || name.slice(0, name.lastIndexOf('-')) !== nodeName) continue
      rmSync(nameFile(this.#settings), { force: true })
      throw new Fatal('duplicate node name found, please use a unique name for this node')
    }
    const cluster = named.flatMap(({ name, peerURLs }) => peerURLs.map((peer) => `${name}=${peer}`))
    if (named.some(({ name, peerURLs }) => name === this.name && peerURLs.includes(this.peerUrl)))
      return cluster
    log('info', `Adding member ${this.name}=${this.peerUrl} to etcd cluster [${cluster.join(' ')}]`)
    const endpoints = named
      .filter(({ isLearner }) => !isLearner)
      .flatMap(({ clientURLs }) => clientURLs)
      .filter((endpoint) => new URL(endpoint).hostname !== address)
    const others = new EtcdClient(endpoints, this.#etcdCa, this.#cert)
    try {
      await others.addLearner(this.peerUrl)
    } finally {
      others.close()
    }
    return [...cluster, `${this.name}=${this.peerUrl}`]
  }

  #run(start: ConstructorParameters<typeof EtcdProcess>[1]): void {
    this.#process = new EtcdProcess(
      this.#place(),
      start,
      () => {
        writeFileSync(join(databaseDirectory(this.#settings), 'tombstone'), '', { mode: 0o600 })
        log('info', 'this node has been removed from the cluster please restart k3s to rejoin the cluster')
      },
      () => {
        log('fatal', 'etcd exited: the embedded etcd has ended')
        process.exit(1)
      },
    )
  }

  #place(): EtcdPlace {
    const { address, directory, etcdArguments } = this.#settings
    return {
      name: this.name,
      address,
      dataDirectory: databaseDirectory(this.#settings),
      keys: join(directory, 'tls/etcd'),
      more: etcdArguments,
    }
  }
}

class ListFailed extends Error {}

const Info = z.object({
  members: z.array(
    z.object({
      name: z.string().default(''),
      peerURLs: z.array(z.string()).default([]),
      clientURLs: z.array(z.string()).default([]),
      isLearner: z.boolean().default(false),
    }),
  ),
})

const databaseDirectory = (settings: ServerSettings): string => join(settings.directory, 'db/etcd')
const nameFile = (settings: ServerSettings): string => join(databaseDirectory(settings), 'name')
export const resetFlag = (settings: ServerSettings): string => join(settings.directory, 'db/reset-flag')

export const isInitialised = (settings: ServerSettings): boolean =>
  existsSync(join(databaseDirectory(settings), 'member/wal'))

/** A member that was removed finds this out once; at its next start its data are put aside and it joins as new. */
export function heedTombstone(settings: ServerSettings): void {
  const directory = databaseDirectory(settings)
  if (!existsSync(join(directory, 'tombstone'))) return
  log('info', 'tombstone file has been detected, removing data dir to rejoin the cluster')
  renameSync(
    directory,
    `${directory}-old-${Math.floor(Date.now() / 1000)}-${readdirSync(join(directory, '..')).length}`,
  )
}

function memberName(settings: ServerSettings, isForced: boolean): string {
  const file = nameFile(settings)
  if (existsSync(file) && !isForced) return readFileSync(file, 'utf8')
  const name = `${settings.name}-${randomUUID().slice(0, 8)}`
  mkdirSync(databaseDirectory(settings), { recursive: true, mode: 0o700 })
  writeFileSync(file, name, { mode: 0o600 })
  return name
}
