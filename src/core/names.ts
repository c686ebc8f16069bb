/** Names: the host's own where it is free, else made unique with part of the ID. Nobody is refused for a name. */
import type { NodeId } from './ids.ts'

/** @returns `wish`, or `wish-<tail of the ID>` with as much of the ID as it takes; a DNS label of at most 63. */
export function uniqueName(wish: string, id: NodeId, taken: ReadonlySet<string>): string {
  if (!taken.has(wish)) return wish
  const tail = id.toLowerCase().replace(/[^a-z0-9]/g, '')
  for (let length = 4; length < tail.length; length += 2) {
    const name = `${wish.slice(0, 62 - length)}-${tail.slice(-length)}`
    if (!taken.has(name)) return name
  }
  for (let n = 2; ; n++) {
    const name = `${wish.slice(0, 50)}-${n}`
    if (!taken.has(name)) return name
  }
}
