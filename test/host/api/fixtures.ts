/** Documents and a daemon of their own for the tests of API and command. */
import type { Command, CommandAnswer } from '../../../src/core/commands.ts'
import type { HistoryEntry, StatusDocument, StatusNode } from '../../../src/core/status.ts'
import type { DaemonView, Kubeconfig, MachineCommand, PlanSettings } from '../../../src/host/api/view.ts'
import type { CommandGiven } from '../../../src/host/driver.ts'
import type { LogEvent } from '../../../src/host/log.ts'

const ids = ['12D3KooWAlpha', '12D3KooWBravo', '12D3KooWCharlie', '12D3KooWDelta', '12D3KooWEcho'] as const
export const ALPHA = ids[0]

export const node = (index: number, changes: Partial<StatusNode> = {}): StatusNode => ({
  id: ids[index] ?? `12D3KooWNode${index}`,
  name: `rack-${index + 1}`,
  address: `10.86.0.${index + 1}`,
  role: 'server',
  stage: 'ready',
  alive: true,
  lastSeenMs: index === 0 ? 0 : 420,
  path: index === 0 ? 'self' : 'direct',
  os: { slot: null, version: null, digest: null },
  ...changes,
})

export const readyStatus = (): StatusDocument => ({
  apiVersion: 'muster/v1',
  self: { id: ALPHA, name: 'rack-1', stage: 'ready', address: '10.86.0.1', role: 'server' },
  cluster: {
    id: '4f1d9a0c'.repeat(8),
    network: 'shop-12',
    state: 'formed',
    expect: 3,
    era: '4f1d9a0c'.repeat(8),
    term: 2,
    leader: ids[1],
    planIndex: 14,
  },
  nodes: [node(0), node(1), node(2), node(3, { role: 'agent', path: 'relayed', lastSeenMs: 1_900 })],
  distribution: {
    kind: 'etcd',
    version: '3.4.23',
    healthy: true,
    members: [
      { name: 'rack-1', voter: true, healthy: true },
      { name: 'rack-2', voter: true, healthy: true },
      { name: 'rack-3', voter: true, healthy: true },
    ],
  },
  act: null,
  rollout: null,
  waitingFor: [],
  problems: [],
})

export const formingStatus = (): StatusDocument => ({
  ...readyStatus(),
  self: { id: ALPHA, name: 'rack-1', stage: 'founding', address: null, role: 'pending' },
  cluster: {
    id: null,
    network: 'shop-12',
    state: 'founding',
    expect: 3,
    era: null,
    term: 0,
    leader: null,
    planIndex: null,
  },
  nodes: [
    node(0, { address: null, role: 'pending', stage: 'founding' }),
    node(1, { address: null, role: 'pending', stage: null, path: 'none' }),
  ],
  distribution: { kind: 'etcd', version: null, healthy: false, members: [] },
  waitingFor: ['1 more machine: 2 of 3 are here, for 40 s'],
})

export const historyOfThree = (): HistoryEntry[] => [
  {
    index: 0,
    term: 0,
    at: null,
    cause: 'founded',
    node: ALPHA,
    text: 'founded by rack-1, rack-2, rack-3',
    by: null,
  },
  {
    index: 1,
    term: 1,
    at: '2026-01-02T03:04:05.000Z',
    cause: 'initialise',
    node: ALPHA,
    text: 'rack-1 initialises',
    by: null,
  },
  {
    index: 2,
    term: 1,
    at: '2026-01-02T03:04:09.000Z',
    cause: 'joined',
    node: ids[1],
    text: 'rack-2 joined',
    by: null,
  },
]

export const logEvent = (event: string, fields: LogEvent['fields'] = {}): LogEvent => ({
  at: '2026-01-02T03:04:05.678Z',
  level: 'info',
  event,
  fields,
})

/** A daemon whose status can be set and whose events can be sent; it remembers the commands. */
export class FakeDaemon implements DaemonView {
  current: StatusDocument
  commands: string[] = []
  answer: CommandAnswer = { ok: true, message: 'done', hint: null }
  /** What was ordered, by whom. */
  orders: { readonly command: Command; readonly by: CommandGiven }[] = []
  planSettings: PlanSettings | null = null
  kubeconfigAnswer: Kubeconfig = { ok: false, message: 'this is no server', hint: 'ask on a server' }
  /** What kubeconfigs were asked for. */
  addresses: string[] = []
  readonly #listeners = new Set<(event: LogEvent) => void>()

  constructor(status: StatusDocument = readyStatus()) {
    this.current = status
  }

  get listeners(): number {
    return this.#listeners.size
  }

  become(status: StatusDocument): void {
    this.current = status
    this.emit(logEvent('stage.changed', { stage: status.self.stage }))
  }

  emit(event: LogEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  status(): StatusDocument {
    return this.current
  }

  history(): HistoryEntry[] {
    return historyOfThree()
  }

  subscribe(listener: (event: LogEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  metrics(): Promise<string> {
    return Promise.resolve('muster_ready 1\n')
  }

  settings(): PlanSettings | null {
    return this.planSettings
  }

  kubeconfig(address: string): Promise<Kubeconfig> {
    this.addresses.push(address)
    return Promise.resolve(this.kubeconfigAnswer)
  }

  command({ kind }: MachineCommand): Promise<CommandAnswer> {
    this.commands.push(kind)
    return Promise.resolve(this.answer)
  }

  order(command: Command, by: CommandGiven): Promise<CommandAnswer> {
    this.orders.push({ command, by })
    return Promise.resolve(this.answer)
  }
}
