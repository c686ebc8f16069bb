/**
 * Gives peers what this node has of an artefact, as soon as it has it: first what it has, then the chunks that they
 * ask for, one after the other, no faster than they take them. Only members are served.
 */
import type { Stream } from '@libp2p/interface'
import type { NodeId } from '../../core/ids.ts'
import type { Copy } from './copy.ts'
import type { Pace } from './pace.ts'
import {
  bytesOfDigest,
  digestOfBytes,
  REQUEST_BYTES_MAX,
  type Reply,
  type Request,
  readRequest,
  type Said,
  SLICE_BYTES,
  TOLD_MAX,
} from './protocol.ts'
import { CHUNKS_PER_SEGMENT, hasBit } from './segments.ts'
import { ProtocolBreach, Wire } from './wire.ts'

/** Requests that a peer may have open: its window is 2 MiB, which is a segment, and lists beside it. */
const REQUESTS_MAX = 64

/** What a node has, as it changes. */
export interface Shelf {
  copyOf(artefact: string): Copy | null
  saidOf(artefact: string): Said
  /** Calls back when anything that the others were told is different; the answer ends that. */
  watch(artefact: string, onChange: () => void): () => void
}

interface Surroundings {
  readonly shelf: Shelf
  readonly pace: Pace
  isMember(peer: NodeId): boolean
  onBreach(peer: NodeId, why: string): void
}

export function serve(peer: NodeId, stream: Stream, { shelf, pace, isMember, onBreach }: Surroundings): void {
  let artefact: string | null = null
  let unwatch: (() => void) | null = null
  let wake: (() => void) | null = null
  /** Something may be new since the last look, also while the pump was not waiting. */
  let isNews = true
  let told: { copy: Copy | null; count: number; said: string } = { copy: null, count: 0, said: '' }
  const requests: Exclude<Request, { k: 'follow' }>[] = []

  const wire = new Wire(stream, {
    frameMax: REQUEST_BYTES_MAX,
    onFrame: (value) => {
      const request = readRequest(value)
      if (request.k === 'follow') {
        if (artefact !== null) throw new ProtocolBreach('follows twice')
        artefact = digestOfBytes(request.artefact)
        unwatch = shelf.watch(artefact, () => {
          isNews = true
          wake?.()
        })
        void pump(artefact)
      } else {
        if (artefact === null || requests.length >= REQUESTS_MAX)
          throw new ProtocolBreach('asks for too much')
        requests.push(request)
        wake?.()
      }
    },
    onEnd: (reason) => {
      unwatch?.()
      wake?.()
      if (reason instanceof ProtocolBreach) onBreach(peer, reason.message)
    },
  })
  if (!isMember(peer)) {
    wire.end(new Error('no member'))
    return
  }

  const send = (reply: Reply): Promise<void> => wire.send(reply)

  const pump = async (of: string): Promise<void> => {
    try {
      while (wire.isOpen) {
        if (!isMember(peer)) throw new Error('no member any more')
        if (isNews) {
          isNews = false
          while (await tell(of));
          continue
        }
        const request = requests.shift()
        if (request !== undefined) {
          await answer(shelf.copyOf(of), request)
          continue
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        wake = null
      }
    } catch (error) {
      wire.end(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Says what is new. @returns whether there was anything. */
  const tell = async (of: string): Promise<boolean> => {
    const copy = shelf.copyOf(of)
    const said = shelf.saidOf(of)
    if (told.copy !== copy) {
      if (told.copy !== null) await send({ k: 'void' })
      told = { copy, count: 0, said: told.said }
      return true
    }
    if (told.said !== JSON.stringify(said)) {
      told.said = JSON.stringify(said)
      await send({ k: 'state', ...said })
      return true
    }
    const fresh = copy?.full.slice(told.count, told.count + TOLD_MAX) ?? []
    if (copy === null || fresh.length === 0) return false
    told.count += fresh.length
    const segments = fresh.flatMap((index): [number, Uint8Array][] => {
      const segment = copy.segment(index)
      return segment !== undefined && copy.isFull(index) ? [[index, bytesOfDigest(segment.digest)]] : []
    })
    await send({ k: 'holds', segments })
    return true
  }

  const answer = async (copy: Copy | null, request: Exclude<Request, { k: 'follow' }>): Promise<void> => {
    const { index } = request
    const segment = copy?.segment(index)
    if (copy === null || segment === undefined)
      return await send({ k: 'gone', index, mask: request.k === 'list' ? 0 : request.mask })
    if (request.k === 'list') return await send({ k: 'list', index, bytes: segment.bytes })
    for (let chunk = 0; chunk < CHUNKS_PER_SEGMENT; chunk++) {
      if (!hasBit(request.mask, chunk)) continue
      const bytes = await readSafely(copy, index, chunk)
      if (bytes === null) {
        const rest = (request.mask & (0xffffffff << chunk)) >>> 0
        return await send({ k: 'gone', index, mask: rest })
      }
      for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
        if (!isMember(peer)) throw new Error('no member any more')
        const slice = bytes.subarray(at, at + SLICE_BYTES)
        await pace.spend(slice.length)
        await send({ k: 'data', index, chunk, at, bytes: slice })
      }
    }
  }
}

/** A file that was removed or a disk that fails: the peer gets it elsewhere. */
async function readSafely(copy: Copy, index: number, chunk: number): Promise<Uint8Array | null> {
  try {
    return await copy.read(index, chunk)
  } catch {
    return null
  }
}
