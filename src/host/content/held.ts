/** What of an artefact's list peers hold, and where they say otherwise. Reads what they claim; changes nothing. */
import type { Copy } from './copy.ts'
import type { Link } from './link.ts'

type Claims = Pick<Link, 'claims'>

/** Whether all that is missing is with somebody in sight. */
export function isHeld(copy: Copy, links: readonly (Claims & Pick<Link, 'said'>)[]): boolean {
  if (links.some(({ said }) => said?.whole === true)) return true
  const { count, last } = copy.contiguous()
  return last && firstUnheld(copy, count, links) === null
}

/** The first segment below `count` that is neither here nor claimed by anybody as it is listed here. */
export function firstUnheld(copy: Copy, count: number, links: readonly Claims[]): number | null {
  for (let index = 0; index < count; index++) {
    const digest = copy.segment(index)?.digest
    if (!copy.isFull(index) && links.every(({ claims }) => claims.get(index) !== digest)) return index
  }
  return null
}

/** Whether somebody claims another list for the segment. */
export function isDisputed(copy: Copy, index: number, links: readonly Claims[]): boolean {
  const digest = copy.segment(index)?.digest
  return links.some(({ claims }) => (claims.get(index) ?? digest) !== digest)
}
