/**
 * The one loop between the core and the machine: it gives the core events with the time at which they
 * happened, and carries out what the core answers. It decides nothing.
 *
 * Persist, then speak: events that came together are handled together, then the newest durable state is
 * written once, and only when it is on disk are messages sent and orders given. While the disk refuses,
 * nothing leaves and no further event is handled: to the others this node is silent, which is safe.
 */
import { performance } from 'node:perf_hooks'
import type { Command, CommandAnswer, SignedCommand } from '../core/commands.ts'
import type { Crypto } from '../core/crypto.ts'
import type { Effect, Event, LogFields, Start } from '../core/events.ts'
import { assertNever, type Digest, type Millis, millis, type NodeId } from '../core/ids.ts'
import {
  decodeLeaderRecord,
  encodeLeaderRecord,
  type LeaderRecord,
  leaderRecordKey,
} from '../core/leader-record.ts'
import { nextDeadline, start, step } from '../core/node.ts'
import type { DistributionOrder, HostProblem, MeshOrder } from '../core/orders.ts'
import { decodeMessage, encodeMessage, type Message, ProtocolError } from '../core/protocol.ts'
import { historyOf, statusOf } from '../core/report.ts'
import type { ClusterSettings } from '../core/settings.ts'
import type { Durable, NodeState } from '../core/state.ts'
import type { HistoryEntry, StatusDocument } from '../core/status.ts'
import { certifiedOf } from '../core/voters.ts'

/** What the driver needs of the machine. Each part reports by calling the driver's methods. */
export interface Machine {
  /** Resolves once the value is on disk for good. */
  save(durable: Durable): Promise<void>
  send(to: NodeId, bytes: Uint8Array): void
  dial(peer: NodeId, addresses: readonly string[]): void
  publish(key: string, value: Uint8Array): void
  lookup(key: string): Promise<Uint8Array[]>
  orderMesh(order: MeshOrder): void
  orderDistribution(order: DistributionOrder): void
  /** With these no connection may be, from now on: the whole list. */
  shun(peers: readonly NodeId[]): void
  /** Problems of store and network, which the core does not see. */
  problems(): readonly HostProblem[]
  log(level: 'debug' | 'info' | 'warn' | 'error', event: string, fields: LogFields): void
  count(name: string, labels?: Readonly<Record<string, string>>): void
  /** The core threw: a bug. Its state is not to be trusted any more, so the process must end. */
  failed(error: unknown): void
}

export interface Driver {
  handle(event: Event): void
  receive(from: NodeId, bytes: Uint8Array): void
  status(): StatusDocument
  history(): HistoryEntry[]
  /** What the certified plan says of the cluster's settings, and its index; null before there is a plan. */
  settings(): { readonly index: number; readonly settings: ClusterSettings } | null
  /** A person's command, given by `who`: resolves with what became of it, in bounded time. */
  command(command: Command, by: CommandGiven): Promise<CommandAnswer>
  /** Genesis as known now, for the checks of the DHT. */
  genesis(): NodeState['durable']['genesis']
  genesisId(): Digest | null
  /** No further event is handled; resolves when a write under way has ended. */
  stop(): Promise<void>
}

/** Who gave a command, why, and with which operator's signature. */
export interface CommandGiven {
  readonly who: string
  readonly why: string | null
  readonly operator: SignedCommand | null
}

/** A timer is never set further ahead than this (setTimeout's own limit is 2^31 ms). */
const SLEEP_MAX_MS = 60_000
/** A failed write is tried again after this long: a full disk is freed by a person, in minutes. */
const SAVE_RETRY_MS = 1_000
/** Events handled before their effects are carried out: bounds how long an answer may wait. */
const BATCH_MAX = 256

/** The answer to who still waited when the daemon ended. */
const STOPPED: CommandAnswer = {
  ok: false,
  message: 'the daemon stopped before the answer came',
  hint: 'the command may still have been carried out: see `muster history`',
}

/** Monotonic, whole milliseconds. */
const clock = (): Millis => millis(Math.round(performance.now()))

export function startDriver(crypto: Crypto, machine: Machine, given: Start): Driver {
  const first = start(crypto, clock(), given)
  const { state } = first
  const queue: Event[] = []
  const asked = new Map<string, (answer: CommandAnswer) => void>()
  let requests = 0
  let timer: NodeJS.Timeout | undefined
  let running = true
  let storeProblem: HostProblem | null = null
  let wake: (() => void) | null = null

  const handle = (event: Event): void => {
    queue.push(event)
    wake?.()
  }

  const loop = async (): Promise<void> => {
    await carryOut(first.effects)
    while (running) {
      if (queue.length === 0) await nextEvent()
      const effects: Effect[] = []
      const now = clock()
      for (const event of queue.splice(0, BATCH_MAX)) effects.push(...step(crypto, state, now, event))
      await carryOut(effects)
    }
  }

  /** Waits for an event from outside, or for the core's own next deadline. */
  const nextEvent = (): Promise<void> =>
    new Promise((resolve) => {
      const now = clock()
      const { at } = nextDeadline(state, now)
      const done = (): void => {
        wake = null
        clearTimeout(timer)
        resolve()
      }
      wake = done
      timer = setTimeout(
        () => {
          queue.push({ kind: 'timer' })
          done()
        },
        Math.max(0, Math.min(at - now, SLEEP_MAX_MS)),
      )
    })

  const carryOut = async (effects: readonly Effect[]): Promise<void> => {
    const newest = effects.findLast((effect) => effect.kind === 'persist')
    if (newest?.kind === 'persist') await saveUntilDone(newest.durable)
    for (const effect of effects) if (running) perform(effect)
  }

  const saveUntilDone = async (durable: Durable): Promise<void> => {
    while (running) {
      try {
        await machine.save(durable)
        if (storeProblem !== null) machine.log('info', 'store.recovered', {})
        storeProblem = null
        return
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        const hint = error instanceof Error && 'hint' in error ? String(error.hint) : 'see the message'
        if (storeProblem === null) machine.log('error', 'store.failed', { message })
        machine.count('store.failed')
        storeProblem = { code: 'store.failed', severity: 'error', message, hint }
        await new Promise((resolve) => setTimeout(resolve, SAVE_RETRY_MS))
      }
    }
  }

  const perform = (effect: Effect): void => {
    switch (effect.kind) {
      case 'persist':
        return
      case 'send':
        machine.count('message.sent', { kind: effect.message.kind })
        machine.send(effect.to, encodeMessage(effect.message))
        return
      case 'dial':
        machine.dial(effect.peer, effect.addresses)
        return
      case 'mesh':
        machine.orderMesh(effect.order)
        return
      case 'distribution':
        machine.orderDistribution(effect.order)
        return
      case 'answer': {
        const { request, ok, message, hint } = effect
        asked.get(request)?.({ ok, message, hint })
        asked.delete(request)
        return
      }
      case 'shun':
        machine.shun(effect.peers)
        return
      case 'publish':
        machine.publish(leaderRecordKey(effect.record.era), encodeLeaderRecord(effect.record))
        return
      case 'lookup':
        void lookUp(effect.genesis)
        return
      case 'log':
        machine.count(effect.event)
        machine.log(effect.level, effect.event, effect.fields)
        return
      default:
        assertNever(effect)
    }
  }

  const lookUp = async (genesis: Digest): Promise<void> => {
    try {
      const values = await machine.lookup(leaderRecordKey(genesis))
      const records = values
        .map(decodeLeaderRecord)
        .filter((record): record is LeaderRecord => record !== null)
      if (records.length > 0) handle({ kind: 'leader-records', records })
    } catch (error) {
      machine.log('debug', 'leader-record.lookup-failed', { message: String(error) })
    }
  }

  const finished = loop().catch((error: unknown) => {
    running = false
    machine.failed(error)
  })

  return {
    handle,
    receive: (from, bytes) => {
      let message: Message
      try {
        message = decodeMessage(bytes)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        machine.count('message.refused', { what: 'frame' })
        machine.log('warn', 'message.refused', { from, what: 'frame', why: error.message })
        return
      }
      machine.count('message.received', { kind: message.kind })
      handle({ kind: 'message', from, message })
    },
    status: () => {
      const host = storeProblem === null ? machine.problems() : [storeProblem, ...machine.problems()]
      return statusOf(state, clock(), host)
    },
    history: () => historyOf(state),
    settings: () => {
      const certified = certifiedOf(state)
      return certified === null ? null : { index: certified.index, settings: certified.plan.settings }
    },
    command: (command, by) =>
      new Promise((resolve) => {
        if (!running) return resolve(STOPPED)
        requests += 1
        const request = String(requests)
        asked.set(request, resolve)
        handle({ kind: 'command', request, command, ...by })
      }),
    genesis: () => state.durable.genesis,
    genesisId: () => state.genesisId,
    stop: async () => {
      running = false
      wake?.()
      await finished
      for (const resolve of asked.values()) resolve(STOPPED)
      asked.clear()
    },
  }
}

/** A node that lost its state (rule 2): it tells who asks, and does nothing else, not even write. */
export function startReporter(crypto: Crypto, given: Start): Driver {
  const { state } = start(crypto, clock(), given)
  return {
    handle: () => undefined,
    receive: () => undefined,
    status: () => statusOf(state, clock()),
    history: () => [],
    settings: () => null,
    command: async () => ({
      ok: false,
      message: given.damaged?.message ?? STOPPED.message,
      hint: given.damaged?.hint ?? null,
    }),
    genesis: () => null,
    genesisId: () => null,
    stop: async () => undefined,
  }
}
