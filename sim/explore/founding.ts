/**
 * The founding as a model: machines of which a quorum founds, each of which may stand at any moment. With
 * `expect` one less than there are machines any two of three are a quorum, and the third is the slack.
 */

import type { Genesis } from '../../src/core/genesis.ts'
import { millis } from '../../src/core/ids.ts'
import { MEMBERSHIP_DEFAULTS } from '../../src/core/settings.ts'
import type { NodeState } from '../../src/core/state.ts'
import { contentOf } from '../oracles/contents.ts'
import { type Bounds, LONG_AGO, type Model, TIMER } from './model.ts'
import { takeTimesOut } from './times.ts'

/** Q of DESIGN.md section 7, written down a third time: a planted bug may be in the other. */
const quorumOf = (expect: number): number => (expect === 1 ? 1 : Math.floor((expect + 1) / 2) + 1)

const genesisText = (genesis: Genesis): string => contentOf(genesis)

const isStanding = ({ founding }: NodeState, term: number): boolean => founding.candidacy?.term === term

/** It stands no more in this term, nor will it ever: a candidacy begins above all that its disk knows. */
const hasStood = (state: NodeState, term: number): boolean =>
  !isStanding(state, term) && (state.durable.founding.term >= term || state.durable.genesis !== null)

export function foundingModel(machines: number, expect: number, bounds: Bounds): Model {
  return {
    name: `founding of ${machines} machines that expect ${expect}`,
    machines,
    expect,
    bounds,
    cluster: {
      servers: 'auto',
      admission: 'open',
      maxNodes: 64,
      vpnMode: 'wireguard',
      vpnCidr: '10.86.0.0/16',
      distribution: 'none',
      k3s: null,
      ...MEMBERSHIP_DEFAULTS,
    },
    hears: new Set(['prepare', 'promise', 'founding.refused', 'propose', 'accepted', 'genesis.share']),
    moves: [
      {
        name: 'stands',
        comes: ({ founding, durable }) => {
          if (founding.candidacy !== null || durable.genesis !== null) return null
          if (durable.founding.term >= bounds.terms) return null
          founding.standAt = millis(LONG_AGO)
          founding.readySince = millis(LONG_AGO)
          return TIMER
        },
      },
      {
        name: 'waits no longer for the last founders',
        comes: ({ founding: { candidacy } }) => {
          if (candidacy === null || candidacy.quorumAt === null || candidacy.proposal !== null) return null
          candidacy.quorumAt = millis(LONG_AGO)
          return TIMER
        },
      },
    ],
    disks: [],
    letters: [],
    shares: () => [],
    settle: takeTimesOut,
    isOver: ({ sender, message }, receiver, from) => {
      const { durable } = receiver
      const { term, candidate, accepted } = durable.founding
      if (durable.genesis !== null) return true
      switch (message.kind) {
        case 'promise':
        case 'accepted':
        case 'founding.refused': {
          const about = message.kind === 'promise' ? message.promise.term : message.term
          if (message.kind === 'founding.refused' && message.reason === 'formed') return true
          if (!isStanding(receiver, about)) return term >= about
          const { candidacy } = receiver.founding
          return message.kind === 'promise'
            ? candidacy?.proposal !== null
            : message.kind === 'accepted' && candidacy?.acceptances.has(sender) === true
        }
        case 'prepare':
          return term >= message.term && hasStood(from, message.term)
        case 'propose': {
          const isAnswered =
            term > message.term ||
            (term === message.term &&
              (candidate !== sender || accepted?.layers.at(-1)?.term === message.term))
          return isAnswered && hasStood(from, message.term)
        }
        default:
          return false
      }
    },
    onDisk: (id, { founding, genesis }) => {
      const { term, candidate, accepted } = founding
      return [
        ...(candidate === null ? [] : [{ rule: 2, key: `${id} promised ${term}`, value: candidate }]),
        ...(accepted === null
          ? []
          : [
              {
                rule: 2,
                key: `${id} accepted ${accepted.layers.at(-1)?.term}`,
                value: genesisText(accepted.genesis),
              },
            ]),
        ...(genesis === null ? [] : [{ rule: 1, key: 'the genesis', value: genesisText(genesis.genesis) }]),
      ]
    },
    said: ({ sender, receiver, message }) => {
      switch (message.kind) {
        case 'promise':
          return [{ rule: 2, key: `${sender} promised ${message.promise.term}`, value: receiver }]
        case 'accepted':
          return [{ rule: 2, key: `${sender} says to accept ${message.term}`, value: message.genesis }]
        case 'propose':
          return [
            {
              rule: 2,
              key: `${sender} proposed ${message.term}`,
              value: genesisText(message.proposal.genesis),
            },
          ]
        case 'genesis.share':
          return [{ rule: 1, key: 'the genesis', value: genesisText(message.certified.genesis) }]
        default:
          return []
      }
    },
    faultOfStep: (before, after, id, said) => {
      const acceptedTerm = after.founding.accepted?.layers.at(-1)?.term ?? -1
      const held = before.founding.accepted?.layers.at(-1)?.term ?? -1
      if (after.founding.term < before.founding.term || acceptedTerm < held)
        return { rule: 2, message: `${id} went back in term, or forgot what it accepted` }
      const promised = before.founding
      if (
        after.founding.term === promised.term &&
        ![null, after.founding.candidate].includes(promised.candidate)
      )
        return { rule: 2, message: `${id} changed its promise of term ${promised.term}` }
      if (before.genesis !== null && after.genesis === null)
        return { rule: 2, message: `${id} forgot its genesis` }
      for (const { receiver, message } of said) {
        const { term, candidate } = after.founding
        switch (message.kind) {
          case 'promise': {
            const { promise } = message
            if (term < promise.term || (term === promise.term && candidate !== receiver))
              return { rule: 2, message: `${id} promised term ${promise.term}, which is not on its disk` }
            if (acceptedTerm < promise.term && (promise.accepted?.term ?? -1) < acceptedTerm)
              return { rule: 2, message: `${id} promises without saying what it accepted` }
            break
          }
          case 'accepted':
            if (acceptedTerm < message.term)
              return { rule: 2, message: `${id} accepted in term ${message.term}, which is not on its disk` }
            if (term > message.term)
              return { rule: 2, message: `${id} accepts in term ${message.term} after it promised ${term}` }
            break
          case 'prepare':
            if (term < message.term)
              return { rule: 2, message: `${id} stands in term ${message.term}, which is not on its disk` }
            break
          default:
            break
        }
      }
      return null
    },
    // Who is given a genesis has it from who certified it, and that one was looked at.
    proves: (before, after, said) =>
      before.genesis === null && after.genesis !== null && said.some(({ kind }) => kind === 'genesis.share'),
    faultOfProof: ({ genesis }, id, disks) => {
      if (genesis === null) return null
      const { term } = genesis.certificate
      const text = genesisText(genesis.genesis)
      // Who accepted another one since would be no less wrong: the later term had to adopt this one.
      const really = [...disks].filter(([, { founding }]) => {
        const { accepted } = founding
        return (
          accepted !== null &&
          (accepted.layers.at(-1)?.term ?? -1) >= term &&
          genesisText(accepted.genesis) === text
        )
      })
      const signers = new Set(genesis.certificate.acceptances.map(({ node }) => node))
      const count = really.filter(([node]) => signers.has(node)).length
      return count < quorumOf(genesis.genesis.expect)
        ? { rule: 9, message: `${id} holds a genesis that only ${count} really accepted in term ${term}` }
        : null
    },
  }
}
