/** This node's part in asking the origin: begins and ends it as core/content.ts decides, and remembers failures. */
import { fileURLToPath } from 'node:url'
import { type Artefact, type OriginView, originTurn } from '../../core/content.ts'
import { type Millis, millis, nodeId } from '../../core/ids.ts'
import type { Copy } from './copy.ts'
import { ContentError, storeFault, wrongSum } from './errors.ts'
import { shownUrl } from './origin.ts'
import { fetchFromOrigin } from './origin-fetch.ts'
import type { DownloadPorts } from './ports.ts'

/** An origin that gave nothing good is asked again by this node after so long, doubling. */
const RETRY_MS = 60_000
const RETRY_MAX_MS = 10 * 60_000

export interface OwnTurnEvents {
  onBytes(count: number): void
  /** Throws where there is no space for it. */
  onSize(size: number | null): Promise<void>
  /** The segment is as the origin gave it. */
  onSegment(index: number): void
  onFailure(error: ContentError): void
  onDiskFault(error: unknown): void
  onEnd(): void
}

export class OwnTurn {
  readonly #artefact: Artefact
  readonly #ports: DownloadPorts
  readonly #events: OwnTurnEvents
  readonly #signal: AbortSignal
  #asking: AbortController | null = null
  #failures = 0
  #failedUntil: Millis | null = null

  constructor(artefact: Artefact, signal: AbortSignal, ports: DownloadPorts, events: OwnTurnEvents) {
    this.#artefact = artefact
    this.#signal = signal
    this.#ports = ports
    this.#events = events
  }

  get isAsking(): boolean {
    return this.#asking !== null
  }

  hasFailed(now: number): boolean {
    return this.#failedUntil !== null && this.#failedUntil > now
  }

  /** @param from the first byte that nobody in sight has: its segment and its offset. */
  look(
    copy: Copy,
    view: Omit<OriginView, 'sha256' | 'self' | 'asks' | 'failedUntil'>,
    from: () => { readonly index: number; readonly offset: number },
  ): void {
    const { url, sha256 } = this.#artefact
    if (url === null) return
    if (url.startsWith('file:')) {
      if (!this.isAsking && !this.hasFailed(view.now)) void this.#lookAtFile(url)
      return
    }
    // Without a network there is nobody to have an order with.
    const self = this.#ports.network()?.id ?? nodeId('')
    const turn = originTurn({
      ...view,
      sha256,
      self,
      asks: this.isAsking,
      failedUntil: this.#failedUntil,
    })
    if (turn.kind === 'ask' && !this.isAsking) void this.#ask(copy, url, from())
    if (turn.kind === 'wait' && this.isAsking) {
      this.#ports.log('debug', 'content.origin.left', { name: this.#artefact.name, why: turn.why })
      this.leave()
    }
  }

  leave(): void {
    this.#asking?.abort()
  }

  failed(error: ContentError): void {
    const delay = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#failures)
    this.#failures += 1
    this.#failedUntil = millis(Math.round(performance.now()) + delay)
    this.#ports.count('content.origin.failed')
    this.#events.onFailure(error)
    this.#ports.onChange()
  }

  async #ask(copy: Copy, url: string, from: { index: number; offset: number }): Promise<void> {
    const controller = new AbortController()
    this.#begin(controller)
    const { name } = this.#artefact
    this.#ports.count('content.origin.asked')
    this.#ports.log('info', 'content.origin.asked', { name, url: shownUrl(url), offset: from.offset })
    try {
      await fetchFromOrigin({
        ...this.#events,
        ...from,
        artefact: this.#artefact,
        url,
        copy,
        options: this.#ports.origin,
        pace: this.#ports.pace,
        signal: AbortSignal.any([this.#signal, controller.signal]),
      })
    } catch (error) {
      if (controller.signal.aborted || this.#signal.aborted) return
      if (error instanceof ContentError && error.code !== 'MUSTER_E_CONTENT_SPACE') this.failed(error)
      else this.#events.onDiskFault(error)
    } finally {
      this.#end()
    }
  }

  /** A file is each machine's own: nobody else is asked for it, and nobody else is waited for. */
  async #lookAtFile(url: string): Promise<void> {
    this.#begin(new AbortController())
    try {
      const path = fileURLToPath(url)
      const { copy, found } = await this.#ports.store.adopt(path, this.#artefact.sha256, this.#signal)
      if (copy === null) throw wrongSum(this.#artefact, path, found)
    } catch (error) {
      if (!this.#signal.aborted)
        this.failed(storeFault(error, `cannot read ${this.#artefact.name} at ${url}`))
    } finally {
      this.#end()
    }
  }

  #begin(controller: AbortController): void {
    this.#asking = controller
    this.#ports.onChange()
  }

  #end(): void {
    this.#asking = null
    if (this.#signal.aborted) return
    this.#ports.onChange()
    this.#events.onEnd()
  }
}
