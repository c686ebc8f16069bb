/**
 * When a cluster is whole again after what was done to it. Not the demo's question: a machine whose disk was wiped
 * is another node now, and the one that it was stays in the plan, silent, until a person removes it.
 */
import { commonLeader, geneses, isDistributed, isReady, type View } from '../lab/view.ts'

export function isWhole(view: View, hosts: number): boolean {
  const ids = [...view.values()].map(({ self }) => self.id)
  return (
    isReady(view, hosts) &&
    isDistributed(view, hosts) &&
    geneses(view).length === 1 &&
    commonLeader(view) !== null &&
    [...view.values()].every(({ nodes }) =>
      ids.every((id) => nodes.some((node) => node.id === id && node.alive && node.path !== 'none')),
    )
  )
}
