/**
 * A plan as the change of an earlier one: how plans reach a crowd (DESIGN.md section 8), where each change would
 * else send every member to every member. Decides what has to be told to who holds the base, and puts the plan
 * together from it. Nothing is believed for that: the signatures are over the whole plan, whichever way it came.
 */
import { z } from 'zod'
import { encode, sameBytes, sortedBy } from './codec.ts'
import type { Crypto } from './crypto.ts'
import { type Member, memberSchema } from './genesis.ts'
import type { Digest } from './ids.ts'
import { HISTORY_MAX, historySchema, type Plan, planHashOf, planSchema } from './plan.ts'
import { countSchema, digestSchema, nodeIdSchema } from './record.ts'

export const planPatchSchema = z.strictObject({
  /** Of the plan that it changes: where it was certified, and its hash. */
  baseIndex: countSchema,
  base: digestSchema,
  /** Everything that does not grow with the nodes, whole. */
  rest: planSchema.omit({ members: true, history: true }),
  /** New ones, and those of which something changed. */
  members: z.array(memberSchema).max(4_096),
  gone: z.array(nodeIdSchema).max(4_096),
  /** Lines since the base's last. */
  history: z.array(historySchema).max(HISTORY_MAX),
})
export type PlanPatch = z.infer<typeof planPatchSchema>

/** What leads from the base to the plan; null where that cannot be said by a patch. */
export function patchBetween(crypto: Crypto, base: Plan, baseIndex: number, plan: Plan): PlanPatch | null {
  const before = new Map(base.members.map((member) => [member.id, member]))
  const after = new Set(plan.members.map((member) => member.id))
  const { members, history, ...rest } = plan
  const patch: PlanPatch = {
    baseIndex,
    base: planHashOf(crypto, base),
    rest,
    members: members.filter((member) => !isSame(before.get(member.id), member)),
    gone: base.members.map((member) => member.id).filter((id) => !after.has(id)),
    history: linesSince(base.history.at(-1), history),
  }
  return planHashOf(crypto, patched(base, patch)) === planHashOf(crypto, plan) ? patch : null
}

/** The plan that the patch makes of its base; of another plan it makes none that anybody signed. */
export function patched(base: Plan, { rest, members, gone, history }: PlanPatch): Plan {
  const changed = new Set([...gone, ...members.map((member) => member.id)])
  const kept = base.members.filter((member) => !changed.has(member.id))
  return {
    ...rest,
    members: sortedBy([...kept, ...members], (member) => member.id),
    history: [...base.history, ...history].slice(-HISTORY_MAX),
  }
}

const isSame = (a: Member | undefined, b: Member): boolean =>
  a === b || (a !== undefined && sameBytes(encode(a), encode(b)))

/** All lines, where the last that the base has is not among them any more. */
function linesSince(last: Plan['history'][number] | undefined, lines: Plan['history']): Plan['history'] {
  if (last === undefined) return lines
  const bytes = encode(last)
  return lines.slice(lines.findLastIndex((line) => sameBytes(encode(line), bytes)) + 1)
}

const made = new WeakMap<Plan, Map<Digest, PlanPatch | null>>()

/** As {@link patchBetween}, made once for all who hold this base. */
export function patchTo(crypto: Crypto, base: Plan, baseIndex: number, plan: Plan): PlanPatch | null {
  const known = made.get(plan) ?? new Map<Digest, PlanPatch | null>()
  made.set(plan, known)
  const hash = planHashOf(crypto, base)
  const patch = known.get(hash)
  if (patch !== undefined) return patch
  const fresh = patchBetween(crypto, base, baseIndex, plan)
  known.set(hash, fresh)
  return fresh
}
