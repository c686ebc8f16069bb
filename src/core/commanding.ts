/**
 * How a command comes to the leader and its answer back to the socket where it was given. Decides where commands
 * are taken, whom they are handed to, and when a person is told that there is no leader.
 */
import type { CommandAnswer } from './commands.ts'
import type { Event } from './events.ts'
import type { Turn } from './turn.ts'

type Given = Extract<Event, { kind: 'command' }>

export function takeCommand(turn: Turn, given: Given): void {
  answer(turn, given.request, {
    ok: false,
    message: 'this node is in no cluster yet',
    hint: 'see `muster status` for what it waits for',
  })
}

function answer(turn: Turn, request: string, said: CommandAnswer): void {
  turn.effects.push({ kind: 'answer', request, ...said })
}
