/**
 * What servers do all the time. Each tells that its API is there; the one whose etcd leads promotes learners, takes
 * away those that stall, says of each node whether it is a voter, calls nodes that fall silent unknown, and when a
 * node is deleted removes its member and its password.
 */
import { hostname } from 'node:os'
import { scaled } from './baked.ts'
import type { ClusterState } from './cluster-state.ts'
import type { EtcdClient, Member } from './etcd-client.ts'
import { log, wordsOf } from './log.ts'
import { passwordSecret } from './node-password.ts'
import { type Kube, KubeError, NODES, NodeStatus, SECRETS } from './objects.ts'

const NAME = 'etcd.k3s.cattle.io/node-name'
const ADDRESS = 'etcd.k3s.cattle.io/node-address'
const ETCD_ROLE = 'node-role.kubernetes.io/etcd'
const API_SERVERS = '/registry/masterleases/'

/** `address:port` of every server whose API was there a moment ago. */
export async function apiServers(etcd: EtcdClient): Promise<string[]> {
  return (await etcd.list(API_SERVERS)).map(({ value }) => value).sort()
}

export class Controllers {
  readonly #state: ClusterState
  /** Last heartbeat of each node and when it was seen first; monotonic milliseconds. */
  readonly #heartbeats = new Map<string, { readonly text: string; readonly seenAt: number }>()
  #stalled: { readonly id: string; index: string; since: number } | null = null

  constructor(state: ClusterState) {
    this.#state = state
  }

  start(): void {
    const { settings, member } = this.#state
    this.#every(5_000, () => this.#announce())
    if (member !== null) this.#every(15_000, () => this.#tendMembers())
    this.#every(5_000, () => this.#tendNodes())
    if (!settings.disableAgent) this.#every(2_000, () => this.#label())
  }

  #every(ms: number, duty: () => Promise<void>): void {
    const round = (): void => {
      duty()
        .catch((error: unknown) => log('error', wordsOf(error)))
        .finally(() => setTimeout(round, scaled(ms)))
    }
    round()
  }

  async #announce(): Promise<void> {
    const { etcd, settings, isApiUp } = this.#state
    if (!isApiUp) return
    const lease = await etcd.grantLease(Math.max(2, Math.ceil(scaled(15_000) / 1_000)))
    await etcd.put(`${API_SERVERS}${settings.address}`, `${settings.address}:${settings.port}`, lease)
  }

  async #leads(): Promise<boolean> {
    const { etcd, settings, member } = this.#state
    if (member === null) return (await apiServers(etcd))[0] === `${settings.address}:${settings.port}`
    const { header, leader } = await etcd.status()
    return header.member_id === leader
  }

  async #tendMembers(): Promise<void> {
    const { etcd } = this.#state
    if (!(await this.#leads())) return
    const members = await etcd.members()
    const learner = members.find(({ isLearner }) => isLearner)
    if (learner !== undefined) await this.#tendLearner(learner)
    if (!this.#state.isApiUp) return
    for (const node of await this.#state.objects.list(NODES, '')) {
      if (node.metadata.labels?.[ETCD_ROLE] === undefined) continue
      await this.#setVoter(node, members)
    }
  }

  async #tendLearner({ ID, name }: Member): Promise<void> {
    const { etcd } = this.#state
    try {
      await etcd.promote(ID)
      log('info', `Promoted learner ${name}`)
      this.#stalled = null
      return
    } catch (error) {
      log('info', `Unable to promote learner ${name}: ${wordsOf(error)}`)
    }
    const now = performance.now()
    if (this.#stalled?.id !== ID) this.#stalled = { id: ID, index: '0', since: now }
    if (now - this.#stalled.since < scaled(5 * 60_000)) return
    await etcd.remove(ID)
    log('warning', `Removed learner ${name} from etcd cluster`)
  }

  async #setVoter(node: Kube, members: readonly Member[]): Promise<void> {
    const member = members.find(({ name }) => name === node.metadata.annotations?.[NAME])
    const [status, reason, message] =
      member === undefined
        ? ['False', 'NotAMember', 'Node is not a member of the etcd cluster']
        : member.isLearner
          ? ['False', 'MemberIsLearner', 'Node has not been promoted to voting member of the etcd cluster']
          : ['True', 'MemberNotLearner', 'Node is a voting member of the etcd cluster']
    await this.#setCondition(node.metadata.name, { type: 'EtcdIsVoter', status, reason, message })
  }

  async #tendNodes(): Promise<void> {
    const { objects, isApiUp } = this.#state
    if (!isApiUp || !(await this.#leads())) return
    const now = performance.now()
    for (const node of await objects.list(NODES, '')) {
      if (node.metadata.deletionTimestamp !== undefined) {
        await this.#bury(node)
        continue
      }
      const ready = NodeStatus.parse(node.status ?? {}).conditions.find(({ type }) => type === 'Ready')
      const text = String(ready?.lastHeartbeatTime)
      const known = this.#heartbeats.get(node.metadata.name)
      if (known?.text !== text) this.#heartbeats.set(node.metadata.name, { text, seenAt: now })
      else if (now - known.seenAt > scaled(50_000) && ready?.status === 'True') {
        const message = 'Kubelet stopped posting node status.'
        const unknown = { ...ready, status: 'Unknown', reason: 'NodeStatusUnknown', message }
        await this.#setCondition(node.metadata.name, unknown)
      }
    }
  }

  /** The member first, by the name and address that the node was known by; then the rest. */
  async #bury(node: Kube): Promise<void> {
    const { etcd, objects, member } = this.#state
    const { name: nodeName, annotations = {} } = node.metadata
    const address = annotations[ADDRESS]
    const found =
      member === null ? undefined : (await etcd.members()).find(({ name }) => name === annotations[NAME])
    if (found?.peerURLs.some((url) => new URL(url).hostname === address)) {
      log('info', `Removing name=${found.name} id=${found.ID} address=${address} from etcd`)
      await etcd.remove(found.ID)
    }
    await objects.delete(SECRETS, 'kube-system', passwordSecret(nodeName)).catch(ignoreMissing)
    await objects.delete(NODES, '', nodeName).catch(ignoreMissing)
    this.#heartbeats.delete(nodeName)
  }

  /** Says of the own node what only a server can say. */
  async #label(): Promise<void> {
    const { objects, settings, member, isApiUp } = this.#state
    if (!isApiUp) return
    const name = settings.name || hostname()
    const node = await objects.get(NODES, '', name).catch(() => null)
    if (node === null) return
    const labels = {
      'node-role.kubernetes.io/control-plane': 'true',
      'node-role.kubernetes.io/master': 'true',
      ...(member === null ? {} : { [ETCD_ROLE]: 'true' }),
    }
    const annotations = member === null ? {} : { [NAME]: member.name, [ADDRESS]: settings.address }
    const { metadata } = node
    const isSaid =
      Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value) &&
      Object.entries(annotations).every(([key, value]) => metadata.annotations?.[key] === value)
    if (isSaid) return
    await objects.change(NODES, '', name, (old) => ({
      ...old,
      metadata: {
        ...old.metadata,
        labels: { ...old.metadata.labels, ...labels },
        annotations: { ...old.metadata.annotations, ...annotations },
      },
    }))
  }

  async #setCondition(node: string, condition: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#state.objects
      .change(NODES, '', node, (old) => {
        const status = NodeStatus.parse(old.status ?? {})
        const before = status.conditions.find(({ type }) => type === condition.type)
        if (before !== undefined && before.status === condition.status) return old
        const others = status.conditions.filter((each) => each !== before)
        const changed = { ...condition, lastTransitionTime: new Date().toISOString() }
        return { ...old, status: { ...status, conditions: [...others, changed] } }
      })
      .catch(ignoreMissing)
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof KubeError && error.reason === 'NotFound')) throw error
}
