/** The daemon's events as a stream of lines, bounded: a client that does not read loses events, not the daemon. */
import type { LogEvent } from '../log.ts'
import type { DaemonView } from './view.ts'

/** Events kept for a client that reads slowly; it is told how many it missed beyond. */
const QUEUE_MAX = 256

/** Begins with the event `events.opened`, so that a client knows that nothing later will be missed. */
export function eventStream(view: DaemonView): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const line = (event: LogEvent): Uint8Array => encoder.encode(`${JSON.stringify(event)}\n`)
  const own = (name: string, fields: LogEvent['fields']): Uint8Array =>
    line({ at: new Date().toISOString(), level: 'info', event: name, fields })
  let unsubscribe: () => void = () => undefined
  let missed = 0
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(own('events.opened', {}))
        unsubscribe = view.subscribe((event) => {
          if ((controller.desiredSize ?? 0) <= 0) {
            missed += 1
            return
          }
          if (missed > 0) controller.enqueue(own('events.missed', { count: missed }))
          missed = 0
          controller.enqueue(line(event))
        })
      },
      cancel() {
        unsubscribe()
      },
    },
    { highWaterMark: QUEUE_MAX },
  )
}
