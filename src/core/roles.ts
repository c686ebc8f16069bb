/** Who becomes a server: of the founders at founding, of the spares when one is lost. */
import type { NodeId } from './ids.ts'
import type { Claim } from './record.ts'
import type { ServerTarget } from './settings.ts'

const SIZES = [7, 5, 3, 1] as const

/** `auto` of DESIGN.md section 7: 1 below 3 nodes, 3 up to 6, then 5. */
export function serverTarget(target: ServerTarget, nodes: number): number {
  if (target !== 'auto') return target
  return nodes < 3 ? 1 : nodes <= 6 ? 3 : 5
}

const preferenceOrder = { prefer: 0, neutral: 1, avoid: 2, never: 3 } as const
/** Machines of about the same size are equals, so that a few MiB of difference do not decide. */
const sizeClass = (claim: Claim): number =>
  Math.min(claim.cpus, 4) + binaryMagnitude(Math.min(claim.memoryMiB, 4096))

/** Floor of the binary logarithm, which Math.log2 of another engine may round another way; -1 of 0. */
const binaryMagnitude = (value: number): number => 31 - Math.clz32(value)

/**
 * Servers out of the founders: by preference, size of machine, then rank. The number is the largest of
 * 1, 3, 5, 7 that is at most the target and the number of founders that may be servers. Of these there is one at
 * least: who stands for a founding is one of its founders, and may be a server (founding.ts).
 * @param ranked founders in rank order.
 */
export function chooseServers(
  ranked: readonly { readonly node: NodeId; readonly claim: Claim }[],
  target: ServerTarget,
): NodeId[] {
  const able = ranked.filter(({ claim }) => claim.serverPreference !== 'never')
  const wanted = Math.min(serverTarget(target, ranked.length), able.length)
  const count = SIZES.find((size) => size <= wanted) ?? 1
  return byFitness(able)
    .slice(0, count)
    .map((founder) => founder.node)
}

/** By preference, then size; equals stay in the order in which they are given. */
export const byFitness = <T extends { readonly claim: Claim }>(ranked: readonly T[]): T[] =>
  [...ranked].sort(
    (a, b) =>
      preferenceOrder[a.claim.serverPreference] - preferenceOrder[b.claim.serverPreference] ||
      sizeClass(b.claim) - sizeClass(a.claim),
  )
