/**
 * Gets one artefact: from peers as soon as they have any of it, from what is on this machine already, and from its
 * origin when this node is the one to ask it (core/content.ts decides that). Everything is a hint until the
 * SHA-256 of the whole is right. Where it is wrong, lists that peers dispute are replaced, who vouched for them is
 * put off, and in the end all is fetched anew: each such round puts off at least one liar.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Artefact } from '../../core/content.ts'
import { type Millis, millis, type NodeId } from '../../core/ids.ts'
import { CONTENT_STALL_MS } from '../../core/timing.ts'
import type { Copy } from './copy.ts'
import { type ContentError, nobodyHas, storeFault, wrongSum } from './errors.ts'
import { firstUnheld, isDisputed, isHeld } from './held.ts'
import type { Link } from './link.ts'
import { needSpace } from './needed-space.ts'
import { shownUrl } from './origin.ts'
import { OwnTurn } from './own-turn.ts'
import { Peers } from './peers.ts'
import { claimedDigest, pickChunks } from './pick.ts'
import type { DownloadPorts, Progress } from './ports.ts'
import type { Said } from './protocol.ts'
import { Reuse } from './reuse.ts'
import { hasBit, type Segment } from './segments.ts'
import { shuffled } from './shuffled.ts'

const TICK_MS = 500
const DISK_RETRY_MS = 5_000
/** Nobody has it: said only after the others had time to come. */
const NOBODY_MS = 10_000
/** Who asks the origin is believed to make progress only while some of it arrives here. */
const SHOWN_MS = 60_000
/** A chunk that another peer owes for this long is asked of an idle one, too. */
const LATE_MS = 2_000

const clock = (): Millis => millis(Math.round(performance.now()))

export class Download {
  readonly artefact: Artefact
  readonly #ports: DownloadPorts
  readonly #also: readonly string[]
  readonly #signal: AbortSignal
  readonly #done = Promise.withResolvers<string>()
  readonly #peers: Peers
  readonly #own: OwnTurn
  /** Whose word a segment's list is. */
  readonly #vouchers = new Map<number, NodeId | 'origin'>()
  /** Claimed segments whose list is to be chosen. */
  readonly #unlisted = new Set<number>()
  /** Chunks that are being written, or read from this machine, as masks by segment. */
  readonly #busy = new Map<number, number>()
  readonly #since = clock()
  readonly #from = { origin: 0, peers: 0, reused: 0 }
  #copy: Copy | null = null
  #reuse: Reuse | null = null
  #reusing: Promise<void> = Promise.resolve()
  #size: number | null
  #problem: ContentError | null = null
  #progressAt: Millis = this.#since
  #pausedUntil = 0
  #paying = 0
  #toldBytes = 0
  #turning = false
  #measuring = false
  #sealing = false
  #ended = false

  constructor(artefact: Artefact, also: readonly string[], signal: AbortSignal, ports: DownloadPorts) {
    this.artefact = artefact
    this.#also = also
    this.#signal = signal
    this.#ports = ports
    this.#size = artefact.size
    this.#peers = new Peers(artefact, ports, {
      onNews: () => this.#kick(),
      onClaims: (indexes) => {
        for (const index of indexes) this.#unlisted.add(index)
        this.#kick()
      },
      onSegment: (...segment) => void this.#takeSegment(...segment),
      onChunk: (...chunk) => void this.#takeChunk(...chunk),
    })
    this.#own = new OwnTurn(artefact, signal, ports, {
      onBytes: (bytes) => this.#got('origin', bytes),
      onSize: async (size) => {
        this.#size ??= size
        await needSpace(this.artefact.name, this.#ports, (size ?? 0) - (this.#copy?.bytes ?? 0))
      },
      onSegment: (index) => {
        this.#vouchers.set(index, 'origin')
        this.#kick()
      },
      onFailure: (error) => this.#fail(error),
      onDiskFault: (error) => this.#diskFault(error),
      onEnd: () => this.#kick(),
    })
  }

  get copy(): Copy | null {
    return this.#copy
  }

  get problem(): ContentError | null {
    return this.#problem
  }

  get said(): Said {
    const { isAsking } = this.#own
    const failed = this.#own.hasFailed(clock())
    return { wants: true, asks: isAsking, failed, whole: false, bytes: this.#toldBytes }
  }

  get progress(): Progress {
    const size = this.#size ?? this.#knownEnd()
    return { bytes: this.#copy?.bytes ?? 0, size, from: { ...this.#from }, problem: this.#problem }
  }

  /** Resolves with the path of the whole. @throws the reason of the signal, and nothing else. */
  async run(): Promise<string> {
    const { store } = this.#ports
    const stop = (): void => this.#done.reject(this.#signal.reason)
    this.#signal.addEventListener('abort', stop)
    const timer = setInterval(() => this.#tick(), TICK_MS)
    try {
      this.#signal.throwIfAborted()
      this.#reuse = await this.#lookAround()
      await this.#openCopy()
      this.#kick()
      return await this.#done.promise
    } finally {
      this.#ended = true
      clearInterval(timer)
      this.#signal.removeEventListener('abort', stop)
      this.#own.leave()
      this.#peers.end()
      await this.#reusing
      await this.#reuse?.close()
      const path = store.path(this.artefact.sha256)
      if (this.#copy !== null && store.known(this.artefact.sha256) !== this.#copy) await this.#copy.close()
      this.#ports.log('debug', 'content.ended', { name: this.artefact.name, path })
    }
  }

  /** What is here already only saves time: where it cannot be read, all comes from elsewhere. */
  async #lookAround(): Promise<Reuse | null> {
    try {
      return await Reuse.look(this.#ports.store, this.artefact.sha256, this.#also, this.#signal)
    } catch (error) {
      this.#signal.throwIfAborted()
      this.#ports.log('warn', 'content.unreadable', { name: this.artefact.name, message: String(error) })
      return null
    }
  }

  /** Again and again, where the disk does not take it. @throws the reason of the signal. */
  async #openCopy(): Promise<void> {
    while (this.#copy === null) {
      try {
        this.#copy = await this.#ports.store.partial(this.artefact.sha256)
      } catch (error) {
        this.#diskFault(error)
        await sleep(DISK_RETRY_MS, undefined, { signal: this.#signal })
      }
    }
    this.#ports.onChange()
  }

  #tick(): void {
    void this.#lookAtSpace()
    const bytes = this.#copy?.bytes ?? 0
    if (bytes !== this.#toldBytes) {
      this.#toldBytes = bytes
      this.#ports.onChange()
      this.#ports.onProgress(this.progress)
    }
    const quiet = clock() - this.#progressAt
    const isHopeless = this.artefact.url === null && this.#peers.links.every((link) => link.claims.size === 0)
    if (isHopeless && quiet > NOBODY_MS) this.#fail(nobodyHas(this.artefact))
    this.#kick()
  }

  /** Has the next turn done soon: what comes together is looked at together. */
  #kick(): void {
    if (this.#turning || this.#ended) return
    this.#turning = true
    setImmediate(() => {
      this.#turning = false
      if (!this.#ended && this.#copy !== null && !this.#sealing) this.#turn(this.#copy)
    })
  }

  #turn(copy: Copy): void {
    const adopted = this.#ports.store.known(this.artefact.sha256)
    if (adopted !== null && adopted !== copy) {
      this.#sealing = true
      this.#ports.store
        .discard(copy)
        .catch(() => undefined)
        .finally(() => this.#finish(adopted))
      return
    }
    const now = clock()
    this.#peers.keep(now, this.#signal)
    if (now < this.#pausedUntil) return
    if (copy.isComplete()) {
      void this.#seal(copy)
      return
    }
    this.#chooseLists(copy)
    this.#askForChunks(copy)
    this.#turnToOrigin(copy, now)
    this.#mendSeams(copy, now)
  }

  // Lists.

  #chooseLists(copy: Copy): void {
    for (const index of this.#unlisted) {
      const kept = copy.segment(index)?.digest ?? null
      const digest = claimedDigest(this.#peers.links, index, kept)
      // What is there already may be right whatever others claim: the whole will tell.
      if (digest === null || digest === kept || copy.isFull(index)) {
        this.#unlisted.delete(index)
        continue
      }
      const having = this.#peers.links.filter((link) => link.claims.get(index) === digest)
      if (having.some((link) => link.isListing(index))) continue
      shuffled(having.filter((link) => link.mayList))[0]?.askList(index)
    }
  }

  async #takeSegment(link: Link, index: number, segment: Segment): Promise<void> {
    const copy = this.#copy
    if (copy === null || this.#sealing || this.#ended) return
    const kept = copy.segment(index)?.digest ?? null
    const isChosen = claimedDigest(this.#peers.links, index, kept) === segment.digest
    if (isChosen && kept !== segment.digest && !copy.isFull(index)) {
      const end = segment.offset + segment.length
      if (this.#size !== null && end > this.#size)
        return this.#peers.ban(link.peer, 'lists more than there is')
      this.#vouchers.set(index, link.peer)
      await copy.adopt(index, segment).catch((error: unknown) => this.#diskFault(error))
      this.#reuseFor(copy, index, segment)
    }
    this.#kick()
  }

  /** Takes what is on this machine already, before peers are asked for it. */
  #reuseFor(copy: Copy, index: number, segment: Segment): void {
    const reuse = this.#reuse
    let mask = 0
    for (const [i, { digest }] of segment.chunks.entries()) if (reuse?.has(digest) === true) mask |= 1 << i
    if (reuse === null || mask === 0) return
    this.#setBusy(index, mask)
    this.#reusing = this.#reusing.then(async () => {
      try {
        for (const [i, { digest, length }] of segment.chunks.entries()) {
          if (this.#ended || !hasBit(mask, i)) continue
          const bytes = await reuse.read(digest)
          if (bytes !== null && (await copy.write(index, i, bytes))) this.#got('reused', length)
        }
      } catch (error) {
        this.#diskFault(error)
      }
      this.#clearBusy(index, mask)
      this.#kick()
    })
  }

  // Chunks.

  #askForChunks(copy: Copy): void {
    if (this.#paying > 0) return
    const links = this.#peers.links
    const wanted = copy.indexes().filter((index) => !copy.isFull(index))
    if (wanted.length === 0) return
    const coming = new Map(this.#busy)
    const mark = (index: number, mask: number): void => {
      coming.set(index, ((coming.get(index) ?? 0) | mask) >>> 0)
    }
    for (const link of links) for (const [index, mask] of link.outstanding()) mark(index, mask)
    for (const link of shuffled(links)) {
      while (link.isHungry && link.free > 0) {
        const given = { copy, wanted, links, link, free: link.free, random: Math.random() }
        const choice =
          pickChunks({ ...given, coming }) ??
          (link.isIdle ? pickChunks({ ...given, coming: this.#inTime(coming), free: 1 }) : null)
        const segment = choice === null ? undefined : copy.segment(choice.index)
        if (choice === null || segment === undefined) break
        link.take(choice.index, segment, choice.mask)
        mark(choice.index, choice.mask)
      }
    }
  }

  /** Without what a peer owes for too long: another one that has nothing to do may be asked for it, too. */
  #inTime(coming: ReadonlyMap<number, number>): Map<number, number> {
    const inTime = new Map(coming)
    for (const link of this.#peers.links) {
      for (const [index, mask] of link.outstanding(LATE_MS)) {
        inTime.set(index, ((inTime.get(index) ?? 0) & ~mask) >>> 0)
      }
    }
    return inTime
  }

  async #takeChunk(
    link: Link,
    index: number,
    chunk: number,
    digest: string,
    bytes: Uint8Array,
  ): Promise<void> {
    const copy = this.#copy
    if (copy === null || this.#sealing || this.#ended) return
    const bit = (1 << chunk) >>> 0
    this.#setBusy(index, bit)
    try {
      const isNew = hasBit(copy.missing(index), chunk)
      const isRight = await copy.write(index, chunk, bytes)
      if (isRight && isNew) this.#got('peers', bytes.length)
      if (!isRight && copy.segment(index)?.digest === digest)
        this.#peers.ban(link.peer, 'sent other bytes than it claimed')
    } catch (error) {
      this.#diskFault(error)
    }
    this.#clearBusy(index, bit)
    this.#paying += 1
    await this.#ports.pace.spend(bytes.length)
    this.#paying -= 1
    this.#kick()
  }

  #setBusy(index: number, mask: number): void {
    this.#busy.set(index, ((this.#busy.get(index) ?? 0) | mask) >>> 0)
  }

  #clearBusy(index: number, mask: number): void {
    const rest = ((this.#busy.get(index) ?? 0) & ~mask) >>> 0
    if (rest === 0) this.#busy.delete(index)
    else this.#busy.set(index, rest)
  }

  #got(from: keyof Progress['from'], bytes: number): void {
    this.#from[from] += bytes
    this.#progressAt = clock()
    this.#problem = null
  }

  // The origin.

  #turnToOrigin(copy: Copy, now: Millis): void {
    const quiet = now - this.#progressAt
    const view = {
      now,
      since: this.#since,
      others: this.#peers.seekers(now, quiet < SHOWN_MS),
      isHeld: isHeld(copy, this.#peers.links) && quiet < CONTENT_STALL_MS,
    }
    this.#own.look(copy, view, () => {
      const { count, end } = copy.contiguous()
      const index = firstUnheld(copy, count, this.#peers.links) ?? count
      return { index, offset: copy.segment(index)?.offset ?? end }
    })
  }

  // The end.

  async #seal(copy: Copy): Promise<void> {
    this.#sealing = true
    this.#own.leave()
    await this.#reusing
    try {
      const found = await this.#ports.store.complete(copy)
      if (found === this.artefact.sha256) return this.#finish(copy)
      await this.#amend(copy, found)
    } catch (error) {
      this.#diskFault(error)
    }
    this.#sealing = false
    this.#kick()
  }

  #finish(copy: Copy): void {
    this.#copy = copy
    this.#problem = null
    this.#ports.log('info', 'content.fetched', {
      name: this.artefact.name,
      sha256: this.artefact.sha256,
      bytes: copy.contiguous().end,
      fromOrigin: this.#from.origin,
      fromPeers: this.#from.peers,
      reused: this.#from.reused,
      tookMs: clock() - this.#since,
    })
    this.#done.resolve(this.#ports.store.path(this.artefact.sha256))
  }

  /** The whole is wrong: which part of it is somebody's lie or a disk's fault? */
  async #amend(copy: Copy, found: string): Promise<void> {
    this.#ports.count('content.wrong')
    if ((await copy.recheck()) > 0) return
    const disputed = copy.indexes().filter((index) => isDisputed(copy, index, this.#peers.links))
    if (disputed.length > 0) return this.#replaceLists(copy, disputed)
    const vouchers = new Set(copy.indexes().map((index) => this.#vouchers.get(index) ?? 'disk'))
    const { url } = this.artefact
    if (url !== null && vouchers.size === 1 && vouchers.has('origin')) {
      this.#own.failed(wrongSum(this.artefact, shownUrl(url), found))
    }
    for (const voucher of vouchers) {
      if (voucher !== 'origin' && voucher !== 'disk') this.#peers.ban(voucher, 'its list gives another whole')
    }
    await this.#beginAgain(copy)
  }

  /** Who vouched for the list, and whoever claims the same, is put off; another's takes its place. */
  #replaceLists(copy: Copy, indexes: readonly number[]): void {
    for (const index of indexes) {
      const digest = copy.segment(index)?.digest
      const voucher = this.#vouchers.get(index)
      if (voucher !== undefined && voucher !== 'origin')
        this.#peers.ban(voucher, 'its list gives another whole')
      for (const link of this.#peers.links) {
        if (link.claims.get(index) === digest) this.#peers.ban(link.peer, 'its list gives another whole')
      }
      copy.forget(index)
      this.#vouchers.delete(index)
      this.#unlisted.add(index)
    }
  }

  async #beginAgain(copy: Copy): Promise<void> {
    this.#own.leave()
    this.#vouchers.clear()
    this.#busy.clear()
    this.#copy = null
    this.#ports.onChange()
    await this.#ports.store.discard(copy)
    if (this.#ended) return
    await this.#openCopy()
    for (const link of this.#peers.links) for (const index of link.claims.keys()) this.#unlisted.add(index)
  }

  /** Two lists that do not fit together, one behind the other: at least one is a lie. */
  #mendSeams(copy: Copy, now: Millis): void {
    const { count, end, last } = copy.contiguous()
    const next = copy.segment(count)
    if (last || next === undefined || next.offset === end) return
    const seam = [count - 1, count].filter((index) => index >= 0)
    const disputed = seam.filter((index) => isDisputed(copy, index, this.#peers.links))
    if (disputed.length > 0) this.#replaceLists(copy, disputed)
    else if (now - this.#progressAt > CONTENT_STALL_MS) {
      this.#replaceLists(copy, seam)
      this.#progressAt = now
    }
  }

  // Faults.

  #fail(error: ContentError): void {
    const isNews = this.#problem?.message !== error.message
    this.#problem = error
    if (!isNews) return
    this.#ports.log('warn', 'content.failed', {
      name: this.artefact.name,
      code: error.code,
      message: error.message,
    })
    this.#ports.onProgress(this.progress)
  }

  /** The disk takes nothing: nothing is asked for until it may take something again. */
  #diskFault(error: unknown): void {
    if (this.#ended) return
    this.#pausedUntil = clock() + DISK_RETRY_MS
    this.#own.leave()
    this.#fail(storeFault(error, `cannot store ${this.artefact.name}`))
  }

  /** What peers give is not told beforehand, so the reserve is looked at while it comes. */
  async #lookAtSpace(): Promise<void> {
    if (this.#measuring || this.#sealing || this.#copy === null) return
    this.#measuring = true
    try {
      const size = this.#size ?? this.#knownEnd() ?? 0
      await needSpace(this.artefact.name, this.#ports, Math.max(0, size - this.#copy.bytes))
    } catch (error) {
      this.#diskFault(error)
    }
    this.#measuring = false
  }

  #knownEnd(): number | null {
    const { end, last } = this.#copy?.contiguous() ?? { end: 0, last: false }
    return last ? end : null
  }
}
