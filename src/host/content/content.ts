/**
 * Artefacts: binaries and images that every node needs. Each comes from its origin once and then from node to node,
 * over the swarm. `ensure` answers with the path of a file whose SHA-256 is the wanted one; what other nodes lack
 * is served to them, if they are members.
 */
import { basename } from 'node:path'
import { type Artefact, artefactSchema } from '../../core/content.ts'
import type { NodeId } from '../../core/ids.ts'
import type { HostProblem } from '../../core/orders.ts'
import { Throttle } from '../network/throttle.ts'
import type { Copy } from './copy.ts'
import { Download } from './download.ts'
import { problemOf } from './errors.ts'
import type { OriginOptions } from './origin.ts'
import { Pace } from './pace.ts'
import type { ContentMember, ContentNetwork, Progress, Teller } from './ports.ts'
import { CONTENT_PROTOCOL, type Said, STREAMS_MAX } from './protocol.ts'
import { type Shelf, serve } from './serve.ts'
import { ContentStore } from './store.ts'

export type { ContentMember, ContentNetwork, Progress } from './ports.ts'

/** Artefacts that are got at the same time; others wait. More would only be slower each. */
const ACTIVE_MAX = 2

export interface ContentOptions extends Teller {
  /** Its own, within the state directory. */
  readonly directory: string
  /** Bytes per second to peers, and from origin and peers; null: as fast as it goes. */
  readonly bytesPerSecond: number | null
  readonly origin: OriginOptions
  /** Admitted and not revoked, without this node. Nobody else is served or asked. */
  members(): readonly ContentMember[]
}

export interface EnsureOptions {
  readonly signal?: AbortSignal
  readonly progress?: (progress: Progress) => void
  /** Files of this machine that may have parts of it: the slot that runs, the version before. */
  readonly also?: readonly string[]
}

export interface Content {
  /** From now on peers are asked and served. */
  join(network: ContentNetwork): Promise<void>
  /**
   * The path of the whole artefact in the state directory, got where it is not there yet. Keeps trying; what is
   * wrong meanwhile is in `progress` and {@link problems}.
   * @throws the reason of the signal, or that all has stopped.
   */
  ensure(artefact: Artefact, options?: EnsureOptions): Promise<string>
  /** Takes a file of this machine, which peers then can have. @throws ContentError where it cannot be read or stored. */
  adoptLocal(path: string): Promise<Artefact>
  has(sha256: string): Promise<boolean>
  /** Removes all artefacts but these, what was adopted in this run, and what is just got. Answers what is gone. */
  keep(sha256s: Iterable<string>): Promise<string[]>
  /** What is under way. */
  facts(): readonly { readonly artefact: Artefact; readonly progress: Progress }[]
  problems(): HostProblem[]
  stop(): Promise<void>
}

interface Under {
  readonly download: Download
  readonly controller: AbortController
  readonly path: Promise<string>
  readonly listeners: Set<(progress: Progress) => void>
  waiting: number
}

export async function startContent(options: ContentOptions): Promise<Content> {
  const store = await ContentStore.open(options.directory, (sha256) => changed(sha256))
  const sending = new Pace(options.bytesPerSecond)
  const receiving = new Pace(options.bytesPerSecond)
  const downloads = new Map<string, Under>()
  const watchers = new Map<string, Set<() => void>>()
  const adopted = new Set<string>()
  const stopping = new AbortController()
  const throttle = new Throttle()
  const queue: (() => void)[] = []
  let active = 0
  /** Null until somebody said it: before, nothing is known to be in nobody's way. */
  let wanted: ReadonlySet<string> | null = null
  let network: ContentNetwork | null = null

  const changed = (sha256: string): void => {
    for (const watcher of [...(watchers.get(sha256) ?? [])]) watcher()
  }

  const shelf: Shelf = {
    copyOf: (sha256) => store.known(sha256) ?? downloads.get(sha256)?.download.copy ?? null,
    saidOf: (sha256) => saidOf(store.known(sha256), downloads.get(sha256)?.download.said ?? null),
    watch: (sha256, onChange) => {
      const all = watchers.get(sha256) ?? new Set()
      watchers.set(sha256, all.add(onChange))
      // One that is whole on the disk, but was not looked at in this run.
      void open(sha256)
      return () => {
        all.delete(onChange)
        if (all.size === 0) watchers.delete(sha256)
      }
    },
  }

  /** The whole copy, whose growing list the followers are told. Null where it is not here. */
  const open = async (sha256: string): Promise<Copy | null> => {
    try {
      return await store.whole(sha256)
    } catch (error) {
      options.log('warn', 'content.unreadable', { sha256, message: String(error) })
      return null
    }
  }

  const isMember = (peer: NodeId): boolean => options.members().some(({ id }) => id === peer)
  const onBreach = (peer: NodeId, why: string): void => {
    options.count('content.breach')
    if (throttle.mayTell(peer, performance.now())) options.log('warn', 'content.breach', { peer, why })
  }

  const turn = async (): Promise<void> => {
    if (active >= ACTIVE_MAX) await new Promise<void>((resolve) => queue.push(resolve))
    else active += 1
  }
  const pass = (): void => {
    const next = queue.shift()
    if (next === undefined) active -= 1
    else next()
  }

  const collect = async (): Promise<string[]> => {
    if (wanted === null) return []
    const gone = await store.collect(new Set([...wanted, ...adopted, ...downloads.keys()]))
    for (const sha256 of gone) options.log('info', 'content.removed', { sha256 })
    for (const sha256 of gone) changed(sha256)
    return gone
  }

  const begin = (artefact: Artefact, also: readonly string[]): Under => {
    const { sha256 } = artefact
    const controller = new AbortController()
    const listeners = new Set<(progress: Progress) => void>()
    const onGrowth = (): void => changed(sha256)
    const download = new Download(artefact, also, controller.signal, {
      store,
      origin: options.origin,
      pace: receiving,
      network: () => network,
      members: () => options.members(),
      makeRoom: async () => void (await collect()),
      onChange: () => {
        download.copy?.watch(onGrowth)
        changed(sha256)
      },
      onProgress: (progress) => {
        for (const listener of listeners) listener(progress)
      },
      log: (...line) => options.log(...line),
      count: (...what) => options.count(...what),
    })
    const run = async (): Promise<string> => {
      await turn()
      try {
        return await download.run()
      } finally {
        pass()
        downloads.delete(sha256)
        changed(sha256)
      }
    }
    const under: Under = { download, controller, path: run(), listeners, waiting: 0 }
    under.path.catch(() => undefined)
    downloads.set(sha256, under)
    return under
  }

  const join = async (under: Under, { signal, progress }: EnsureOptions): Promise<string> => {
    under.waiting += 1
    if (progress !== undefined) under.listeners.add(progress)
    const given = signal ?? stopping.signal
    const left = Promise.withResolvers<never>()
    const leave = (): void => left.reject(given.reason)
    given.addEventListener('abort', leave)
    if (given.aborted) leave()
    try {
      return await Promise.race([under.path, left.promise])
    } finally {
      given.removeEventListener('abort', leave)
      if (progress !== undefined) under.listeners.delete(progress)
      under.waiting -= 1
      // Nobody needs it any more; what is there is gone on with next time.
      if (under.waiting === 0) under.controller.abort(given.reason)
    }
  }

  return {
    join: async (joined) => {
      network = joined
      await joined.streams.handle(CONTENT_PROTOCOL, STREAMS_MAX, (peer, stream) =>
        serve(peer, stream, { shelf, pace: sending, isMember, onBreach }),
      )
    },
    ensure: async (given, ensuring = {}) => {
      const artefact = artefactSchema.parse(given)
      stopping.signal.throwIfAborted()
      ensuring.signal?.throwIfAborted()
      const copy = await open(artefact.sha256)
      if (copy !== null) return store.path(artefact.sha256)
      for (let under = downloads.get(artefact.sha256); ; under = downloads.get(artefact.sha256)) {
        if (under === undefined) return await join(begin(artefact, ensuring.also ?? []), ensuring)
        if (!under.controller.signal.aborted) return await join(under, ensuring)
        // One that nobody wanted any more is just ending.
        await under.path.catch(() => undefined)
      }
    },
    adoptLocal: async (path) => {
      const { found, size } = await store.adopt(path, null, stopping.signal)
      adopted.add(found)
      return { sha256: found, size, url: null, name: basename(path) }
    },
    has: async (sha256) => (await open(sha256)) !== null,
    keep: async (sha256s) => {
      wanted = new Set(sha256s)
      return await collect()
    },
    facts: () =>
      [...downloads.values()].map(({ download: { artefact, progress } }) => ({ artefact, progress })),
    problems: () =>
      [...downloads.values()].flatMap(({ download: { problem } }) =>
        problem === null ? [] : [problemOf(problem)],
      ),
    stop: async () => {
      const reason = new Error('content has stopped')
      stopping.abort(reason)
      const all = [...downloads.values()]
      for (const { controller } of all) controller.abort(reason)
      for (const next of queue.splice(0)) next()
      await Promise.allSettled(all.map(({ path }) => path))
      await store.close()
    },
  }
}

function saidOf(whole: Copy | null, under: Said | null): Said {
  if (whole !== null) return { wants: false, asks: false, failed: false, whole: true, bytes: whole.bytes }
  return under ?? { wants: false, asks: false, failed: false, whole: false, bytes: 0 }
}
