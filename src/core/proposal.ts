/**
 * A proposal of a genesis: what it says, and whether it follows from the promises that it carries. Decides
 * nothing of its own: acceptors, candidates and finders of a promise compute the same here (rule 1 rests on
 * it: a candidate that adopts nothing where its promises name something is believed by nobody).
 */
import { encode, type Statement, sameBytes, statement } from './codec.ts'
import { type Founder, foundingQuorum, type Genesis, genesisIdOf, genesisWithoutSecrets } from './genesis.ts'
import type { Digest, NodeId, Term } from './ids.ts'
import type { FoundingPromise, Layer, Proposal } from './protocol.ts'
import { draw, type Turn } from './turn.ts'

export const promiseStatement = (networkId: Digest, promise: Omit<FoundingPromise, 'signature'>): Statement =>
  statement(
    'promise',
    networkId,
    promise.node,
    promise.term,
    promise.candidate,
    promise.expect,
    promise.accepted,
    promise.claim,
  )

export function validPromise(turn: Turn, promise: FoundingPromise, inTerm: Term, candidate: NodeId): boolean {
  const { settings } = turn.state
  return (
    promise.term === inTerm &&
    promise.candidate === candidate &&
    promise.expect === settings.expect &&
    (promise.accepted === null || promise.accepted.term < promise.term) &&
    (settings.founders === null || settings.founders.includes(promise.node)) &&
    turn.crypto.verify(promise.node, promiseStatement(settings.networkId, promise), promise.signature)
  )
}

/** An accepted value that somebody claims must come with the proposal that justifies it. */
export function provesAccepted(
  turn: Turn,
  accepted: { readonly term: Term; readonly genesis: Digest },
  proposal: Proposal | null,
): boolean {
  return (
    proposal !== null &&
    proposal.layers.at(-1)?.term === accepted.term &&
    genesisIdOf(turn.crypto, proposal.genesis) === accepted.genesis &&
    proposalFault(turn, proposal) === null
  )
}

export const proposalStatement = (networkId: Digest, expect: number, inTerm: Term, id: Digest): Statement =>
  statement('proposal', networkId, expect, inTerm, id)

/** The highest accepted value that the promises name; null where they know of none. */
export function highestAccepted(promises: Iterable<FoundingPromise>): { term: Term; genesis: Digest } | null {
  let highest: { term: Term; genesis: Digest } | null = null
  for (const { accepted } of promises) {
    if (accepted !== null && (highest === null || accepted.term > highest.term)) highest = accepted
  }
  return highest
}

export function newGenesis(turn: Turn, promises: readonly FoundingPromise[]): Genesis {
  const { state, crypto } = turn
  const content = genesisContent(turn, promises, state.settings.cluster)
  const secret = draw(turn, 'servers')
  const secrets = content.voters.map((node) => {
    const key = content.members.find((member) => member.id === node)?.sealKey ?? new Uint8Array(32)
    return { node, sealed: crypto.seal(key, `servers ${state.settings.networkId}`, secret, draw(turn, node)) }
  })
  return { ...content, secrets }
}

function genesisContent(turn: Turn, promises: readonly FoundingPromise[], cluster: Genesis['settings']) {
  const { network, networkId, expect } = turn.state.settings
  const founders = promises.map(({ node, claim }): Founder => ({ node, claim }))
  return genesisWithoutSecrets(turn.crypto, network, networkId, expect, cluster, founders)
}

/** Why a proposal does not follow from its promises; null where it does. Each acceptor computes this anew. */
export function proposalFault(turn: Turn, proposal: Proposal): string | null {
  const { state, crypto } = turn
  const { networkId, expect } = state.settings
  const { genesis, layers } = proposal
  const id = genesisIdOf(crypto, genesis)
  let previous: Layer | null = null
  for (const layer of layers) {
    const fault = layerFault(turn, layer, id)
    if (fault !== null) return fault
    const highest = highestAccepted(layer.promises)
    if (previous === null) {
      if (highest !== null) return 'its promises name an accepted genesis, but it proposes another'
    } else if (highest === null || highest.term !== previous.term || highest.genesis !== id) {
      return 'it is not the highest accepted genesis of its promises'
    }
    previous = layer
  }
  const first = layers[0]
  if (first === undefined) return 'it has no promises'
  const { secrets, ...content } = genesis
  const expected = genesisContent(turn, first.promises, genesis.settings)
  if (!sameBytes(encode(content), encode(expected))) return 'its genesis does not follow from its promises'
  const sealedTo = secrets.map((secret) => secret.node)
  if (sealedTo.join() !== genesis.voters.join()) return 'its secrets are not sealed to its servers'
  return genesis.networkId === networkId && genesis.expect === expect ? null : 'it is of another network'
}

function layerFault(turn: Turn, layer: Layer, id: Digest): string | null {
  const { networkId, expect } = turn.state.settings
  const nodes = new Set(layer.promises.map((promise) => promise.node))
  if (nodes.size !== layer.promises.length || nodes.size < foundingQuorum(expect)) return 'it lacks a quorum'
  if (!layer.promises.every((promise) => validPromise(turn, promise, layer.term, layer.candidate))) {
    return 'a promise in it is not valid'
  }
  const bytes = proposalStatement(networkId, expect, layer.term, id)
  return turn.crypto.verify(layer.candidate, bytes, layer.signature) ? null : 'its candidate did not sign it'
}
