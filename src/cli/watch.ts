/** The status as it changes: drawn over itself on a terminal, one block per change elsewhere. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StatusDocument } from '../core/status.ts'
import type { Client } from '../host/api/client.ts'
import type { Context } from './context.ts'
import { plain, plainly } from './plain.ts'
import { statusText } from './status-text.ts'
import { type Absence, isAbsence } from './wait.ts'

const POLL_MS = 500

/**
 * Ends when the user goes; a daemon that is away meanwhile is waited for.
 * @throws NoDaemonError when the user goes and none has ever answered.
 */
export async function watchStatus(client: Client, context: Context): Promise<void> {
  const leaving = context.io.leaving()
  const show = context.io.stdout.isTTY === true ? redraw(context) : printChanges(context)
  let absence: Absence | null = null
  let hasAnswered = false
  while (!leaving.aborted) {
    const seen = await look(client, leaving)
    if (seen === null) break
    if (seen instanceof Error) absence = seen
    else hasAnswered = true
    show(seen)
    await sleep(POLL_MS, undefined, { signal: leaving }).catch(() => undefined)
  }
  if (!hasAnswered && absence !== null) throw absence
}

type Seen = StatusDocument | Absence

/** Null where the user left in between. */
async function look(client: Client, leaving: AbortSignal): Promise<Seen | null> {
  try {
    return await client.status(leaving)
  } catch (error) {
    if (leaving.aborted) return null
    if (isAbsence(error)) return error
    throw error
  }
}

type Show = (seen: Seen) => void

function textOf(seen: Seen, { io, terminal }: Context): string {
  if (seen instanceof Error) return terminal.bad(plain(`${seen.message}; ${seen.hint}`))
  return statusText(plainly(seen), io.now(), terminal)
}

const HOME = '\x1b[H'
const CLEAR_SCREEN = '\x1b[2J'
const CLEAR_TO_END_OF_LINE = '\x1b[K'
const CLEAR_BELOW = '\x1b[J'
/** A line that is too long is cut by the terminal instead of taking two. */
const [NO_WRAP, WRAP] = ['\x1b[?7l', '\x1b[?7h']

/** Overwrites line by line, which does not flicker. */
function redraw(context: Context): Show {
  const { stdout, now } = context.io
  let isFirst = true
  return (seen) => {
    const heading = context.terminal.faint(`${timeText(now())}, Ctrl-C ends`)
    const lines = [heading, '', ...textOf(seen, context).split('\n')]
    // A terminal that does not know its size says 0.
    const room = stdout.rows ? Math.max(2, stdout.rows - 1) : Number.POSITIVE_INFINITY
    const shown =
      lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`]
    const body = shown.map((line) => `${line}${CLEAR_TO_END_OF_LINE}\n`).join('')
    stdout.write(`${isFirst ? CLEAR_SCREEN : ''}${HOME}${NO_WRAP}${body}${WRAP}${CLEAR_BELOW}`)
    isFirst = false
  }
}

function printChanges(context: Context): Show {
  let last: string | null = null
  return (seen) => {
    const state = seen instanceof Error ? seen.message : JSON.stringify(lasting(seen))
    if (state === last) return
    const separator = last === null ? '' : '\n'
    last = state
    context.print(`${separator}-- ${timeText(context.io.now())}\n${textOf(seen, context)}`)
  }
}

/** The document without what changes by the mere passing of time. */
function lasting(status: StatusDocument): unknown {
  return {
    ...status,
    nodes: status.nodes.map(({ lastSeenMs, ...node }) => node),
    act: status.act === null ? null : { ...status.act, ageMs: 0 },
  }
}

const timeText = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')}Z`
