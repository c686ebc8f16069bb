/** Sending no faster than the other side takes. */
import type { Stream } from '@libp2p/interface'

/** A peer that is there by all signs, but neither answers nor takes anything. */
export class SilentError extends Error {
  override readonly name = 'SilentError'
}

/**
 * Waits until the stream takes data again. `stream.onDrain()` resolves at once after its first use, and going
 * on then buffers without bound; the event is the truth.
 */
export function drained(stream: Stream, stallMs: number): Promise<void> {
  if (!stream.writableNeedsDrain) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const end = (error?: Error): void => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      clearTimeout(timer)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onDrain = (): void => end()
    const onClose = (): void => end(new Error('stream closed'))
    const timer = setTimeout(() => end(new SilentError('the peer takes nothing')), stallMs)
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}
