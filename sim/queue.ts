/** What happens next in virtual time: a binary heap; what is due at one moment happens in the order of asking. */

export interface EventQueue {
  readonly size: number
  add(at: number, run: () => void): void
  /** Time of the first event; Infinity where there is none. */
  nextAt(): number
  /** Takes the first event out. */
  take(): (() => void) | undefined
}

interface Entry {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

const isBefore = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

export function createQueue(): EventQueue {
  const heap: Entry[] = []
  let order = 0

  const rise = (entry: Entry, from: number): void => {
    let i = from
    while (i > 0) {
      const up = (i - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || !isBefore(entry, parent)) break
      heap[i] = parent
      i = up
    }
    heap[i] = entry
  }

  const sink = (entry: Entry): void => {
    let i = 0
    for (;;) {
      let down = 2 * i + 1
      let child = heap[down]
      if (child === undefined) break
      const right = heap[down + 1]
      if (right !== undefined && isBefore(right, child)) {
        child = right
        down += 1
      }
      if (!isBefore(child, entry)) break
      heap[i] = child
      i = down
    }
    heap[i] = entry
  }

  return {
    get size() {
      return heap.length
    },
    add: (at, run) => {
      order += 1
      rise({ at, order, run }, heap.length)
    },
    nextAt: () => heap[0]?.at ?? Number.POSITIVE_INFINITY,
    take: () => {
      const first = heap[0]
      const last = heap.pop()
      if (last !== undefined && heap.length > 0) sink(last)
      return first?.run
    },
  }
}
