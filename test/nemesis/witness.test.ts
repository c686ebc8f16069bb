/** Every rule that the witness watches, broken once: it must see that, and nothing else. */
import { describe, expect, it } from 'vitest'
import { type Logged, RULES, type Rule, Witness } from '../../sim/nemesis/witness.ts'
import type { StatusDocument } from '../../src/core/status.ts'

type News = readonly { readonly host: string; readonly line: Logged }[]

const on = (host: string, event: string, fields: Readonly<Record<string, unknown>> = {}) => ({
  host,
  line: { ...fields, event },
})
const started = on('one', 'node.started', { id: 'A' })
const startedToo = on('two', 'node.started', { id: 'B' })

function broken(looks: readonly News[]): Rule[] {
  const witness = new Witness()
  for (const news of looks) witness.lines(news)
  return (Object.keys(RULES) as Rule[]).filter((rule) => witness.faults(rule).length > 0)
}

/** A status with these nodes; the rest is what it may be. */
function status(nodes: readonly { readonly id: string; readonly address: string }[]): StatusDocument {
  return {
    apiVersion: 'muster/v1',
    self: { id: 'A', name: 'one', stage: 'ready', address: null, role: 'server' },
    cluster: {
      id: 'g',
      network: 'lab',
      state: 'formed',
      expect: 2,
      era: null,
      term: 1,
      leader: null,
      planIndex: 0,
    },
    nodes: nodes.map(({ id, address }) => ({
      id,
      address,
      name: id,
      role: 'server',
      stage: null,
      alive: true,
      lastSeenMs: 0,
      path: 'direct',
      os: { slot: null, version: null, digest: null },
    })),
    distribution: { kind: 'none', version: null, healthy: true, members: [] },
    act: null,
    rollout: null,
    waitingFor: [],
    problems: [],
  }
}

const permitted = (host: string, act: string, attempt: number) => on(host, 'act.permitted', { act, attempt })
const done = (host: string, attempt: number) => on(host, 'act.done', { act: 'join', attempt })

describe('a rule that breaks in the logs is seen', () => {
  it.for<[Rule, string, News[]]>([
    [
      'genesis',
      'two geneses',
      [[on('one', 'cluster.founded', { genesis: 'g' })], [on('two', 'cluster.joined', { genesis: 'h' })]],
    ],
    [
      'leader',
      'two leaders in a term',
      [
        [
          on('one', 'leader.elected', { leader: 'A', term: 3 }),
          on('two', 'leader.followed', { leader: 'B', term: 3 }),
        ],
      ],
    ],
    [
      'plan',
      'two certified plans at one index',
      [
        [
          on('one', 'plan.certified', { term: 1, index: 4, cause: 'join' }),
          on('two', 'plan.certified', { term: 2, index: 4, cause: 'lead' }),
        ],
      ],
    ],
    [
      'plan',
      'a node that goes back',
      [[5, 4].map((index) => on('one', 'plan.certified', { term: 1, index, cause: 'lead' }))],
    ],
    [
      'acts',
      'a join that begins before the other has ended',
      [[permitted('one', 'join', 2)], [permitted('two', 'join', 3)], [done('one', 2)]],
    ],
    ['acts', 'an attempt with two holders', [[permitted('one', 'join', 2), permitted('two', 'join', 2)]]],
    [
      'acts',
      'an attempt that is permitted after a later one',
      [[permitted('one', 'join', 3), done('one', 3)], [permitted('one', 'join', 2)]],
    ],
    ['ownHand', 'two servers down', [[on('one', 'datastore.ending')], [on('two', 'datastore.ending')]]],
  ])('%s: %s', ([rule, , looks]) => {
    expect(broken([[started, startedToo], ...looks])).toEqual([rule])
  })
})

describe('what is right is none', () => {
  it.for<[string, News[]]>([
    [
      'acts one after the other',
      [[permitted('one', 'join', 2)], [permitted('two', 'join', 3), done('one', 2)]],
    ],
    [
      'an act that was given up',
      [
        [permitted('one', 'join', 2)],
        [on('two', 'act.given-up', { attempt: 2 }), permitted('two', 'join', 3)],
      ],
    ],
    [
      'the next epoch of an initialisation',
      [[permitted('one', 'initialise', 1)], [permitted('two', 'initialise', 2)]],
    ],
    [
      'a permit that is asked for again after a restart',
      [[permitted('one', 'join', 2)], [started, permitted('one', 'join', 2)]],
    ],
    [
      'one datastore ended, and started, after the other',
      [[on('one', 'datastore.ending')], [on('two', 'datastore.ending'), on('one', 'datastore.started')]],
    ],
    [
      'a wiped machine that begins anew',
      [
        [on('one', 'plan.certified', { term: 1, index: 9, cause: 'lead' })],
        [
          on('one', 'node.started', { id: 'C' }),
          on('one', 'plan.certified', { term: 1, index: 3, cause: 'join' }),
        ],
      ],
    ],
  ])('%s', ([, looks]) => {
    expect(broken([[started, startedToo], ...looks])).toEqual([])
  })
})

describe('an address', () => {
  it.for([
    ['of two nodes', [{ id: 'A', address: '10.0.0.1' }], [{ id: 'B', address: '10.0.0.1' }]],
    ['that changes', [{ id: 'A', address: '10.0.0.1' }], [{ id: 'A', address: '10.0.0.2' }]],
  ] as const)('%s is seen', ([, before, after]) => {
    const witness = new Witness()
    witness.status('one', status(before))
    expect(witness.faults('address')).toEqual([])
    witness.status('two', status(after))
    expect(witness.faults('address')).toHaveLength(1)
  })
})
