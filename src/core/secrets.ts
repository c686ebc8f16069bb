/**
 * The secrets behind a cluster's own tokens: one that only servers have, sealed to each of them in the plan, and
 * one for agents, which follows from it. An agent asks a server for its own; it is sealed to the agent, and kept
 * so on its disk. Decides who gets which: the agents' goes to whoever is in the certified plan of the server that
 * is asked, the servers' to whom the plan seals it (rules 9 and 10).
 */
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import type { Member } from './genesis.ts'
import type { Millis, NodeId } from './ids.ts'
import { isServer, memberOf, type Plan } from './plan.ts'
import type { MessageOf } from './protocol.ts'
import type { NodeState } from './state.ts'
import { SECRET_RETRY_MS } from './timing.ts'
import { after, type Deadline, draw, log, persist, refuse, send, type Turn } from './turn.ts'
import { isMember, planOf } from './voters.ts'

export interface SecretsState {
  askAt: Millis
  askNext: number
}

export const startSecrets = (now: Millis): SecretsState => ({ askAt: now, askNext: 0 })

const serversContext = (state: NodeState): string => `servers ${state.settings.networkId}`
const agentsContext = (state: NodeState, generation: number): string =>
  `agents ${state.settings.networkId} ${generation}`

/** The servers' secret, where this node is one to whom the plan seals it. */
export function serverSecretOf(turn: Turn, plan: Plan): Uint8Array | null {
  const { state, crypto } = turn
  const sealed = plan.secrets.find(({ node }) => node === state.id)?.sealed
  return sealed === undefined ? null : crypto.open(serversContext(state), sealed)
}

/** The servers' secret for another who becomes one; null where this node has none to give. */
export function sealServerSecret(turn: Turn, plan: Plan, member: Member): Plan['secrets'][number] | null {
  const secret = serverSecretOf(turn, plan)
  if (secret === null) return null
  const { crypto, state } = turn
  const entropy = draw(turn, `servers ${member.id}`)
  return { node: member.id, sealed: crypto.seal(member.sealKey, serversContext(state), secret, entropy) }
}

/** The agents' secret of a generation: it tells nothing of the servers', nor of another generation's. */
export const agentSecretFrom = (serverSecret: Uint8Array, generation: number): Uint8Array =>
  hkdf(sha256, serverSecret, undefined, utf8ToBytes(`muster agents ${generation}`), 32)

/** The agents' secret as this node knows it: a server makes it, an agent was given it. */
export function agentSecretOf(turn: Turn, plan: Plan): Uint8Array | null {
  const { state, crypto } = turn
  const { agentGeneration } = plan
  if (isServer(plan, state.id)) {
    const secret = serverSecretOf(turn, plan)
    return secret === null ? null : agentSecretFrom(secret, agentGeneration)
  }
  const kept = state.durable.agentSecret
  if (kept === null || kept.era !== plan.era || kept.generation !== agentGeneration) return null
  return crypto.open(agentsContext(state, agentGeneration), kept.sealed)
}

/** Whether this node is an agent that cannot start without the agents' secret, and has it not. */
export function lacksSecret(state: NodeState): boolean {
  const plan = planOf(state)
  if (plan === null || plan.settings.distribution !== 'k3s' || state.blocked !== null) return false
  if (!isMember(state) || isServer(plan, state.id)) return false
  const kept = state.durable.agentSecret
  return kept === null || kept.era !== plan.era || kept.generation !== plan.agentGeneration
}

/** The servers in turn: each of them can tell, whoever leads. */
export function tickSecrets(turn: Turn): void {
  const { state, now } = turn
  const plan = planOf(state)
  const { secrets } = state
  if (plan === null || !lacksSecret(state) || now < secrets.askAt) return
  secrets.askAt = after(turn, SECRET_RETRY_MS)
  const servers = plan.voters.filter((id) => state.links.has(id))
  const asked = servers[secrets.askNext % Math.max(1, servers.length)]
  secrets.askNext += 1
  if (asked === undefined) return
  send(turn, asked, { kind: 'secret.ask', era: plan.era, generation: plan.agentGeneration })
}

export function handleSecretAsk(turn: Turn, from: NodeId, message: MessageOf<'secret.ask'>): void {
  const { state, crypto } = turn
  const plan = planOf(state)
  if (plan === null || message.era !== plan.era || state.blocked !== null) return
  const member = memberOf(plan, from)
  const secret = serverSecretOf(turn, plan)
  if (member === undefined || secret === null || message.generation !== plan.agentGeneration) {
    log(turn, 'debug', 'secret.refused', { to: from, member: member !== undefined })
    return
  }
  const { generation } = message
  const sealed = crypto.seal(
    member.sealKey,
    agentsContext(state, generation),
    agentSecretFrom(secret, generation),
    draw(turn, `agents ${from}`),
  )
  send(turn, from, { kind: 'secret', era: plan.era, generation, sealed })
}

export function handleSecret(turn: Turn, from: NodeId, message: MessageOf<'secret'>): void {
  const { state, crypto } = turn
  const plan = planOf(state)
  const { era, generation, sealed } = message
  if (plan === null || era !== plan.era || generation !== plan.agentGeneration || !lacksSecret(state)) return
  const isReadable = crypto.open(agentsContext(state, generation), sealed)?.length === 32
  if (!plan.voters.includes(from) || !isReadable) {
    refuse(turn, from, 'secret', 'not a server’s, or not sealed to this node')
    return
  }
  persist(turn, { agentSecret: { era, generation, sealed } })
  log(turn, 'info', 'secret.received', { from, generation })
}

export const secretDeadlines = (state: NodeState): Deadline[] =>
  lacksSecret(state) ? [{ at: state.secrets.askAt, why: 'asking for the agents’ secret' }] : []
