/**
 * Keeps the labels and taints of Nodes to the plan's rules, which may change after a node has registered. What the
 * rules gave, an annotation remembers, so that only that is taken away again: people's own labels stay.
 */
import { z } from 'zod'
import type { K3sApi, KubernetesNode } from './api.ts'
import type { K3sOrder } from './configuration.ts'
import { type Marks, marksOf } from './labels.ts'

export const GIVEN = 'muster.dev/given'

type Taint = KubernetesNode['taints'][number]

const givenSchema = z.object({ labels: z.array(z.string()), taints: z.array(z.string()) })

/** @returns names of the Nodes that were changed */
export async function keepMarks(
  order: K3sOrder,
  nodes: readonly KubernetesNode[],
  api: K3sApi,
): Promise<string[]> {
  const changed: string[] = []
  for (const node of nodes) {
    const role = node.isServer ? 'server' : 'agent'
    const patch = markPatch(node, marksOf(order.settings.rules, node.name, role))
    if (patch === null) continue
    await api.patchNode(node.name, patch)
    changed.push(node.name)
  }
  return changed
}

/** A merge patch (RFC 7386); null where the Node is as the rules want it. */
export function markPatch(node: KubernetesNode, wanted: Marks): object | null {
  const given = givenTo(node)
  const now = { labels: Object.keys(wanted.labels).sort(), taints: wanted.taints }
  const labels: Record<string, string | null> = {}
  for (const label of given.labels) {
    if (!(label in wanted.labels) && label in node.labels) labels[label] = null
  }
  for (const [label, value] of Object.entries(wanted.labels)) {
    if (node.labels[label] !== value) labels[label] = value
  }
  const kept = node.taints.filter((taint) => {
    const text = taintText(taint)
    return wanted.taints.includes(text) || !given.taints.includes(text)
  })
  const added = wanted.taints.filter((text) => !kept.some((taint) => taintText(taint) === text))
  const isTainted = kept.length === node.taints.length && added.length === 0
  const isKnown = JSON.stringify(given) === JSON.stringify(now)
  if (Object.keys(labels).length === 0 && isTainted && isKnown) return null
  const isEmpty = now.labels.length === 0 && now.taints.length === 0
  return {
    metadata: { labels, annotations: { [GIVEN]: isEmpty ? null : JSON.stringify(now) } },
    ...(isTainted ? {} : { spec: { taints: [...kept, ...added.flatMap((text) => parseTaint(text) ?? [])] } }),
  }
}

function givenTo(node: KubernetesNode): z.infer<typeof givenSchema> {
  try {
    return givenSchema.parse(JSON.parse(node.annotations[GIVEN] ?? ''))
  } catch {
    return { labels: [], taints: [] }
  }
}

/** `key=value:Effect`; without a value `key:Effect`. */
export function parseTaint(text: string): Taint | null {
  const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(text)
  const [, key, value, effect] = match ?? []
  if (key === undefined || effect === undefined) return null
  return value === undefined || value === '' ? { key, effect } : { key, value, effect }
}

const taintText = ({ key, value, effect }: Taint): string =>
  value === undefined || value === '' ? `${key}:${effect}` : `${key}=${value}:${effect}`
