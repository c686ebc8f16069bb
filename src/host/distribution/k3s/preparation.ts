/**
 * Getting ready what settings need, binary and images, in the background: it may take long, and what runs is not
 * to wait for it. Settings are prepared once, again only where they or the way to them changed, or it failed.
 */
import type { K3sSettings } from '../../../core/k3s.ts'
import type { HostProblem } from '../../../core/orders.ts'
import { problemOf } from '../problems.ts'
import { POLL_BLOCKED_MS } from '../timing.ts'
import { placeImages } from './images.ts'
import { findProgram, type Program, type Sources } from './program.ts'

export interface Prepared {
  /** Null while it is not all there. */
  readonly program: Program | null
  /** What stands in the way. */
  readonly problem: HostProblem | null
}

const NOTHING: Prepared = { program: null, problem: null }

interface Task {
  readonly abort: AbortController
  /** Monotonic milliseconds of its last end; null while it runs. */
  endedAt: number | null
  result: Prepared
}

export class Preparations {
  readonly #sources: Sources
  readonly #onEnd: () => void
  readonly #tasks = new Map<string, Task>()

  /** @param onEnd something is ready, or failed; may come late */
  constructor(sources: Sources, onEnd: () => void) {
    this.#sources = sources
    this.#onEnd = onEnd
  }

  /** Prepares these and gives up all others. @returns how far each is, in their order. */
  want(all: readonly K3sSettings[], now: number): Prepared[] {
    const wanted = new Map(all.map((settings) => [keyOf(settings), settings]))
    for (const [key, task] of this.#tasks) {
      if (wanted.has(key)) continue
      task.abort.abort()
      this.#tasks.delete(key)
    }
    for (const [key, settings] of wanted) {
      const task = this.#tasks.get(key)
      const isDue =
        task === undefined ||
        (task.result.program === null && task.endedAt !== null && now - task.endedAt >= POLL_BLOCKED_MS)
      if (isDue) this.#begin(key, settings, task?.result ?? NOTHING)
    }
    return all.map((settings) => this.#tasks.get(keyOf(settings))?.result ?? NOTHING)
  }

  /** What was found may have changed, an upgraded OS for one: look again at what these settings find. */
  forget(): void {
    for (const task of this.#tasks.values()) task.abort.abort()
    this.#tasks.clear()
  }

  stop(): void {
    this.forget()
  }

  #begin(key: string, settings: K3sSettings, before: Prepared): void {
    // Until it ends, what the last attempt met is still the best that is known.
    const task: Task = { abort: new AbortController(), endedAt: null, result: before }
    this.#tasks.set(key, task)
    const { signal } = task.abort
    const prepare = async (): Promise<Prepared> => {
      const program = await findProgram(settings, this.#sources, signal)
      await placeImages(settings, this.#sources, signal)
      return { program, problem: null }
    }
    void prepare()
      .catch(
        (error: unknown): Prepared => ({
          program: null,
          problem: problemOf(error, this.#sources.places.state),
        }),
      )
      .then((result) => {
        if (signal.aborted) return
        task.result = result
        task.endedAt = performance.now()
        this.#onEnd()
      })
  }
}

const keyOf = ({ version, artefacts, images }: K3sSettings): string =>
  JSON.stringify([version, artefacts, images])
