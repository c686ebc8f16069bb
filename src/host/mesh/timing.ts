/**
 * Every interval and bound of the mesh with the reason for its value; milliseconds unless the name says
 * otherwise. WireGuard's own timers (whitepaper §6.1): REKEY_TIMEOUT 5 s, REKEY_AFTER_TIME 120 s,
 * REJECT_AFTER_TIME 180 s.
 */

/** Below the usual 30 s of a NAT's UDP mapping; 32 bytes each, sent by whichever side was silent for so long. */
export const KEEPALIVE_S = 25
/**
 * A path with a handshake younger than this is direct. A quiet but healthy path may keep its keys until
 * REJECT_AFTER_TIME (only a sender renews them, and a side that just hears the other's keepalives does not
 * send), renews with the next keepalive, and may lose one initiation: 180 s + 25 s + 5 s. A lower bound would
 * show healthy paths as lost for some seconds every three minutes.
 */
export const DIRECT_MS = 210_000
/**
 * An endpoint without a handshake is given up after this: just before REKEY_TIMEOUT, at which WireGuard
 * itself sends its next initiation, which then goes to the next candidate.
 */
export const CANDIDATE_MS = 4_500

/** Whether interface and address are still there: a system call of 50 µs, no process. */
export const PRESENCE_MS = 1_000
/** Polling after something changed: the time until the mesh is up is what a person waits for. */
export const POLL_FAST_MS = 250
/** How long after a change polling stays fast: one attempt, and WireGuard's first repetition. */
export const FAST_PHASE_MS = 6_000
/** Polling while a path is missing. */
export const POLL_MISSING_MS = 2_000
/** A peer that is missing for so long is off, not late: a poll costs some 5 ms of CPU for as long as it is. */
export const MISSING_PHASE_MS = 60_000
export const POLL_ABSENT_MS = 10_000
/** Polling while every path is direct; must stay well below {@link DIRECT_MS}. */
export const POLL_QUIET_MS = 30_000

/** A person is likely to be repairing the range at this moment; one look at the routes is cheap. */
export const OVERLAP_RETRY_MS = 3_000
/** First and longest pause before whatever else failed is tried again, doubling. */
export const RETRY_MIN_MS = 500
export const RETRY_MAX_MS = 30_000
/** An interface that lived so long did not fail at its making: the next one is made without a pause. */
export const STABLE_MS = 60_000

/** `ip` and `wg` answer in 3 ms; `wg` waits for ever for a wireguard-go that hangs. */
export const TOOL_TIMEOUT_MS = 10_000
/** wireguard-go answers 20 ms after its start; on a machine that swaps it may take long. */
export const USERSPACE_START_MS = 5_000
/** For wireguard-go to end after its interface is gone or it was asked to, before it is killed. */
export const USERSPACE_END_MS = 2_000

/** Ethernet's 1500 bytes less what WireGuard adds over IPv6; what every other WireGuard assumes. */
export const MTU_DEFAULT = 1_420
/** IPv6 inside the mesh needs this much; below it outer packets are fragmented instead. */
export const MTU_MIN = 1_280
