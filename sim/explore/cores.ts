/**
 * The real core as a finite machine: numbered states of each machine, numbered letters, and what each state
 * does with each letter, asked of `step` once. A machine that crashes starts again at once with its disk; that
 * it was off in between is the same as that nothing was delivered.
 */
import type { Effect, Event } from '../../src/core/events.ts'
import { millis, type NodeId } from '../../src/core/ids.ts'
import { start, step } from '../../src/core/node.ts'
import type { DistributionFacts } from '../../src/core/orders.ts'
import type { Message } from '../../src/core/protocol.ts'
import type { SignedRecord } from '../../src/core/record.ts'
import type { Settings } from '../../src/core/settings.ts'
import type { Durable, NodeState } from '../../src/core/state.ts'
import { type Keys, randomBytes, sha256, symbolicKeymaker } from '../crypto.ts'
import { randomFrom } from '../random.ts'
import { type Broken, type Claim, FAR, type Letter, type Model, NOW } from './model.ts'
import { copyOf, textOf } from './plain.ts'

/** One state of one machine, with what it does next. */
export interface Local {
  readonly number: number
  readonly machine: number
  readonly boots: number
  readonly state: NodeState
  readonly disk: Durable
  /** Pairs of a key's and a value's number, one after the other. */
  readonly claims: readonly number[]
  /** By number of the letter, and by -1 - number of the move; the crash is the last move. */
  readonly answers: Map<number, Answer | null>
}

export interface Answer {
  readonly next: Local
  /** Numbers of what it said. */
  readonly said: readonly number[]
  readonly fault: Broken | null
  readonly proves: boolean
}

export interface Cores {
  readonly keys: readonly Keys[]
  readonly letters: readonly Letter[]
  readonly locals: readonly Local[]
  readonly first: readonly Local[]
  readonly firstLetters: readonly number[]
  /** How often the core was asked. */
  readonly asked: () => number
  claimsOf(letter: number): readonly number[]
  claim(key: number, value: number): Claim
  /** What a state does with a letter; null: nothing. */
  hears(local: Local, letter: number): Answer | null
  /** What a state does when a time has come, or when it crashes; null: that cannot be. */
  moves(local: Local, move: number): Answer | null
  readonly moveNames: readonly string[]
}

const NO_DATASTORE: DistributionFacts = {
  version: null,
  dataPresent: false,
  dataEpoch: null,
  dataGenesis: null,
  running: false,
  healthy: false,
  voter: false,
  ready: false,
  clusterId: null,
  members: [],
  nodes: [],
  revision: null,
  prepared: null,
  snapshot: null,
  problems: [],
}
/** Longer than a start waits for anything. */
const START_WAIT_MS = 600_000
/** One in so many steps is checked not to have touched the state that it began with. */
const CHECK_EVERY = 64

export const settingsOf = ({ expect, cluster }: Pick<Model, 'expect' | 'cluster'>): Settings => ({
  network: 'model',
  networkId: sha256(new TextEncoder().encode('network')),
  expect,
  pin: null,
  settleMs: 1,
  founders: null,
  serverPreference: 'neutral',
  allowEphemeral: false,
  cluster,
})

/** The same every time: what one model found, another may begin with. */
export async function castOf(count: number): Promise<Keys[]> {
  const keymaker = symbolicKeymaker()
  const keys: Keys[] = []
  for (let i = 0; i < count; i++) {
    keys.push(await keymaker(String.fromCharCode(97 + i), randomFrom(1, `keys ${i}`)))
  }
  return keys
}

/** Starts a core; a run has randomness of its own. */
export function startCore(
  keys: Keys,
  machine: number,
  boots: number,
  settings: Settings,
  durable: Durable | null,
): { state: NodeState; effects: Effect[] } {
  return start(keys.crypto, millis(NOW), {
    id: keys.id,
    settings,
    claim: {
      name: `host-${machine}`,
      sealKey: keys.sealKey,
      wireguardKey: keys.wireguardKey,
      lanAddress: null,
      serverPreference: 'neutral',
      cpus: 4,
      memoryMiB: 4_096,
    },
    version: 'model',
    fingerprint: sha256(new TextEncoder().encode(`machine ${machine}`)),
    ephemeral: null,
    damaged: null,
    entropy: randomBytes(randomFrom(boots, `run of ${machine}`), 32),
    wallMs: NOW,
    durable,
    distribution: NO_DATASTORE,
  })
}

export function recordIn(state: NodeState): SignedRecord {
  const own = state.gossip.records.get(state.id)?.signed
  if (own === undefined) throw new Error('a core that started has signed no record')
  return own
}

export function createCores(model: Model, keys: readonly Keys[]): Cores {
  const settings = settingsOf(model)
  const locals: Local[] = []
  const letters: Letter[] = []
  const letterClaims: (readonly number[])[] = []
  const known = new Map<string, number>()
  const knownLetters = new Map<string, number>()
  const machineOf = new Map(keys.map(({ id }, i) => [id, i]))
  let asked = 0

  const rules: number[] = []
  const keyNumbers = new Map<string, number>()
  const valueNumbers = new Map<string, number>()
  const keyTexts: string[] = []
  const valueTexts: string[] = []
  const numberOf = (map: Map<string, number>, texts: string[], text: string): number => {
    let number = map.get(text)
    if (number === undefined) {
      number = texts.push(text) - 1
      map.set(text, number)
    }
    return number
  }
  const numbered = (claims: readonly Claim[]): number[] =>
    claims.flatMap(({ rule, key, value }) => {
      const number = numberOf(keyNumbers, keyTexts, key)
      rules[number] = rule
      return [number, numberOf(valueNumbers, valueTexts, value)]
    })

  const mail = (letter: Letter): number => {
    const text = `${letter.from} ${letter.to} ${textOf(letter.message)}`
    let number = knownLetters.get(text)
    if (number === undefined) {
      number = letters.push(letter) - 1
      letterClaims.push(numbered(model.said(letter)))
      knownLetters.set(text, number)
    }
    return number
  }

  const keysAt = (machine: number): Keys => {
    const found = keys[machine]
    if (found === undefined) throw new RangeError('no such machine')
    return found
  }

  const localOf = (machine: number, boots: number, state: NodeState, disk: Durable): Local => {
    const text = `${machine} ${boots} ${textOf(state)} ${textOf({ durable: disk })}`
    const name = sha256(new TextEncoder().encode(text))
    const number = known.get(name)
    const found = number === undefined ? undefined : locals[number]
    if (found !== undefined) return found
    const claims = numbered(model.onDisk(keysAt(machine).id, disk))
    const local = { number: locals.length, machine, boots, state, disk, claims, answers: new Map() }
    known.set(name, local.number)
    locals.push(local)
    return local
  }

  const saidIn = (effects: readonly Effect[]): { receiver: NodeId; message: Message }[] =>
    effects.flatMap((effect) =>
      effect.kind === 'send' &&
      model.hears.has(effect.message.kind) &&
      (machineOf.get(effect.to) ?? FAR) < model.machines
        ? [{ receiver: effect.to, message: effect.message }]
        : [],
    )

  const mailAll = (machine: number, said: readonly { receiver: NodeId; message: Message }[]): number[] => {
    const sender = keysAt(machine).id
    const numbers = said.map(({ receiver, message }) =>
      mail({ from: machine, sender, to: machineOf.get(receiver) ?? -1, receiver, message }),
    )
    return [...new Set(numbers)].sort((a, b) => a - b)
  }

  const writtenBy = (effects: readonly Effect[], before: Durable): Durable => {
    const [first, ...rest] = effects
    if (rest.some(({ kind }) => kind === 'persist')) throw new Error('a write that is not the first effect')
    return first?.kind === 'persist' ? first.durable : before
  }

  const others = (id: NodeId): Keys[] => keys.slice(0, model.machines).filter((other) => other.id !== id)

  /** Everyone is in sight of everyone, as before a genesis: records and who is connected are no part of a model. */
  const boot = (machine: number, boots: number, durable: Durable | null): Answer => {
    const { crypto, id } = keysAt(machine)
    const first = startCore(keysAt(machine), machine, boots, settings, durable)
    const { state, effects } = first
    state.founding.standAt = millis(FAR)
    for (const peer of others(id)) {
      effects.push(...step(crypto, state, millis(NOW), { kind: 'connected', peer: peer.id }))
      const record = records.get(peer.id)
      if (record === undefined) continue
      const message: Message = { kind: 'records', records: [record] }
      effects.push(...step(crypto, state, millis(NOW), { kind: 'message', from: peer.id, message }))
    }
    model.settle(state)
    // Whatever a start waits for only forbids; it is over.
    effects.push(...step(crypto, state, millis(NOW + START_WAIT_MS), { kind: 'timer' }))
    model.settle(state)
    const said = saidIn(effects)
    const next = localOf(machine, boots, state, state.durable)
    const fault =
      durable === null ? null : model.faultOfStep(durable, state.durable, keysAt(machine).id, said)
    return { next, said: mailAll(machine, said), fault, proves: false }
  }

  const records = new Map<NodeId, SignedRecord>()
  for (let i = 0; i < model.machines; i++) {
    records.set(keysAt(i).id, recordIn(startCore(keysAt(i), i, 0, settings, null).state))
  }

  const ask = (local: Local, eventFor: (state: NodeState) => Event | null): Answer | null => {
    const { machine, boots, disk } = local
    const { crypto, id } = keysAt(machine)
    asked += 1
    const state = copyOf(local.state)
    const event = eventFor(state)
    if (event === null) return null
    const before = asked % CHECK_EVERY === 0 ? textOf(local.state) : null
    const effects = step(crypto, state, millis(NOW), event)
    if (before !== null && textOf(local.state) !== before)
      throw new Error('a step changed what it was not given')
    model.settle(state)
    const after = writtenBy(effects, disk)
    const said = saidIn(effects)
    const next = localOf(machine, boots, state, after)
    if (next === local && said.length === 0) return null
    const fault = model.faultOfStep(disk, after, id, said)
    const proves = model.proves(
      disk,
      after,
      said.map(({ message }) => message),
    )
    for (const message of model.shares(disk, after)) {
      for (const { id: receiver } of others(id)) said.push({ receiver, message })
    }
    return { next, said: mailAll(machine, said), fault, proves }
  }

  const moveNames = [...model.moves.map(({ name }) => name), 'crash']
  const remembered = (local: Local, code: number, answer: () => Answer | null): Answer | null => {
    const found = local.answers.get(code)
    if (found !== undefined) return found
    const made = answer()
    local.answers.set(code, made)
    return made
  }

  const begun = Array.from({ length: model.machines }, (_, i) => boot(i, 0, model.disks[i] ?? null))
  return {
    keys,
    letters,
    locals,
    first: begun.map(({ next }) => next),
    firstLetters: [...new Set([...begun.flatMap(({ said }) => said), ...model.letters.map(mail)])].sort(
      (a, b) => a - b,
    ),
    asked: () => asked,
    claimsOf: (letter) => letterClaims[letter] ?? [],
    claim: (key, value) => ({
      rule: rules[key] ?? 0,
      key: keyTexts[key] ?? '',
      value: valueTexts[value] ?? '',
    }),
    hears: (local, letter) =>
      remembered(local, letter, () => {
        const { sender, message } = letters[letter] ?? { sender: keysAt(0).id, message: null }
        return message === null ? null : ask(local, () => ({ kind: 'message', from: sender, message }))
      }),
    moves: (local, move) =>
      remembered(local, -1 - move, () => {
        const comes = model.moves[move]
        if (comes !== undefined) return ask(local, (state) => comes.comes(state))
        return boot(local.machine, local.boots + 1, local.disk)
      }),
    moveNames,
  }
}
