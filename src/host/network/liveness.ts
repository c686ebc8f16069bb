/**
 * Which connections are dead without having said so: the cable is out, the machine lost its power. TCP itself
 * gives up after a quarter of an hour, so each side lets the other know that it is heard, at almost no cost:
 * whatever goes the other way anyhow is the answer; only where nothing does, an empty frame is sent.
 */

/** A message is answered, by whatever it may be, within this: a beat every two seconds is an answer, too. */
export const ANSWER_MS = 2_200
/** Nothing heard for this long after one spoke: the connection is dead. Well above {@link ANSWER_MS} under load. */
export const DEAD_MS = 5_000
/** Something is said at least this often: 3 bytes/s for each connection, and NATs keep their mappings. */
export const IDLE_MS = 60_000
/** A peer that lets its turns pass twice is dead, even where one has nothing to say to it. */
export const IDLE_DEAD_MS = 150_000

interface Hearing {
  saidAt: number
  heardAt: number
  /** The first message since the peer was last heard. */
  unansweredSince: number | null
  /** The first message of the peer since one last spoke. */
  owesSince: number | null
}

/** Pure bookkeeping. All times are monotonic milliseconds. */
export class Liveness {
  readonly #peers = new Map<string, Hearing>()

  begin(peer: string, now: number): void {
    this.#peers.set(peer, { saidAt: now, heardAt: now, unansweredSince: null, owesSince: null })
  }

  end(peer: string): void {
    this.#peers.delete(peer)
  }

  /** An empty frame asks for no answer. */
  said(peer: string, isEmpty: boolean, now: number): void {
    const hearing = this.#peers.get(peer)
    if (hearing === undefined) return
    hearing.saidAt = now
    hearing.owesSince = null
    if (!isEmpty) hearing.unansweredSince ??= now
  }

  heard(peer: string, isEmpty: boolean, now: number): void {
    const hearing = this.#peers.get(peer)
    if (hearing === undefined) return
    hearing.heardAt = now
    hearing.unansweredSince = null
    if (!isEmpty) hearing.owesSince ??= now
  }

  /** Peers that are to be sent an empty frame now. */
  owed(now: number): string[] {
    return this.#filter(
      ({ owesSince, saidAt }) =>
        (owesSince !== null && now - owesSince >= ANSWER_MS) || now - saidAt >= IDLE_MS,
    )
  }

  dead(now: number): string[] {
    return this.#filter(
      ({ unansweredSince, heardAt }) =>
        (unansweredSince !== null && now - unansweredSince >= DEAD_MS) || now - heardAt >= IDLE_DEAD_MS,
    )
  }

  /** This process itself slept for so long: nobody is to blame for the silence. */
  slept(ms: number): void {
    for (const hearing of this.#peers.values()) {
      hearing.heardAt += ms
      if (hearing.unansweredSince !== null) hearing.unansweredSince += ms
    }
  }

  #filter(test: (hearing: Hearing) => boolean): string[] {
    return [...this.#peers].filter(([, hearing]) => test(hearing)).map(([peer]) => peer)
  }
}
