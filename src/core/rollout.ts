/**
 * A rollout as the plan has it: new settings on their way to every node, one server at a time. Which settings
 * are whose meanwhile is read in revisions.ts; how it goes on is decided in changes/rollout.ts (by every voter)
 * and rolling.ts (by the leader).
 */
import { z } from 'zod'
import type { NodeId } from './ids.ts'
import { k3sSettingsSchema } from './k3s.ts'
import { countSchema, nodeIdSchema } from './record.ts'

const nodesSchema = z.array(nodeIdSchema).max(4_096)
const revisionSchema = z.strictObject({ revision: countSchema, settings: k3sSettingsSchema })
/** Settings and their number. */
export type Revision = z.infer<typeof revisionSchema>

/** Most rollouts without an end whose settings some nodes may still run. */
export const LEFT_MAX = 4

export const rolloutSchema = z.strictObject({
  kind: z.literal('distribution'),
  /** Revision of the plan's settings, which it brings to everyone. */
  number: countSchema.min(1),
  /** Halted: a node failed, and all others stay as they are until a person decides. */
  state: z.enum(['running', 'paused', 'halted', 'done']),
  /** Why it is halted or paused. */
  reason: z.string().max(512).nullable(),
  /** A person allowed that no server is left meanwhile (rule 6). */
  acceptDowntime: z.boolean(),
  /** Agents that may be under way at once. */
  maxUnavailable: z.number().int().min(1).max(64),
  /** What all nodes run that are named nowhere below; null when it is done. */
  before: revisionSchema.nullable(),
  /** Nodes that got settings of a rollout that came to no end; or of this one, in a turn that a person ended. */
  left: z.array(revisionSchema.extend({ nodes: nodesSchema })).max(LEFT_MAX + 1),
  /** Proven healthy with the new settings, in that order. */
  moved: nodesSchema,
  /** Agents that are told to change, and are not proven healthy yet. Servers go one by one, as acts. */
  under: nodesSchema,
  /** Of the datastore, by the first server, before it changes; null where there is none to take. */
  snapshot: z.strictObject({ name: z.string().min(1).max(64), taken: z.boolean() }).nullable(),
})
export type Rollout = z.infer<typeof rolloutSchema>

/** Without a node that left the cluster. */
export function withoutNode(rollout: Rollout | null, node: NodeId): Rollout | null {
  if (rollout === null) return null
  const others = (nodes: readonly NodeId[]): NodeId[] => nodes.filter((id) => id !== node)
  return {
    ...rollout,
    moved: others(rollout.moved),
    under: others(rollout.under),
    left: rollout.left.map((layer) => ({ ...layer, nodes: others(layer.nodes) })),
  }
}

/** The rollout with everything held up; who is under way stays so until it is healthy. */
export const haltedBy = (rollout: Rollout | null, reason: string): Rollout | null =>
  rollout === null || rollout.before === null ? rollout : { ...rollout, state: 'halted', reason }
