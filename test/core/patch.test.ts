import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, encode } from '../../src/core/codec.ts'
import type { Member } from '../../src/core/genesis.ts'
import { nodeId } from '../../src/core/ids.ts'
import { patchBetween, patched, planPatchSchema } from '../../src/core/patch.ts'
import { HISTORY_MAX, type Plan, planHashOf } from '../../src/core/plan.ts'
import { formed, planIn } from './cast.ts'

const stage = await formed({ count: 3, expect: 3 })
const { crypto } = stage.actor(0).keys
const { plan: founded } = planIn(stage.actor(0))
const [first] = founded.members
if (first === undefined) throw new Error('the plan has no members')

const named = (number: number): Member => ({
  ...first,
  id: nodeId(`n${String(number).padStart(4, '0')}`),
  name: `host-${number}`,
  address: `10.86.1.${number}`,
})

const plans = fc
  .record({
    members: fc.uniqueArray(fc.integer({ min: 0, max: 40 })),
    agents: fc.uniqueArray(fc.integer({ min: 0, max: 40 })),
    acts: fc.integer({ min: 0, max: 9 }),
    lines: fc.integer({ min: 0, max: HISTORY_MAX }),
  })
  .map(({ members, agents, acts, lines }): Plan => {
    const role = (number: number): Member['role'] => (agents.includes(number) ? 'agent' : 'server')
    return {
      ...founded,
      acts,
      members: [...members].sort((a, b) => a - b).map((number) => ({ ...named(number), role: role(number) })),
      history: Array.from({ length: lines }, (_, i) => ({
        index: i,
        term: 1,
        cause: 'admitted',
        node: null,
        at: i,
        by: null,
      })),
    }
  })

describe('a patch', () => {
  test('makes of its base exactly the plan, over the wire too, or there is none', () => {
    let made = 0
    fc.assert(
      fc.property(plans, plans, (base, plan) => {
        const patch = patchBetween(crypto, base, 7, plan)
        if (patch === null) return
        made += 1
        const received = planPatchSchema.parse(decode(encode(patch)))
        expect(planHashOf(crypto, patched(base, received))).toBe(planHashOf(crypto, plan))
      }),
    )
    expect(made).toBeGreaterThan(20)
  })

  test('is always there between a plan and one that continues its history', () => {
    fc.assert(
      fc.property(plans, plans, fc.integer({ min: 1, max: 2 * HISTORY_MAX }), (base, other, count) => {
        const lines = Array.from({ length: count }, (_, i) => ({
          index: 1_000 + i,
          term: 2,
          cause: 'lead',
          node: null,
          at: i,
          by: null,
        }))
        const plan = { ...other, history: [...base.history, ...lines].slice(-HISTORY_MAX) }
        const patch = patchBetween(crypto, base, 7, plan)
        expect(patch?.history.length).toBe(Math.min(count, HISTORY_MAX))
      }),
    )
  })

  test('says of a thousand members only the new one', () => {
    const base: Plan = { ...founded, members: Array.from({ length: 1_000 }, (_, i) => named(i)) }
    const plan: Plan = { ...base, members: [...base.members, named(1_000)] }
    const patch = patchBetween(crypto, base, 7, plan)
    expect(patch?.members.map(({ id }) => id)).toEqual(['n1000'])
    expect(patch?.gone).toEqual([])
    expect(encode(patch).length * 40).toBeLessThan(encode(plan).length)
  })

  test('makes another plan of another base', () => {
    const base: Plan = { ...founded, members: [named(1)] }
    const plan: Plan = { ...founded, members: [named(1), named(2)] }
    const patch = patchBetween(crypto, base, 7, plan)
    if (patch === null) throw new Error('no patch')
    const wrong = patched({ ...founded, members: [named(3)] }, patch)
    expect(planHashOf(crypto, wrong)).not.toBe(planHashOf(crypto, plan))
  })
})
