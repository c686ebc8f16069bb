/** What the oracle of plans finds: addresses, names, servers, voters, commands and revocations that are not as they should be. */
import { beforeEach, describe, expect, test } from 'vitest'
import { nodeId, term } from '../../src/core/ids.ts'
import type { Plan } from '../../src/core/plan.ts'
import { planIn } from '../core/cast.ts'

import { begin, broken, certify, diskOf, forget, found, history, written } from './oracle-stage.ts'

beforeEach(begin)

describe('rules 5 and 9 of plans', () => {
  async function changed(change: (plan: Plan) => Plan): Promise<void> {
    const stage = await history(4)
    const a = stage.actor(0)
    const { plan } = planIn(a)
    written(a, { certified: certify(stage, { term: term(9), index: 50, plan }) })
    expect(found).toEqual([])
    written(a, { certified: certify(stage, { term: term(9), index: 51, plan: change(plan) }) })
  }
  const first = (plan: Plan, changes: Partial<Plan['members'][number]>): Plan => ({
    ...plan,
    members: plan.members.map((member, i) => (i === 0 ? { ...member, ...changes } : member)),
  })

  test('an address that changes its owner is found', async () => {
    await changed((plan) => first(plan, { address: plan.members[1]?.address ?? '' }))
    broken(5, 'and was')
  })

  test('two members of one name are found', async () => {
    await changed((plan) => first(plan, { name: plan.members[1]?.name ?? '' }))
    broken(5, 'two members are called')
  })

  test('an agent that becomes a server is found', async () => {
    await changed((plan) => ({
      ...plan,
      members: plan.members.map((member) => ({ ...member, role: 'server' as const })),
    }))
    broken(9, 'became a server')
  })

  test('a voter that is no server is found', async () => {
    await changed((plan) => ({
      ...plan,
      members: plan.members.map((member) => ({ ...member, role: 'agent' as const })),
    }))
    broken(9, 'votes in plan 51, and is no server')
  })

  test('voters that change two at a time are found', async () => {
    await changed((plan) => ({ ...plan, voters: plan.voters.slice(2) }))
    broken(3, 'change the voters at once')
  })

  test('a command of who may not command is found', async () => {
    await changed((plan) => ({
      ...plan,
      history: [
        ...plan.history,
        {
          index: 51,
          term: 9,
          cause: 'removed',
          node: null,
          at: 0,
          by: { who: 'thief', where: plan.voters[0] ?? nodeId('nobody'), why: null },
        },
      ],
    }))
    broken(9, "thief commanded 'removed'")
  })

  test('a revoked node that is in again, and who sneaks in after it, are found', async () => {
    const stage = await history(4)
    const a = stage.actor(0)
    const { plan } = planIn(a)
    const [gone, other] = plan.members.filter(({ role }) => role === 'agent')
    if (gone === undefined) throw new Error('no agent')
    const { id, name, address } = gone
    const left = { id, name, address, why: 'revoked' as const, server: false, successor: null }
    const without = plan.members.filter((member) => member.id !== id)
    const revoked: Plan = { ...plan, members: without, departed: [left] }
    const sneaked = { ...gone, id: nodeId('another'), name: 'another', address: '10.86.9.9' }
    expect(other).toBeUndefined()
    written(a, { certified: certify(stage, { term: term(9), index: 50, plan: revoked }) })
    expect(found).toEqual([])
    const withNew = { ...revoked, members: [...without, sneaked] }
    written(a, { certified: certify(stage, { term: term(9), index: 51, plan: withNew }) })
    broken(10, 'unapproved after somebody was revoked')
    forget()
    written(a, {
      certified: certify(stage, { term: term(9), index: 52, plan: { ...revoked, members: plan.members } }),
    })
    broken(10, 'was revoked, and is in plan 52')
  })

  test('a server that is taken out while the others are not there is found', async () => {
    await changed((plan) => ({
      ...plan,
      act: {
        kind: 'remove',
        node: plan.voters[0] ?? nodeId('nobody'),
        attempt: 9,
        why: 'removed',
        successor: null,
      },
    }))
    broken(6, 'is taken out, while only 0 of the other')
  })

  test('a plan that too few had on their disks as signed is found', async () => {
    const stage = await history()
    const [a, b] = [stage.actor(0), stage.actor(1)]
    const { plan } = planIn(a)
    const signatures = stage.actors.map(({ id }) => ({ node: id, signature: new Uint8Array(16) }))
    written(b, {
      genesis: diskOf(b).genesis,
      certified: { ...planIn(a), term: term(9), index: 50, plan, signatures },
    })
    broken(9, 'signed by')
  })
})
