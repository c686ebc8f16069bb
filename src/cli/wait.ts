/** Waiting for this node to reach a stage, from a daemon that may not be there yet. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stage, StatusDocument } from '../core/status.ts'
import type { Client } from '../host/api/client.ts'
import { ApiError, NoDaemonError } from '../host/api/errors.ts'
import { durationText } from './duration.ts'
import { VerbError } from './errors.ts'
import type { Io } from './io.ts'
import { plain } from './plain.ts'
import { waitingWords } from './status-text.ts'

/** The way to ready in its order; the last two are beside it. */
export const STAGES: readonly Stage[] = [
  'discovering',
  'founding',
  'joining',
  'meshing',
  'distributing',
  'ready',
  'blocked',
  'leaving',
]
const LAST_OF_WAY = STAGES.indexOf('ready')

/** An answer costs the daemon less than a millisecond, and people notice a quarter of a second. */
const POLL_MS = 250

/**
 * The status in which the stage is reached.
 * @throws VerbError with what the node waits for when the time is over, NoDaemonError where none ever answered.
 */
export async function waitForStage(
  client: Client,
  stage: Stage,
  timeoutMs: number,
  io: Pick<Io, 'timeout' | 'now'>,
): Promise<StatusDocument> {
  const over = io.timeout(timeoutMs)
  let last: StatusDocument | null = null
  let failure: Absence | null = null
  for (;;) {
    try {
      last = await client.status(over)
      failure = null
      if (isReached(last.self.stage, stage)) return last
    } catch (error) {
      if (isAbsence(error)) failure = error
      else if (!over.aborted) throw error
    }
    if (over.aborted) throw notReached(stage, timeoutMs, last, failure, io.now())
    await sleep(POLL_MS, undefined, { signal: over }).catch(() => undefined)
  }
}

function isReached(now: Stage, wanted: Stage): boolean {
  const [at, goal] = [STAGES.indexOf(now), STAGES.indexOf(wanted)]
  return goal > LAST_OF_WAY ? at === goal : at >= goal && at <= LAST_OF_WAY
}

/** A daemon that starts, restarts or is busy; any other failure will not be better later. */
export type Absence = NoDaemonError | ApiError

export function isAbsence(error: unknown): error is Absence {
  if (error instanceof NoDaemonError) return true
  return error instanceof ApiError && error.code === 'MUSTER_E_API_TIMEOUT'
}

function notReached(
  stage: Stage,
  timeoutMs: number,
  last: StatusDocument | null,
  failure: Absence | null,
  now: Date,
): Error {
  const time = durationText(timeoutMs)
  if (last === null) {
    return new NoDaemonError(
      failure === null ? `the daemon did not answer within ${time}` : `${failure.message}, for ${time}`,
      failure?.hint ?? "look at the daemon's log, and at whether the machine is overloaded",
    )
  }
  const { self, waitingFor, problems } = last
  const reasons = [
    ...(failure === null ? [] : [`the daemon answers no longer: ${failure.message}`]),
    ...waitingFor.map((item) => `waiting for ${waitingWords(item, now)}`),
    ...problems
      .filter(({ severity }) => severity !== 'info')
      .map(({ severity, message, hint }) => `${severity}: ${message} (${hint})`),
  ]
  return new VerbError(
    'MUSTER_E_NOT_REACHED',
    [`${self.name} is ${self.stage}, not ${stage}, after ${time}`, ...reasons].map(plain).join('\n'),
    'see `muster status`; give it longer with --timeout',
    { status: last },
  )
}
